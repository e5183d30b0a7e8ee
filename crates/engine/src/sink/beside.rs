//! Makes a new file or link beside an old one, and puts it there when it is complete.
//!
//! What has a name meanwhile is called `.rekopia-new-N`. A run that is killed can leave such names behind; a later one
//! that changes something in the same directory removes them, if they are its own user's, nobody is writing them, and
//! they are not of the snapshot.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::closing;
use super::handles::DirHandle;
use super::node::DirNode;

/// A file that is being written. It has no name until it is complete, where the file system has such files.
#[derive(Debug)]
pub(super) struct Beside {
    file: OwnedFd,
    node: Arc<DirNode>,
    dir: Arc<OwnedFd>,
    name: Mutex<Option<String>>,
    placed: AtomicBool,
}

const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const PREFIX: &str = ".rekopia-new-";
/// Names that are tried before it is said that they are taken.
const NAMES: u32 = 10_000;

impl Beside {
    /// Makes an empty file in the directory, private.
    pub(super) fn create(node: &Arc<DirNode>, dir: &DirHandle) -> Result<Self, Errno> {
        if let Ok(file) = rustix::fs::openat(&dir.fd, ".", FLAGS | OFlags::TMPFILE, PRIVATE)
            // Whether `/proc` is there to link it: this name is always taken.
            && link(&file, &dir.fd, ".") == Err(Errno::EXIST)
        {
            lock_file(&file)?;
            return Ok(Beside::new(node, dir, file, None));
        }
        Beside::named(node, dir)
    }

    /// Makes an empty file that never takes a place: it is gone when it is dropped.
    pub(super) fn aside(node: &Arc<DirNode>, dir: &DirHandle) -> Result<Self, Errno> {
        match rustix::fs::openat(&dir.fd, ".", FLAGS | OFlags::TMPFILE, PRIVATE) {
            Ok(file) => Ok(Beside::new(node, dir, file, None)),
            // If something else is wrong, this says it again.
            Err(_) => Beside::named(node, dir),
        }
    }

    fn new(node: &Arc<DirNode>, dir: &DirHandle, file: OwnedFd, name: Option<String>) -> Self {
        let (name, placed) = (Mutex::new(name), AtomicBool::new(false));
        Beside { file, node: Arc::clone(node), dir: Arc::clone(&dir.fd), name, placed }
    }

    fn named(node: &Arc<DirNode>, dir: &DirHandle) -> Result<Self, Errno> {
        let (name, file) = under_free_name(node, &dir.fd, |name| {
            let flags = FLAGS | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let file = rustix::fs::openat(&dir.fd, name, flags, PRIVATE)?;
            lock_file(&file)?;
            // Another run may have taken it for a leftover before it was locked.
            if rustix::fs::fstat(&file)?.st_nlink == 0 { Err(Errno::WOULDBLOCK) } else { Ok(file) }
        })?;
        Ok(Beside::new(node, dir, file, Some(name)))
    }

    /// Gives the file a name of its own, while it is still ours: a file that was given away may not be linked.
    pub(super) fn give_name(&self) -> Result<(), Errno> {
        let mut own = self.own_name();
        if own.is_none() {
            let (name, ()) =
                under_free_name(&self.node, &self.dir, |name| link(&self.file, &self.dir, name))?;
            *own = Some(name);
        }
        Ok(())
    }

