//! Writes a file of ours beside the work: whole or not at all.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

/// Names that are tried for the file that takes the place.
const NAMES: u32 = 100;

/// Puts a file with these bytes at `path`, in one step and on the disk: a receipt, a state, metrics.
///
/// # Errors
/// When it cannot be written; what was at `path` is there as it was then.
pub fn put_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    put_file_in_tree(path, bytes, false)
}

/// Puts a file with these bytes at `path`, in one step and on the disk. `keeps_time`: the folder keeps its modification
/// time, because it was restored.
///
/// # Errors
/// When it cannot be written; what was at `path` is there as it was then.
pub(crate) fn put_file_in_tree(path: &Path, bytes: &[u8], keeps_time: bool) -> std::io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(folder, flags, Mode::empty())?;
    match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
        Ok(_) => return Err(std::io::Error::other("what is there is not a file")),
        Err(Errno::NOENT) => {}
        Err(e) => return Err(e.into()),
    }
    let time = keeps_time.then(|| rustix::fs::fstat(&dir)).transpose()?;
    if let Some(stat) = &time {
        // Whether it can be put back shows before anything is there.
        put_time_back(&dir, stat).map_err(|e| {
            let what =
                format!("the time of its folder in the target could not be put back ({e}): put it elsewhere");
            std::io::Error::other(what)
        })?;
    }
    let (own, mut file) = create(&dir)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| Ok(rustix::fs::renameat(&dir, own.as_str(), &dir, name)?));
    if placed.is_err() {
        let _ = rustix::fs::unlinkat(&dir, own.as_str(), AtFlags::empty());
    }
    let back = time.map_or(Ok(()), |stat| put_time_back(&dir, &stat));
    placed?;
    back?;
    match rustix::fs::fsync(&dir) {
        // Some file systems do not know this of folders.
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        other => Ok(other?),
    }
}

fn create(dir: &OwnedFd) -> std::io::Result<(String, File)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let process = std::process::id();
    for number in 0..NAMES {
        let name = format!(".rekopia-file-{process}-{number}");
        match rustix::fs::openat(dir, name.as_str(), flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => return Ok((name, file.into())),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

#[expect(clippy::unnecessary_cast, reason = "the fields have other types elsewhere")]
fn put_time_back(dir: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    let last_modification = Timespec { tv_sec: stat.st_mtime as i64, tv_nsec: stat.st_mtime_nsec as _ };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    rustix::fs::futimens(dir, &Timestamps { last_access, last_modification })
}
