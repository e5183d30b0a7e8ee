//! Opens directories of the target, or makes them: beneath the root, by one checked name after the other, and recognised.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::aside::Aside;
use super::attributes::Attributes;
use super::closed::Closed;
use super::error::{SinkError, SinkErrorKind};
use super::existing::Existing;
use super::handles::{DirHandle, lock, open_beneath, ready};
use super::in_the_way::{must_stay, put_back_leftovers};
use super::mounts::{self, DIR_FLAGS, Entered, device};
use super::node::{DirNode, Opened};
use super::remove::is_protected;
use super::state::{Sink, Start};
use super::{folding, space};

/// Bytes of a path that is opened in one hop; the kernel takes 4,096.
const MAX_HOP: usize = 4000;

impl Sink {
    /// Opens the root. A root that is not there is made with the first entry.
    ///
    /// # Errors
    /// [`SinkError::is_absent`] when the root is not there and is only looked at; those of opening it.
    pub(crate) fn begin(&self) -> Result<(), SinkError> {
        match self.start {
            Start::Absent if self.options.looks_only => Err(SinkError::absent(String::new())),
            Start::Absent => Ok(()),
            Start::Empty | Start::Filled => self.open_root().map(drop),
        }
    }

    /// Returns the root, open, and made if it was not there.
    fn open_root(&self) -> Result<DirHandle, SinkError> {
        let _once = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = ready(&self.root) {
            return Ok(handle);
        }
        if self.start == Start::Absent {
            std::fs::create_dir_all(&self.path)
                .map_err(|e| SinkError::std("creating", &self.path.to_string_lossy(), e))?;
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let shown = self.path.to_string_lossy();
        let open = || {
            rustix::fs::open(&self.path, flags, Mode::empty())
                .map_err(|e| SinkError::sys("opening", &shown, e))
        };
        let (root, sync) = (open()?, open()?);
        let _ = self.needs_fdatasync.set(space::needs_fdatasync(&sync));
        let _ = self.sync_root.set(sync);
        let stat = rustix::fs::fstat(&root).map_err(|e| SinkError::sys("looking at", &shown, e))?;
        let existed = (self.start != Start::Absent).then(|| Attributes::of(&stat));
        let fresh = self.is_fresh() && !self.options.looks_only;
        self.root.set_opened(Opened::of(&stat, fresh, existed));
        if self.start == Start::Absent {
            self.changing();
        } else if !self.options.looks_only {
            put_back_leftovers(self, &root);
        }
        Ok(self.handles.put(&self.root, root))
    }

    /// Opens the directory, which is created (private) with its parents if it is not there.
    pub(crate) fn dir(&self, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        self.open_chain(node)
    }

    /// Opens the directory, for something to be made in it or taken from it.
    pub(crate) fn dir_to_change(&self, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        let handle = self.dir(node)?;
        self.changing();
        self.handles.widen(node, &handle);
        Ok(handle)
    }

    /// Opens `node`, creating it and its parents where they are missing. Iterative: trees are deep.
    fn open_chain(&self, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        if let Some(handle) = ready(node) {
            return Ok(handle);
        }
        let mut chain = vec![Arc::clone(node)];
        let mut at = loop {
            let last = &chain[chain.len() - 1];
            let Some(parent) = last.parent() else {
                if self.options.looks_only {
                    return Err(SinkError::absent(node.path()));
                }
                chain.pop();
                break self.open_root()?;
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
                at = self.reopen_dir(&at, &path, &last)?;
            } else {
                at = self.enter_or_make(&at, &next)?;
            }
        }
        Ok(at)
    }

    fn reopen_dir(&self, from: &DirHandle, path: &str, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        let failed = |e| SinkError::sys("opening", &node.path(), e);
        let fd = open_beneath(&from.fd, path).map_err(failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(failed)?;
        if !node.opened().is_some_and(|o| o.is(&stat)) {
            let moved = std::io::Error::other("it is not the directory that it was");
            return Err(SinkError::new(SinkErrorKind::Io, "opening", node.path(), moved));
        }
        Ok(self.handles.put(node, fd))
    }

    /// Opens the directory of `node` in `parent`, or makes it.
    fn enter_or_make(&self, parent: &DirHandle, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        // Held until the node is set, so that two threads make a directory once.
        let mut slot = lock(&node.handle);
        if let Some(fd) = &*slot {
            return Ok(DirHandle { fd: Arc::clone(fd), fresh: node.opened().is_some_and(|o| o.fresh) });
        }
        if node.opened().is_some() {
            // Another thread has just made it, and keeps its handle in a moment.
            drop(slot);
            return self.reopen_dir(parent, node.name(), node);
        }
        let is_new = parent.fresh && !self.is_written.load(Ordering::Acquire);
        let found = if is_new { None } else { self.enter_existing(parent, node)? };
        let (entered, existed) = match found {
            Some((entered, existed)) => (entered, Some(existed)),
            None if self.options.looks_only => return Err(SinkError::absent(node.path())),
            None => match self.make_dir(parent, node) {
                Ok(entered) => (entered, None),
                // A fresh root may hold `lost+found`.
                Err(e) if e.is_taken() && node.name() == "lost+found" => {
                    match self.enter_existing(parent, node)? {
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
        if existed.is_some() && !self.options.looks_only {
            put_back_leftovers(self, &entered.fd);
        }
        // `put` takes this lock itself.
        *slot = None;
        drop(slot);
        Ok(self.handles.put(node, entered.fd))
    }

    /// Enters a directory that is there already, with the attributes that it had.
    fn enter_existing(
        &self,
        parent: &DirHandle,
        node: &Arc<DirNode>,
    ) -> Result<Option<(Entered, Attributes)>, SinkError> {
        let (name, shown) = (node.name(), || node.path());
        let dev = node.parent().and_then(|above| above.opened()).map_or(0, |above| above.dev);
        let mut was = None;
        let entered = match mounts::enter(&parent.fd, dev, name) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return self.clear_the_way(parent, node).map(|()| None),
            // Ours, but not readable for us: it gets its mode back when it is finished.
            Err(Errno::ACCESS) => Closed::hold(&parent.fd, name, FileType::Directory).and_then(|held| {
                held.chmod(Mode::RWXU)?;
                was = Some(Attributes::of(&held.stat));
                mounts::enter(&parent.fd, dev, name)
            }),
            other => other,
        };
        let entered = entered.map_err(|e| SinkError::sys("opening", &shown(), e))?;
        let existed = was.unwrap_or_else(|| Attributes::of(&entered.stat));
        if self.repository == Some((device(&entered.stat), entered.stat.st_ino)) {
            return Err(SinkError::in_repository(&shown()));
        }
        if is_protected(&self.protected, &entered.stat) {
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
            self.handles.open_end(node);
        }
        Ok(Some((entered, existed)))
    }

    /// Makes a new directory, private.
    fn make_dir(&self, parent: &DirHandle, node: &Arc<DirNode>) -> Result<Entered, SinkError> {
        let (name, shown) = (node.name(), || node.path());
        self.changing();
        let mut made = rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU);
        if made == Err(Errno::ACCESS) {
            if let Some(above) = node.parent() {
                self.handles.widen(above, parent);
            }
            made = rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU);
        }
        made.map_err(|e| SinkError::created(&shown(), parent.fresh, e))?;
        let opened = rustix::fs::openat(&parent.fd, name, DIR_FLAGS, Mode::empty());
        let opened = opened.and_then(|fd| Ok(Entered { stat: rustix::fs::fstat(&fd)?, fd, crosses: false }));
        if opened.is_err() {
            // If it stayed, the next thread that needs it would take it for another entry of this name.
            let _ = rustix::fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR);
        }
        opened.map_err(|e| SinkError::sys("opening", &shown(), e))
    }

    /// Clears away something that is no directory where one should be. A link is replaced; other things are moved
    /// aside, where extras may go.
    fn clear_the_way(&self, parent: &DirHandle, node: &Arc<DirNode>) -> Result<(), SinkError> {
        let (name, shown) = (node.name(), node.path());
        let stat = rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|e| SinkError::sys("looking at", &shown, e))?;
        if self.options.keeps_existing {
            return Err(SinkError::kept(&shown));
        }
        let may_go = node.parent().is_some_and(|above| self.moves_in(above));
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if !is_link && !may_go {
            return Err(self.in_the_way(&shown, Existing::of(&stat).describe()));
        }
        if !is_link {
            must_stay(self, &parent.fd, name, &stat, &shown)?;
        }
        if self.options.looks_only {
            return Ok(());
        }
        self.changing();
        if let Some(above) = node.parent() {
            self.handles.widen(above, parent);
        }
        let aside = Aside::of(&parent.fd, name, self.options.first_aside, !is_link);
        *lock(&node.aside) = Some(aside.map_err(|e| SinkError::sys("replacing", &shown, e))?);
        self.handles.open_end(node);
        Ok(())
    }
}
