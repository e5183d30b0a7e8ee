//! Open directories: at most a few hundred, opened again beneath the root when needed, and recognised.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{Access, AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::Sink;
use super::aside::{self, Aside};
use super::closed::Closed;
use super::error::{SinkError, SinkErrorKind};
use super::existing::Existing;
use super::folding;
use super::metadata::{self, Attributes};
use super::mounts::{self, DIR_FLAGS, Entered, device};
use super::node::{DirNode, Opened};
use super::remove::is_protected;

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
/// Bytes of a path that is opened in one hop; the kernel takes 4,096.
const MAX_HOP: usize = 4000;

impl Handles {
    /// Opens `node`, creating it and its parents where they are missing. Iterative: trees are deep.
    pub(super) fn open(&self, node: &Arc<DirNode>, sink: &Sink) -> Result<DirHandle, SinkError> {
        if let Some(handle) = ready(node) {
            return Ok(handle);
        }
        let mut chain = vec![Arc::clone(node)];
        let mut at = loop {
            let last = &chain[chain.len() - 1];
            let Some(parent) = last.parent() else {
                if sink.options.looks_only {
                    return Err(SinkError::absent(node.path()));
                }
                chain.pop();
                break sink.open_root()?;
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
                at = self.create(&at, &next, sink)?;
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

    /// Opens the directory of `node` in `parent`, or makes it.
    fn create(&self, parent: &DirHandle, node: &Arc<DirNode>, sink: &Sink) -> Result<DirHandle, SinkError> {
        // Held until the node is set, so that two threads make a directory once.
        let mut slot = lock(&node.handle);
        if let Some(fd) = &*slot {
            return Ok(DirHandle { fd: Arc::clone(fd), fresh: node.opened().is_some_and(|o| o.fresh) });
        }
        if node.opened().is_some() {
            // Another thread has just made it, and keeps its handle in a moment.
            drop(slot);
            return self.reopen(parent, node.name(), node);
        }
        let is_new = parent.fresh && !sink.is_written.load(Ordering::Acquire);
        let found = if is_new { None } else { self.find(parent, node, sink)? };
        let (entered, existed) = match found {
            Some((entered, existed)) => (entered, Some(existed)),
            None if sink.options.looks_only => return Err(SinkError::absent(node.path())),
            None => match self.make(parent, node, sink) {
                Ok(entered) => (entered, None),
                // A fresh root may hold `lost+found`.
                Err(e) if e.is_taken() && node.name() == "lost+found" => {
                    match self.find(parent, node, sink)? {
                        Some((entered, existed)) => (entered, Some(existed)),
                        None => return Err(e),
                    }
                }
                Err(e) => {
                    // What was moved aside for it comes back.
                    if let Some(aside) = lock(&node.aside).take() {
                        let _ = aside.put_back();
                    }
                    return Err(e);
                }
            },
        };
        let above = node.parent().and_then(|above| above.opened());
        let crossed = above.is_some_and(|above| above.crossed) || entered.crosses;
        node.set_opened(Opened { crossed, ..Opened::of(&entered.stat, existed.is_none(), existed) });
        if existed.is_some() && !sink.options.looks_only {
            aside::put_back_leftovers(sink, &entered.fd);
        }
        // `put` takes this lock itself.
        *slot = None;
        drop(slot);
        Ok(self.put(node, entered.fd))
    }

    /// A directory that is there already, with the attributes that it had.
    fn find(
        &self,
        parent: &DirHandle,
        node: &Arc<DirNode>,
        sink: &Sink,
    ) -> Result<Option<(Entered, Attributes)>, SinkError> {
        let (name, shown) = (node.name(), || node.path());
        let dev = node.parent().and_then(|above| above.opened()).map_or(0, |above| above.dev);
        let mut was = None;
        let entered = match mounts::enter(&parent.fd, dev, name) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return self.clear_the_way(parent, node, sink).map(|()| None),
            // Ours, but not readable for us: it gets its mode back when it is finished.
            Err(Errno::ACCESS) => Closed::hold(&parent.fd, name, FileType::Directory).and_then(|held| {
                held.chmod(Mode::RWXU)?;
                was = Some(metadata::of_stat(&held.stat));
                mounts::enter(&parent.fd, dev, name)
            }),
            other => other,
        };
        let entered = entered.map_err(|e| SinkError::sys("opening", &shown(), e))?;
        let existed = was.unwrap_or_else(|| metadata::of_stat(&entered.stat));
        if sink.repository == Some((device(&entered.stat), entered.stat.st_ino)) {
            return Err(SinkError::in_repository(&shown()));
        }
        if is_protected(&sink.protected, &entered.stat) {
            return Err(SinkError::protected(&shown()));
        }
        if node.may_clash.load(Ordering::Relaxed) && folding::folds(&parent.fd, name) {
            return Err(SinkError::collision(&shown()));
        }
        // Without this nothing in it can even be looked at.
        let access = || rustix::fs::accessat(&entered.fd, ".", Access::EXEC_OK, AtFlags::EACCESS);
        if existed.mode & 0o100 == 0 && was.is_none() && access().is_err() {
            let _ = rustix::fs::fchmod(&entered.fd, Mode::from_raw_mode(entered.stat.st_mode | 0o700));
            was = Some(existed);
        }
        if was.is_some() {
            self.open_end(node);
        }
        Ok(Some((entered, existed)))
    }

    /// A new directory, private.
    fn make(&self, parent: &DirHandle, node: &Arc<DirNode>, sink: &Sink) -> Result<Entered, SinkError> {
        let (name, shown) = (node.name(), || node.path());
        sink.changing();
        let mut made = rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU);
        if made == Err(Errno::ACCESS) {
            if let Some(above) = node.parent() {
                self.widen(above, parent);
            }
            made = rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU);
        }
        made.map_err(|e| SinkError::created(&shown(), parent.fresh, e))?;
        let opened = rustix::fs::openat(&parent.fd, name, DIR_FLAGS, Mode::empty());
        let opened = opened.and_then(|fd| Ok(Entered { stat: rustix::fs::fstat(&fd)?, fd, crosses: false }));
        if opened.is_err() {
            // Else the next one who needs it would take it for another entry of this name.
            let _ = rustix::fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR);
        }
        opened.map_err(|e| SinkError::sys("opening", &shown(), e))
    }

    /// Something that is no directory is where one should be. A link is replaced; other things are moved aside, where
    /// extras may go.
    fn clear_the_way(&self, parent: &DirHandle, node: &Arc<DirNode>, sink: &Sink) -> Result<(), SinkError> {
        let (name, shown) = (node.name(), node.path());
        let stat = rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|e| SinkError::sys("looking at", &shown, e))?;
        if sink.options.keeps_existing {
            return Err(SinkError::kept(&shown));
        }
        let may_go = node.parent().is_some_and(|above| sink.moves_in(above));
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if !is_link && !may_go {
            return Err(sink.in_the_way(&shown, Existing::of(&stat).describe()));
        }
        if !is_link {
            aside::must_stay(sink, &parent.fd, name, &stat, &shown)?;
        }
        if sink.options.looks_only {
            return Ok(());
        }
        sink.changing();
        if let Some(above) = node.parent() {
            self.widen(above, parent);
        }
        let aside = Aside::of(&parent.fd, name, sink.options.first_aside, !is_link);
        *lock(&node.aside) = Some(aside.map_err(|e| SinkError::sys("replacing", &shown, e))?);
        self.open_end(node);
        Ok(())
    }

    /// A directory whose mode we have changed, or for which something was moved aside, is remembered until it is finished.
    fn open_end(&self, node: &Arc<DirNode>) {
        node.is_open_end.store(true, Ordering::Relaxed);
        lock(&self.unfinished).insert(Arc::as_ptr(node) as usize, Arc::clone(node));
    }

    /// The directory is finished; whether it was one that is remembered until then.
    pub(super) fn finished(&self, node: &Arc<DirNode>) -> bool {
        let was_open_end = node.is_open_end.swap(false, Ordering::Relaxed);
        if was_open_end {
            lock(&self.unfinished).remove(&(Arc::as_ptr(node) as usize));
        }
        was_open_end
    }

    /// Those that were not finished when the run ended.
    pub(super) fn take_unfinished(&self) -> Vec<Arc<DirNode>> {
        std::mem::take(&mut *lock(&self.unfinished)).into_values().collect()
    }

    /// Before something is made in the directory or taken from it: one of ours that is closed for writing is opened,
    /// until it is finished. Where it is not ours to change, writing will say what is wrong.
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
