//! Measures how fast the destination's file system takes data: with files that have no name, so that nothing is seen of
//! it.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};

use super::space::existing;
use super::state::Sink;

/// The speed at which a file system takes data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Speed {
    /// Seconds to hand a byte to the kernel.
    pub(crate) write: f64,
    /// Seconds to make a small file with its attributes.
    pub(crate) entry: f64,
    /// Bytes per second that the disk takes; `None`: it never waits (memory).
    pub(crate) disk: Option<f64>,
    /// Bytes that the kernel keeps in memory before it begins to write them, and for how many seconds.
    pub(crate) kept_bytes: f64,
    pub(crate) kept_seconds: f64,
}

/// Bytes that are written at once, and synced, first and last: each piece is twice as long as the one before, so that
/// all are less than 64 MiB. Of a long piece more of the time is the disk's own.
const PIECES: std::ops::RangeInclusive<usize> = 4 << 20..=32 << 20;
/// The time after which a slow disk has told enough.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
/// Small files that are made.
const FILES: u32 = 100;
/// Room that has to be there, in bytes: measuring shall not be in the way of others.
const ROOM: u64 = 1 << 30;
/// The part of what the kernel keeps in memory that a single disk gets before it begins to write: as measured, since it
/// depends on how much each disk has written lately.
const SHARE: f64 = 0.45;
/// Bytes per second above which the file system must be memory.
const MEMORY: f64 = 4e9;

impl Sink {
    /// Measures the file system of the target. Blocks for about a second, at most a few; `None`: it cannot be measured
    /// there (no right to write, no room, no files without a name).
    pub(crate) fn measure_speed(&self) -> Option<Speed> {
        measure_speed(&self.path)
    }
}

/// Measures the file system of the nearest folder of `target` that exists.
fn measure_speed(target: &Path) -> Option<Speed> {
    let folder = existing(target);
    let vfs = rustix::fs::statvfs(folder).ok()?;
    if vfs.f_bavail.saturating_mul(vfs.f_frsize) < ROOM {
        return None;
    }
    let (write, disk) = of_bytes(folder)?;
    let entry = of_entries(folder)?;
    let kernel = |name: &str| -> Option<f64> {
        std::fs::read_to_string(format!("/proc/sys/vm/{name}")).ok()?.trim().parse().ok()
    };
    let part = kernel("dirty_background_ratio").unwrap_or(10.0) / 100.0;
    let kept_bytes = kernel("dirty_background_bytes").filter(|bytes| *bytes > 0.0);
    Some(Speed {
        write,
        entry,
        disk,
        kept_bytes: kept_bytes.unwrap_or(available_memory() * part) * SHARE,
        kept_seconds: kernel("dirty_expire_centisecs").unwrap_or(3000.0) / 100.0,
    })
}

/// Measures the seconds for each byte that is handed over, and the bytes per second that reach the disk.
fn of_bytes(folder: &Path) -> Option<(f64, Option<f64>)> {
    let mut file = std::fs::File::from(nameless(folder)?);
    let noise = noise(*PIECES.start());
    let (started, mut piece) = (Instant::now(), *PIECES.start());
    loop {
        let begun = Instant::now();
        for _ in 0..piece / noise.len() {
            file.write_all(&noise).ok()?;
        }
        let handing = begun.elapsed().as_secs_f64();
        rustix::fs::fdatasync(&file).ok()?;
        let per_second = piece as f64 / begun.elapsed().as_secs_f64().max(1e-9);
        if piece == *PIECES.end() || started.elapsed() > LONG_ENOUGH {
            return Some((handing / piece as f64, Some(per_second).filter(|rate| *rate < MEMORY)));
        }
        piece *= 2;
    }
}

/// Measures the seconds for each small file.
fn of_entries(folder: &Path) -> Option<f64> {
    let small = noise(1024);
    let started = Instant::now();
    for _ in 0..FILES {
        let mut file = std::fs::File::from(nameless(folder)?);
        file.write_all(&small).ok()?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o640)).ok()?;
        let kept = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: kept, last_modification: Timespec { tv_sec: 1, tv_nsec: 1 } };
        rustix::fs::futimens(&file, &times).ok()?;
    }
    Some(started.elapsed().as_secs_f64() / f64::from(FILES))
}

fn nameless(folder: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
    rustix::fs::openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR).ok()
}

/// Returns bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| next(&mut state)).take(len).collect()
}

/// Returns the bytes that the kernel could give away; what cannot be known is taken for two gigabytes.
fn available_memory() -> f64 {
    let known = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = known.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(2e9, |kib| kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let before = std::fs::metadata(folder.path()).unwrap();
        let speed = measure_speed(&folder.path().join("not/there")).expect("room for a gigabyte");
        assert!(speed.write > 0.0 && speed.entry > 0.0 && speed.kept_bytes > 0.0, "{speed:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let after = std::fs::metadata(folder.path()).unwrap();
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    }

    #[test]
    fn noise_does_not_repeat() {
        let noise = noise(4096);
        assert_eq!(noise.len(), 4096);
        assert_ne!(noise[..8], noise[8..16]);
    }
}
