//! A new file in place of an old one: made beside it, put there when it is complete.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

/// It has no name, so that nothing of it stays when the run is killed. Where the file system has no such files it has
/// one of its own until it is put.
#[derive(Debug)]
pub(super) struct Beside {
    file: OwnedFd,
    dir: Arc<OwnedFd>,
    name: Option<String>,
    placed: AtomicBool,
}

const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Names that are tried before it is said that they are taken.
const NAMES: u32 = 10_000;

impl Beside {
    /// An empty file in `dir`, private.
    pub(super) fn create(dir: &Arc<OwnedFd>) -> Result<Self, Errno> {
        let made = |file, name| Beside { file, dir: Arc::clone(dir), name, placed: AtomicBool::new(false) };
        if let Ok(file) = rustix::fs::openat(dir, ".", FLAGS | OFlags::TMPFILE, PRIVATE)
            // Whether it could be linked: this name is always there.
            && link(&file, dir, ".") == Err(Errno::EXIST)
        {
            return Ok(made(file, None));
        }
        for number in 0..NAMES {
            let name = format!(".rekopia-new-{number}");
            let flags = FLAGS | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            match rustix::fs::openat(dir, &name, flags, PRIVATE) {
                Err(Errno::EXIST) => {}
                other => return other.map(|file| made(file, Some(name))),
            }
        }
        Err(Errno::EXIST)
    }

    /// Takes the place of `name`.
    pub(super) fn put(&self, name: &str) -> Result<(), Errno> {
        match &self.name {
            Some(own) => rustix::fs::renameat(&self.dir, own, &self.dir, name)?,
            // An unnamed file cannot be renamed: the old one goes when the new one is complete.
            None => match link(&self.file, &self.dir, name) {
                Err(Errno::EXIST) => {
                    rustix::fs::unlinkat(&self.dir, name, AtFlags::empty())?;
                    link(&self.file, &self.dir, name)?;
                }
                other => other?,
            },
        }
        self.placed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl AsFd for Beside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(own) = self.name.as_ref().filter(|_| !self.placed.load(Ordering::Relaxed)) {
            let _ = rustix::fs::unlinkat(&self.dir, own, AtFlags::empty());
        }
    }
}

/// Gives an unnamed file its name; the way through `/proc` is the one that needs no privilege.
fn link(file: &OwnedFd, dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, from, dir, name, AtFlags::SYMLINK_FOLLOW)
}