    /// Takes the place of `name`: in one step, so that the old one or the new one is there at any moment.
    pub(super) fn put(&self, name: &str) -> Result<(), Errno> {
        self.give_name()?;
        // What closing says comes too late when the old file is gone.
        closing::flush(&self.file)?;
        if let Some(own) = &*self.own_name() {
            rustix::fs::renameat(&self.dir, own, &self.dir, name)?;
        }
        self.placed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn own_name(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Beside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.placed.load(Ordering::Relaxed)
            && let Some(own) = &*self.own_name()
        {
            let _ = rustix::fs::unlinkat(&self.dir, own, AtFlags::empty());
        }
    }
}

/// Puts a symbolic link to `target` in the place of `name`, in one step.
pub(super) fn put_link(node: &DirNode, dir: &DirHandle, name: &str, target: &[u8]) -> Result<(), Errno> {
    // A link cannot be locked: none is made while leftovers are removed.
    let (_, placed) = under_free_name(node, &dir.fd, |own| {
        rustix::fs::symlinkat(target, &dir.fd, own)?;
        let placed = rustix::fs::renameat(&dir.fd, own, &dir.fd, name);
        if placed.is_err() {
            let _ = rustix::fs::unlinkat(&dir.fd, own, AtFlags::empty());
        }
        Ok(placed)
    })?;
    placed
}

/// Notes that an entry of the snapshot in this directory has such a name, so that none is taken for a leftover.
pub(super) fn spare(node: &DirNode, name: &str) {
    if name.starts_with(PREFIX) {
        *node.spares_leftovers.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// Returns what `make` makes of the first name for which it succeeds.
fn under_free_name<T>(
    node: &DirNode,
    dir: &OwnedFd,
    mut make: impl FnMut(&str) -> Result<T, Errno>,
) -> Result<(String, T), Errno> {
    let spares = node.spares_leftovers.lock().unwrap_or_else(PoisonError::into_inner);
    for number in 0..NAMES {
        let name = format!("{PREFIX}{number}");
        let mut made = make(&name);
        if made.as_ref().is_err_and(|e| *e == Errno::EXIST) && !*spares && remove_leftover(dir, &name) {
            made = make(&name);
        }
        match made {
            // Taken, or another run is at it.
            Err(Errno::EXIST | Errno::WOULDBLOCK) => {}
            other => return other.map(|made| (name, made)),
        }
    }
    Err(Errno::EXIST)
}

/// Removes what a killed run left in a directory that was there before, once a run. A killed run leaves something
/// only where it was changing something, so that it is enough to look where something changes again.
pub(super) fn sweep(node: &DirNode, dir: &DirHandle) {
    if dir.fresh || node.swept.swap(true, Ordering::Relaxed) {
        return;
    }
    let spares = node.spares_leftovers.lock().unwrap_or_else(PoisonError::into_inner);
    if *spares {
        return;
    }
    let Ok(names) = Dir::read_from(&dir.fd) else { return };
    for name in names.flatten() {
        let Ok(name) = name.file_name().to_str() else { continue };
        let number = name.strip_prefix(PREFIX).and_then(|n| n.parse::<u32>().ok());
        if number.is_some_and(|n| n < NAMES && name == format!("{PREFIX}{n}")) {
            remove_leftover(&dir.fd, name);
        }
    }
}

/// Removes what our user made and no running process writes; returns whether it did.
fn remove_leftover(dir: &OwnedFd, name: &str) -> bool {
    let look = || rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    let Ok(stat) = look() else { return false };
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return false;
    }
    let remove = || rustix::fs::unlinkat(dir, name, AtFlags::empty()).is_ok();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => remove(),
        FileType::RegularFile => {
            let flags = FLAGS | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let Ok(file) = rustix::fs::openat(dir, name, flags, Mode::empty()) else { return false };
            // Locked until it is gone, and looked at again: another run may be at the same.
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
                && look().is_ok_and(|now| rustix::fs::fstat(&file).is_ok_and(|it| it.st_ino == now.st_ino))
                && remove()
        }
        _ => false,
    }
}

/// Locks the file, where that can be done, so that others know that it is being written.
fn lock_file(file: &OwnedFd) -> Result<(), Errno> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(Errno::WOULDBLOCK),
        _ => Ok(()),
    }
}

/// Gives an unnamed file a name; the way through `/proc` is the one that needs no privilege.
fn link(file: &OwnedFd, dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, from, dir, name, AtFlags::SYMLINK_FOLLOW)
}
