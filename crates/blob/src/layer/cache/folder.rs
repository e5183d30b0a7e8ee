//! Keeps the cache's files: the only place in this crate that writes, and only below the folder that it was given.
//!
//! ```text
//! DIR/<place of the repository>/<blob>              an index blob
//! DIR/<place of the repository>/<blob>@<from>-<to>  a range of a metadata pack
//! ```
//!
//! A file is whole or not there: it is written beside its place and renamed, so any number of processes may share the
//! folder. Nothing is forced to the disk; a file that a crash left short fails its checksum and is read anew. Each begins
//! with a magic number, the blob's time, the length and a checksum of name, time and data.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crc_fast::{CrcAlgorithm, checksum};
use rekopia_format::BlobId;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, fstat, mkdir, mkdirat, open, openat, renameat, statat, unlinkat,
};

/// A repository's part of the cache.
#[derive(Debug)]
pub(super) struct Folder {
    dir: OwnedFd,
    path: String,
    max_bytes: u64,
    /// Bytes of all files, as far as this process knows.
    bytes: AtomicU64,
    /// Ranges that are kept, by pack.
    ranges: Mutex<HashMap<BlobId, Vec<Range<u64>>>>,
    read_only: AtomicBool,
    written: AtomicU64,
}

/// The beginning of every file; the digit changes with the layout.
const MAGIC: &[u8; 8] = b"rekopia1";
/// Bytes of a file's header: magic number, time, length, checksum.
const HEADER: usize = 32;
/// The beginning of names of files that are being written.
const TEMPORARY: &str = ".new-";
/// Seconds after which what a process that was killed left is removed.
const STALE_S: i64 = 3600;

impl Folder {
    /// Opens or makes the folder of the repository at `place` below `root`.
    pub(super) fn open(root: &Path, place: &str, max_bytes: u64) -> io::Result<Self> {
        let name = format!("{:016x}", checksum(CrcAlgorithm::Crc64Nvme, place.as_bytes()));
        let made = mkdir(root, Mode::RWXU);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = open(root, flags, Mode::empty()).map_err(|e| made.err().unwrap_or(e))?;
        let made = mkdirat(&above, &name, Mode::RWXU);
        let dir = openat(&above, &name, flags | OFlags::NOFOLLOW, Mode::empty());
        let dir = dir.map_err(|e| made.err().unwrap_or(e))?;
        let stat = fstat(&dir)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
            let what = format!("others may write to its folder {name}");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        let folder = Folder {
            dir,
            path: root.join(name).display().to_string(),
            max_bytes,
            bytes: AtomicU64::new(0),
            ranges: Mutex::default(),
            read_only: AtomicBool::new(false),
            written: AtomicU64::new(0),
        };
        folder.look_around()?;
        Ok(folder)
    }

    /// Returns a blob or a range of it, if it is here and as it was written. `modified_ns`: the time that it must have.
    pub(super) fn get(
        &self,
        id: &BlobId,
        range: Option<&Range<u64>>,
        modified_ns: Option<i64>,
        into: &mut Vec<u8>,
    ) -> bool {
        let Some(range) = range else {
            return name_of(id, None).is_some_and(|name| self.read(&name, modified_ns, into));
        };
        let kept = self.ranges().get(id).and_then(|all| {
            all.iter().find(|kept| kept.start <= range.start && range.end <= kept.end).cloned()
        });
        let Some((kept, name)) = kept.and_then(|kept| Some((kept.clone(), name_of(id, Some(&kept))?))) else {
            return false;
        };
        if !self.read(&name, modified_ns, into) || into.len() as u64 != kept.end - kept.start {
            if let Some(all) = self.ranges().get_mut(id) {
                all.retain(|other| *other != kept);
            }
            return false;
        }
        into.truncate((range.end - kept.start) as usize);
        into.drain(..(range.start - kept.start) as usize);
        true
    }

    /// Keeps what the storage gave. A failure is warned of once, and nothing is kept from then on.
    pub(super) fn put(&self, id: &BlobId, range: Option<&Range<u64>>, modified_ns: i64, bytes: &[u8]) {
        // A single blob must not push out everything else.
        let too_large = bytes.len() as u64 > self.max_bytes / 8;
        let Some(name) = name_of(id, range).filter(|_| !too_large) else { return };
        if self.read_only.load(Ordering::Relaxed) {
            return;
        }
        if let Err(e) = self.write(&name, modified_ns, bytes) {
            if !self.read_only.swap(true, Ordering::Relaxed) {
                tracing::warn!("no more metadata is cached in {}: {e}", self.path);
            }
            return;
        }
        if let Some(range) = range {
            self.ranges().entry(id.clone()).or_default().push(range.clone());
        }
        let len = (bytes.len() + HEADER) as u64;
        if self.bytes.fetch_add(len, Ordering::Relaxed) + len > self.max_bytes
            && let Err(e) = self.make_room()
        {
            tracing::warn!("old metadata cannot be removed from {}: {e}", self.path);
            self.read_only.store(true, Ordering::Relaxed);
        }
    }

