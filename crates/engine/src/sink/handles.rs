//! Keeps directories open: at most a few hundred; those that are needed again are opened by `open_dir`.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::mounts::{self, DIR_FLAGS, device};
use super::node::DirNode;

/// A directory that is open, and whether anything foreign can be in it.
#[derive(Debug, Clone)]
pub(crate) struct DirHandle {
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) fresh: bool,
}

/// The open directories of a destination, in the order of their opening, with a second chance for used ones.
#[derive(Debug, Default)]
pub(super) struct Handles {
    open: Mutex<VecDeque<Weak<DirNode>>>,
    /// Directories that have to be put in order also when the run ends before them.
    unfinished: Mutex<HashMap<usize, Arc<DirNode>>>,
}

/// Directories that are open at once.
const MAX_OPEN: usize = 256;

impl Handles {
    /// Keeps an open directory.
    pub(super) fn put(&self, node: &Arc<DirNode>, fd: OwnedFd) -> DirHandle {
        let fd = Arc::new(fd);
        *lock(&node.handle) = Some(Arc::clone(&fd));
        let mut evicted = Vec::new();
        {
            let mut open = lock(&self.open);
            open.push_back(Arc::downgrade(node));
            let mut chances = open.len();
            while open.len() > MAX_OPEN {
                let Some(oldest) = open.pop_front() else { break };
                let Some(oldest) = oldest.upgrade() else { continue };
                let keep = oldest.parent().is_none() || oldest.used.swap(false, Ordering::Relaxed);
                if keep && chances > 0 {
                    chances -= 1;
                    open.push_back(Arc::downgrade(&oldest));
                } else {
                    evicted.push(lock(&oldest.handle).take());
                }
            }
        }
        drop(evicted);
        let fresh = node.opened().is_some_and(|o| o.fresh);
        DirHandle { fd, fresh }
    }

    /// Goes one step up after the last entry of `node`: its parent is needed next, and recognised by its inode.
    pub(super) fn climb(&self, node: &Arc<DirNode>, handle: &DirHandle) {
        let Some(parent) = node.parent() else { return };
        drop(lock(&node.handle).take());
        if lock(&parent.handle).is_some() {
            return;
        }
        let Some(opened) = parent.opened() else { return };
        if let Ok(fd) = rustix::fs::openat(&handle.fd, "..", DIR_FLAGS, Mode::empty())
            && rustix::fs::fstat(&fd).is_ok_and(|stat| opened.is(&stat))
        {
            self.put(parent, fd);
        }
    }

    /// Remembers a directory whose mode we have changed, or for which something was moved aside, until it is finished.
    pub(super) fn open_end(&self, node: &Arc<DirNode>) {
        node.is_open_end.store(true, Ordering::Relaxed);
        lock(&self.unfinished).insert(Arc::as_ptr(node) as usize, Arc::clone(node));
    }

    /// Notes that the directory is finished; returns whether it was one that is remembered until then.
    pub(super) fn finished(&self, node: &Arc<DirNode>) -> bool {
        let was_open_end = node.is_open_end.swap(false, Ordering::Relaxed);
        if was_open_end {
            lock(&self.unfinished).remove(&(Arc::as_ptr(node) as usize));
        }
        was_open_end
    }

    /// Takes the directories that were not finished when the run ended.
    pub(super) fn take_unfinished(&self) -> Vec<Arc<DirNode>> {
        std::mem::take(&mut *lock(&self.unfinished)).into_values().collect()
    }

    /// Opens a directory of ours that is closed for writing, until it is finished, before something is made in it or
    /// taken from it. Where it is not ours to change, writing will say what is wrong.
    pub(super) fn widen(&self, node: &Arc<DirNode>, handle: &DirHandle) {
        if node.widened.load(Ordering::Acquire) {
            return;
        }
        if let Ok(stat) = rustix::fs::fstat(&handle.fd)
            && stat.st_mode & 0o200 == 0
            && rustix::fs::fchmod(&handle.fd, Mode::from_raw_mode(stat.st_mode | 0o700)).is_ok()
        {
            self.open_end(node);
        }
        node.widened.store(true, Ordering::Release);
    }
}

/// Gives an existing directory the mode that it had.
pub(super) fn put_mode_back(node: &DirNode, handle: &DirHandle) {
    if let Some(existed) = node.opened().and_then(|opened| opened.existed) {
        let _ = rustix::fs::fchmod(&handle.fd, Mode::from_raw_mode(existed.mode as _));
    }
}

/// Returns the handle of a directory that is open.
pub(super) fn ready(node: &DirNode) -> Option<DirHandle> {
    let fd = lock(&node.handle).as_ref().map(Arc::clone)?;
    node.used.store(true, Ordering::Relaxed);
    Some(DirHandle { fd, fresh: node.opened().is_some_and(|o| o.fresh) })
}

/// Opens a path of plain directories on one mount, however long it is.
pub(super) fn open_path(from: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut dev = device(&rustix::fs::fstat(from)?);
    for name in path.iter() {
        let entered = mounts::enter(at.as_ref().unwrap_or(from), dev, name)?;
        if entered.crosses {
            return Err(Errno::XDEV);
        }
        dev = device(&entered.stat);
        at = Some(entered.fd);
    }
    at.ok_or(Errno::INVAL)
}

/// Opens a relative path of plain directories; no component may be a link.
pub(super) fn open_beneath(from: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(from, path, DIR_FLAGS, Mode::empty(), resolve) {
            // Not there before Linux 5.6, refused by older sandboxes.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
    }
    let mut at: Option<OwnedFd> = None;
    for name in path.split('/') {
        at = Some(rustix::fs::openat(at.as_ref().unwrap_or(from), name, DIR_FLAGS, Mode::empty())?);
    }
    at.ok_or(Errno::INVAL)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
