//! Opens what is to be hashed, and hashes files. No link is followed; what is closed to us and ours is opened as long
//! as it takes.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::attributes::Attributes;
use super::closed::Closed;
use super::digest_record::{Entry, Kind};
use super::digested::Hashed;
use super::mounts::DIR_FLAGS;

/// A file that is to be hashed.
pub(super) struct Job {
    /// The file's place among all that is hashed.
    pub(super) number: u64,
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: CString,
}

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
const FILE_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// Hashes files with a buffer of its own.
pub(super) struct Reader(Vec<u8>);

impl Reader {
    pub(super) fn new() -> Self {
        Reader(vec![0; PIECE])
    }

    /// Reads a file and returns what its record says. `stop` is asked between two pieces.
    ///
    /// # Errors
    /// `CANCELED` when it was stopped; `STALE` when something else than a file is there by now.
    pub(super) fn read(
        &mut self,
        job: &Job,
        hashed: &Hashed,
        stop: &dyn Fn() -> bool,
    ) -> Result<Entry, Errno> {
        let file = open_file(&job.dir, &job.name)?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::STALE);
        }
        let (mut sha, mut size) = (Sha256::new(), 0);
        loop {
            if stop() {
                return Err(Errno::CANCELED);
            }
            match rustix::io::read(&file, &mut self.0[..]) {
                Ok(0) => break,
                Ok(n) => {
                    sha.update(&self.0[..n]);
                    size += n as u64;
                    Hashed::add(&hashed.bytes, n as u64);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        Hashed::add(&hashed.files, 1);
        let Attributes { mode, mtime_ns, .. } = Attributes::of(&stat);
        Ok(Entry { kind: Kind::File, mode, mtime_ns, size, hash: sha.finalize().into() })
    }
}

fn open_file(dir: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(dir, name, FILE_FLAGS, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let closed = Closed::hold(dir, name, FileType::RegularFile)?;
            closed.chmod(closed.mode() | Mode::RUSR)?;
            let opened = closed.open(FILE_FLAGS);
            closed.chmod(closed.mode())?;
            opened
        }
        other => other,
    }
}

/// Reads a link and returns what its record says.
pub(super) fn read_link(dir: &OwnedFd, name: &CStr, stat: &Stat, hashed: &Hashed) -> Result<Entry, Errno> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
    Hashed::add(&hashed.symlinks, 1);
    let Attributes { mtime_ns, .. } = Attributes::of(stat);
    let (target, mode) = (target.as_bytes(), 0);
    let hash = Sha256::digest(target).into();
    Ok(Entry { kind: Kind::Link, mode, mtime_ns, size: target.len() as u64, hash })
}

/// A directory that is open for listing.
pub(super) struct OpenedDir {
    pub(super) fd: Arc<OwnedFd>,
    /// The directory's attributes, before it had to be opened.
    pub(super) stat: Stat,
    pub(super) put_back: Option<PutBack>,
}

/// Gives a directory the mode back that it had, when it is dropped.
pub(super) struct PutBack(Arc<OwnedFd>, Mode);

impl Drop for PutBack {
    fn drop(&mut self) {
        let _ = rustix::fs::fchmod(&*self.0, self.1);
    }
}

/// Opens the directory `name` in `dir`.
pub(super) fn open_dir(dir: &OwnedFd, name: &CStr) -> Result<OpenedDir, Errno> {
    match rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let closed = Closed::hold(dir, name, FileType::Directory)?;
            closed.chmod(closed.mode() | Mode::RWXU)?;
            let opened = closed.open(DIR_FLAGS);
            let Ok(fd) = opened else {
                closed.chmod(closed.mode())?;
                return Err(Errno::ACCESS);
            };
            let (fd, mode) = (Arc::new(fd), closed.mode());
            Ok(OpenedDir { put_back: Some(PutBack(Arc::clone(&fd), mode)), stat: closed.stat, fd })
        }
        opened => searchable(Arc::new(opened?)),
    }
}

/// Makes sure that what is in an open directory can be opened, too.
pub(super) fn searchable(fd: Arc<OwnedFd>) -> Result<OpenedDir, Errno> {
    let stat = rustix::fs::fstat(&*fd)?;
    let is_ours = rustix::process::geteuid().as_raw() == stat.st_uid;
    let access = || rustix::fs::accessat(&*fd, ".", Access::READ_OK | Access::EXEC_OK, AtFlags::EACCESS);
    let mut put_back = None;
    if is_ours && stat.st_mode & 0o500 != 0o500 && access().is_err() {
        let mode = Mode::from_raw_mode(stat.st_mode);
        rustix::fs::fchmod(&*fd, mode | Mode::RWXU)?;
        put_back = Some(PutBack(Arc::clone(&fd), mode));
    }
    Ok(OpenedDir { fd, stat, put_back })
}

/// Opens a directory by its path, links and all.
pub(crate) fn open_to_read(path: &Path) -> std::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