    /// Removes what is kept of a blob.
    pub(super) fn forget(&self, id: &BlobId) {
        let ranges = self.ranges().remove(id).unwrap_or_default();
        for range in ranges.iter().map(Some).chain([None]) {
            if let Some(name) = name_of(id, range) {
                let _ = unlinkat(&self.dir, &name, AtFlags::empty());
            }
        }
    }

    fn ranges(&self) -> MutexGuard<'_, HashMap<BlobId, Vec<Range<u64>>>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, name: &str, modified_ns: Option<i64>, into: &mut Vec<u8>) -> bool {
        into.clear();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Ok(file) = openat(&self.dir, name, flags, Mode::empty()) else { return false };
        let whole = |stat: rustix::fs::Stat| {
            let len = u64::try_from(stat.st_size).ok()?.checked_sub(HEADER as u64)?;
            (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && len <= self.max_bytes)
                .then_some(len)
        };
        let Some(len) = fstat(&file).ok().and_then(whole) else { return false };
        let (mut header, mut file) = ([0; HEADER], File::from(file));
        if file.read_exact(&mut header).is_err() {
            return false;
        }
        let _ = into.try_reserve_exact(usize::try_from(len).unwrap_or(usize::MAX));
        if file.take(len).read_to_end(into).is_err() {
            return false;
        }
        let time = i64::from_le_bytes(header[8..16].try_into().unwrap_or_default());
        header == header_of(name, time, into) && modified_ns.is_none_or(|wanted| wanted == time)
    }

    fn write(&self, name: &str, modified_ns: i64, bytes: &[u8]) -> io::Result<()> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        // Two processes in two containers may have the same number.
        let salt = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), number);
        let temporary = format!("{TEMPORARY}{}-{salt:016x}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(openat(&self.dir, &temporary, flags, Mode::RUSR | Mode::WUSR)?);
        let written =
            file.write_all(&header_of(name, modified_ns, bytes)).and_then(|()| file.write_all(bytes));
        drop(file);
        let renamed = written.and_then(|()| Ok(renameat(&self.dir, &temporary, &self.dir, name)?));
        if renamed.is_err() {
            let _ = unlinkat(&self.dir, &temporary, AtFlags::empty());
        }
        renamed
    }

    /// Counts what is here, and removes what killed processes left.
    fn look_around(&self) -> io::Result<()> {
        let now = jiff::Timestamp::now().as_second();
        let mut total = 0;
        for file in self.files()? {
            if file.name.starts_with(TEMPORARY) {
                if now - file.modified_s > STALE_S {
                    let _ = unlinkat(&self.dir, &file.name, AtFlags::empty());
                }
                continue;
            }
            total += file.len;
            if let Some((id, range)) = range_of(&file.name) {
                self.ranges().entry(id).or_default().push(range);
            }
        }
        self.bytes.store(total, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the oldest files until a tenth of the room is free, so that this is seldom done.
    fn make_room(&self) -> io::Result<()> {
        let mut files = self.files()?;
        files.retain(|file| !file.name.starts_with(TEMPORARY));
        files.sort_by(|a, b| {
            (a.modified_s, a.modified_ns, &a.name).cmp(&(b.modified_s, b.modified_ns, &b.name))
        });
        let mut total: u64 = files.iter().map(|file| file.len).sum();
        for file in files {
            if total <= self.max_bytes / 10 * 9 {
                break;
            }
            match unlinkat(&self.dir, &file.name, AtFlags::empty()) {
                // Another process was faster.
                Ok(()) | Err(rustix::io::Errno::NOENT) => total -= file.len,
                Err(e) => return Err(e.into()),
            }
        }
        self.bytes.store(total, Ordering::Relaxed);
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<Kept>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(&self.dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            // Gone meanwhile: another process made room.
            let Ok(stat) = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                let len = u64::try_from(stat.st_size).unwrap_or(0);
                let (modified_s, modified_ns) =
                    (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
                files.push(Kept { name: name.to_owned(), len, modified_s, modified_ns });
            }
        }
        Ok(files)
    }
}

struct Kept {
    name: String,
    len: u64,
    modified_s: i64,
    modified_ns: i64,
}

fn header_of(name: &str, modified_ns: i64, bytes: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&modified_ns.to_le_bytes());
    header[16..24].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme);
    digest.update(name.as_bytes());
    digest.update(&header[..24]);
    digest.update(bytes);
    header[24..].copy_from_slice(&digest.finalize().to_le_bytes());
    header
}

/// Returns the file's name; `None` for a blob whose name no file should have.
fn name_of(id: &BlobId, range: Option<&Range<u64>>) -> Option<String> {
    let id = id.as_str();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = id.len() <= 200 && !id.starts_with('.') && id.bytes().all(plain);
    fits.then(|| range.map_or_else(|| id.to_owned(), |r| format!("{id}@{}-{}", r.start, r.end)))
}

fn range_of(name: &str) -> Option<(BlobId, Range<u64>)> {
    let (id, range) = name.split_once('@')?;
    let (start, end) = range.split_once('-')?;
    Some((BlobId::parse(id).ok()?, start.parse().ok()?..end.parse().ok()?))
}
