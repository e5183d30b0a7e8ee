//! Open directories: at most a few hundred, opened again beneath the root when needed, and recognised.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::closed::Closed;
use super::error::{SinkError, SinkErrorKind};
use super::existing::Existing;
use super::metadata;
use super::node::{DirNode, Opened};

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
}

/// Directories that are open at once.
const MAX_OPEN: usize = 256;
/// Bytes of a path that is opened in one hop; the kernel takes 4,096.
const MAX_HOP: usize = 4000;
const DIR_FLAGS: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

impl Handles {
    /// Opens `node`, creating it and its parents where they are missing. Iterative: trees are deep.
    pub(super) fn open(&self, node: &Arc<DirNode>, delete_extra: bool) -> Result<DirHandle, SinkError> {
        if let Some(handle) = ready(node) {
            return Ok(handle);
        }
        let mut chain = vec![Arc::clone(node)];
        let mut at = loop {
            let last = &chain[chain.len() - 1];
            let Some(parent) = last.parent() else {
                let closed = std::io::Error::other("the target was not opened");
                return Err(SinkError::new(SinkErrorKind::Io, "opening", last.path(), closed));
            };
            match ready(parent) {
                Some(handle) => break handle,
                None => chain.push(Arc::clone(parent)),
            }
        };
        while let Some(next) = chain.pop() {
            if next.opened().is_some() {
                // Known directories are passed in one hop as long as the path is.
                let mut path = next.name().to_owned();
                let mut last = next;
                while let Some(below) = chain.last().filter(|n| n.opened().is_some()) {
                    if path.len() + 1 + below.name().len() > MAX_HOP {
                        break;
                    }
                    path.push('/');
                    path.push_str(below.name());
                    last = Arc::clone(below);
                    chain.pop();
                }
                at = self.reopen(&at, &path, &last)?;
            } else {
                at = self.create(&at, &next, delete_extra)?;
            }
        }
        Ok(at)
    }

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

    /// After the last entry of `node` the next one to be needed is its parent: one step up, recognised by its inode.
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

    fn reopen(&self, from: &DirHandle, path: &str, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        let failed = |e| SinkError::sys("opening", &node.path(), e);
        let fd = open_beneath(&from.fd, path).map_err(failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(failed)?;
        if !node.opened().is_some_and(|o| o.is(&stat)) {
            let moved = std::io::Error::other("it is not the directory that it was");
            return Err(SinkError::new(SinkErrorKind::Io, "opening", node.path(), moved));
        }
        Ok(self.put(node, fd))
    }

    fn create(
        &self,
        parent: &DirHandle,
        node: &Arc<DirNode>,
        delete_extra: bool,
    ) -> Result<DirHandle, SinkError> {
        // Held until the node is set, so that two threads make a directory once.
        let mut slot = lock(&node.handle);
        if let Some(fd) = &*slot {
            return Ok(DirHandle { fd: Arc::clone(fd), fresh: node.opened().is_some_and(|o| o.fresh) });
        }
        let name = node.name();
        let shown = || node.path();
        let widen_parent = || {
            if let Some(above) = node.parent() {
                widen(above, parent);
            }
        };
        let mut mkdir = rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU);
        if mkdir == Err(Errno::ACCESS) {
            widen_parent();
            mkdir = rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU);
        }
        let made = match mkdir {
            Ok(()) => true,
            Err(Errno::EXIST) if node.opened().is_some() => false,
            Err(Errno::EXIST) if parent.fresh && node.parent().is_none_or(|p| p.parent().is_some()) => {
                return Err(SinkError::created(&shown(), true, Errno::EXIST));
            }
            Err(Errno::EXIST) => !clear_the_way(parent, name, delete_extra, &shown, widen_parent)?,
            Err(e) => return Err(SinkError::created(&shown(), parent.fresh, e)),
        };
        let mut closed = None;
        let fd = match rustix::fs::openat(&parent.fd, name, DIR_FLAGS, Mode::empty()) {
            // Ours, but not readable for us: it gets its mode back when it is finished.
            Err(Errno::ACCESS) => Closed::hold(&parent.fd, name, FileType::Directory).and_then(|held| {
                held.chmod(Mode::RWXU)?;
                closed = Some(held.stat);
                held.open(DIR_FLAGS)
            }),
            other => other,
        };
        let fd = fd.map_err(|e| SinkError::sys("opening", &shown(), e))?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| SinkError::sys("looking at", &shown(), e))?;
        let existed = (!made).then(|| metadata::of_stat(closed.as_ref().unwrap_or(&stat)));
        if existed.is_some_and(|a| a.mode & 0o100 == 0) {
            // Without this nothing in it can even be looked at.
            let _ = rustix::fs::fchmod(&fd, Mode::from_raw_mode(stat.st_mode | 0o700));
        }
        node.set_opened(Opened::of(&stat, made, existed));
        // `put` takes this lock itself.
        *slot = None;
        drop(slot);
        Ok(self.put(node, fd))
    }
}

/// Whether a directory is there already; a symbolic link in its place is removed and a directory made.
fn clear_the_way(
    parent: &DirHandle,
    name: &str,
    delete_extra: bool,
    shown: &impl Fn() -> String,
    widen: impl Fn(),
) -> Result<bool, SinkError> {
    let stat = rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = stat.map_err(|e| SinkError::sys("looking at", &shown(), e))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Directory {
        return Ok(true);
    }
    if kind != FileType::Symlink && !delete_extra {
        return Err(SinkError::conflict(&shown(), Existing::of(&stat).describe()));
    }
    widen();
    rustix::fs::unlinkat(&parent.fd, name, AtFlags::empty())
        .map_err(|e| SinkError::sys("replacing", &shown(), e))?;
    rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU).map_err(|e| SinkError::created(&shown(), false, e))?;
    Ok(false)
}

/// Before something is made in the directory or taken from it: one of ours that is closed for writing is opened, until
/// it is finished. Where it is not ours to change, writing will say what is wrong.
pub(super) fn widen(node: &DirNode, handle: &DirHandle) {
    if node.widened.load(Ordering::Acquire) {
        return;
    }
    if let Ok(stat) = rustix::fs::fstat(&handle.fd)
        && stat.st_mode & 0o200 == 0
    {
        let _ = rustix::fs::fchmod(&handle.fd, Mode::from_raw_mode(stat.st_mode | 0o700));
    }
    node.widened.store(true, Ordering::Release);
}

fn ready(node: &DirNode) -> Option<DirHandle> {
    let fd = lock(&node.handle).as_ref().map(Arc::clone)?;
    node.used.store(true, Ordering::Relaxed);
    Some(DirHandle { fd, fresh: node.opened().is_some_and(|o| o.fresh) })
}

/// Opens a relative path of plain directories; no component may be a link.
fn open_beneath(from: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
