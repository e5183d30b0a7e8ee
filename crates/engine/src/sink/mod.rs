//! The only door to the destination.
//!
//! Everything is done through directory handles: a name is one checked component below an open directory, symbolic
//! links are never followed, and what was created is recognised by device and inode when it is opened again. Files are
//! written under their final names, private until finished; what replaces something is made beside it, without a name or
//! as `.rekopia-new-N`, and takes its place in one step.

mod aside;
mod beside;
mod closed;
mod closing;
mod compare;
mod descent;
mod error;
mod existing;
mod extra;
mod file;
pub(crate) mod folding;
mod handles;
mod mark;
mod metadata;
mod mounts;
mod node;
mod overlap;
mod patch;
mod remove;
mod space;
mod staged;
mod subject;
mod swallowed;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use rekopia_format::entry_name::EntryName;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

pub(crate) use error::SinkError;
pub(crate) use existing::{Existing, ExistingBytes, ExistingKind};
pub(crate) use extra::{Listed, ListedKind, Listing};
pub(crate) use file::LargeFile;
pub use mark::clear_incomplete_mark;
pub use metadata::OwnerPolicy;
pub(crate) use metadata::{AttributePolicy, Attributes, FidelityIssue};
pub(crate) use node::DirNode;
pub(crate) use patch::Patch;

use error::SinkErrorKind;
use handles::{DirHandle, Handles};
use remove::{Protected, Removals};

/// How to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkOptions {
    pub(crate) policy: AttributePolicy,
    /// What is in the way of a restored entry is moved, and goes when that is complete.
    pub(crate) delete_extra: bool,
    /// Extras were to go, but it is not sure that the snapshot can be restored: what is in the way stays.
    pub(crate) in_doubt: bool,
    /// Whatever exists stays.
    pub(crate) keeps_existing: bool,
    /// Nothing is made or changed.
    pub(crate) looks_only: bool,
    /// Runs of zeros become holes.
    pub(crate) sparse: bool,
    /// The first number for a folder that holds what was in the way: the snapshot may have such names itself.
    pub(crate) first_aside: u64,
}

/// What an entry of the snapshot is, as far as a look at the target has to know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Want {
    /// A symbolic link.
    pub(crate) is_link: bool,
    /// Its directory has another name that a file system may take for this one.
    pub(crate) may_clash: bool,
}

/// A destination directory.
#[derive(Debug)]
pub(crate) struct Sink {
    path: PathBuf,
    root: Arc<DirNode>,
    pub(crate) options: SinkOptions,
    handles: Handles,
    files: file::OpenFiles,
    start: Start,
    /// Open before the first write, so that syncing it reports every write-back error since.
    sync_root: std::sync::OnceLock<OwnedFd>,
    needs_fdatasync: std::sync::OnceLock<bool>,
    swallowing: swallowed::Swallowing,
    /// What this run itself reads or writes.
    protected: Protected,
    /// Device and inode of the repository's folder, where it is one.
    repository: Option<(u64, u64)>,
    /// What was removed so far, and what could not be.
    pub(crate) removals: Removals,
    /// What the root's mark says while the restore is not complete; `None`: a restore without a mark.
    mark: Option<String>,
    /// Done before the first change.
    changed: std::sync::Once,
    /// Held while the root is opened.
    opening: std::sync::Mutex<()>,
    /// Everything is written: what is looked at from now on is there, also in what this run made.
    is_written: std::sync::atomic::AtomicBool,
}

/// What the target was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Absent,
    Empty,
    Filled,
}

impl Sink {
    /// Looks at the target and creates nothing. `attributes` are those of the root itself, where they are known.
    ///
    /// # Errors
    /// When the target is no directory, or nothing can be written there.
    pub(crate) fn open(
        target: &Path,
        attributes: Option<Attributes>,
        options: SinkOptions,
    ) -> Result<Self, SinkError> {
        let start = look_at_root(target)?;
        Ok(Sink {
            path: target.to_owned(),
            root: DirNode::root(attributes),
            options,
            handles: Handles::default(),
            files: file::OpenFiles::default(),
            start,
            sync_root: std::sync::OnceLock::new(),
            needs_fdatasync: std::sync::OnceLock::new(),
            swallowing: swallowed::Swallowing::default(),
            protected: Protected::new(),
            repository: None,
            removals: Removals::default(),
            mark: None,
            changed: std::sync::Once::new(),
            opening: std::sync::Mutex::new(()),
            is_written: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// Opens the root. One that is not there is made with the first entry.
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

    /// The root, open, and made if it was not there.
    fn open_root(&self) -> Result<DirHandle, SinkError> {
        let _once = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles::ready(&self.root) {
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
        let existed = (self.start != Start::Absent).then(|| metadata::of_stat(&stat));
        let fresh = self.is_fresh() && !self.options.looks_only;
        self.root.set_opened(node::Opened::of(&stat, fresh, existed));
        if self.start == Start::Absent {
            self.changing();
        } else if !self.options.looks_only {
            aside::put_back_leftovers(self, &root);
        }
        Ok(self.handles.put(&self.root, root))
    }

    /// Refuses a target that overlaps the repository, whose folder is `repository` where it is one; takes note of
    /// `protected` files and folders, which this run itself reads or writes.
    ///
    /// # Errors
    /// When the target is in the repository, or holds it and extras are to be deleted; when that would be everything.
    pub(crate) fn guard(
        &mut self,
        repository: Option<&Path>,
        protected: &[PathBuf],
    ) -> Result<(), SinkError> {
        self.repository = overlap::check(&self.path, repository, self.options.delete_extra)?;
        let ids = protected.iter().filter_map(|path| rustix::fs::stat(path).ok());
        self.protected.extend(ids.map(|stat| (mounts::device(&stat), stat.st_ino)));
        Ok(())
    }

    /// What the mark on the root says while the restore is not complete.
    pub(crate) fn set_mark(&mut self, text: String) {
        self.mark = Some(text);
    }

    /// Everything is written and is read back from now on.
    pub(crate) fn set_written(&self) {
        self.is_written.store(true, std::sync::atomic::Ordering::Release);
    }

    /// The node of the root.
    pub(crate) fn root(&self) -> &Arc<DirNode> {
        &self.root
    }

    /// Whether nothing can be in the way of anything.
    pub(crate) fn is_fresh(&self) -> bool {
        self.start != Start::Filled
    }

    /// A handle of the directory, which is created (private) with its parents if it is not there.
    pub(crate) fn dir(&self, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        self.handles.open(node, self)
    }

    /// A handle of the directory, for something to be made in it or taken from it.
    pub(crate) fn dir_to_change(&self, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        let handle = self.dir(node)?;
        self.changing();
        self.handles.widen(node, &handle);
        Ok(handle)
    }

    /// What is at `name` now; `None`: nothing. What cannot stay and may not go is refused (design: in the way).
    pub(crate) fn look(
        &self,
        dir: &Arc<DirNode>,
        name: &EntryName,
        want: Want,
    ) -> Result<Option<Existing>, SinkError> {
        let handle = match self.dir(dir) {
            Err(e) if e.is_absent() => return Ok(None),
            other => other?,
        };
        if handle.fresh {
            return Ok(None);
        }
        beside::spare(dir, name.as_str());
        let shown = || dir.path_of(name.as_str());
        let stat = match rustix::fs::statat(&handle.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| SinkError::sys("looking at", &shown(), e))?,
        };
        if remove::is_protected(&self.protected, &stat) {
            return Err(SinkError::protected(&shown()));
        }
        if want.may_clash && folding::folds(&handle.fd, name.as_str()) {
            return Err(SinkError::collision(&shown()));
        }
        let existing = Existing::of(&stat);
        match existing.kind {
            ExistingKind::Symlink => return Ok(Some(existing)),
            ExistingKind::File if !want.is_link => return Ok(Some(existing)),
            _ if self.options.keeps_existing => return Err(SinkError::kept(&shown())),
            _ => {}
        }
        self.may_move(dir, &handle, name, &stat, existing.describe()).map(|()| Some(existing))
    }

    /// Whether what is at `name` may be moved aside for something of another kind.
    fn may_move(
        &self,
        dir: &DirNode,
        handle: &DirHandle,
        name: &EntryName,
        stat: &rustix::fs::Stat,
        what: &str,
    ) -> Result<(), SinkError> {
        let shown = dir.path_of(name.as_str());
        if !self.moves_in(dir) {
            return Err(self.in_the_way(&shown, what));
        }
        aside::must_stay(self, &handle.fd, name.as_str(), stat, &shown)
    }

    /// Whether things in the way may be moved aside in this directory.
    fn moves_in(&self, dir: &DirNode) -> bool {
        self.options.delete_extra && !dir.opened().is_some_and(|opened| opened.crossed)
    }

    /// Something is in the way and stays; the hint is only given where it is true.
    fn in_the_way(&self, shown: &str, what: &str) -> SinkError {
        match (self.options.in_doubt, self.options.delete_extra) {
            (true, _) => {
                let why = "is in the way, and stays as long as not everything can be restored";
                SinkError::immovable(shown, &format!("a {what} {why}"))
            }
            (false, true) => SinkError::immovable(
                shown,
                &format!("a {what} is in the way, below a mount point, where nothing is deleted"),
            ),
            (false, false) => SinkError::conflict(shown, what),
        }
    }

    /// A symbolic link; an equal one stays.
    pub(crate) fn symlink(
        &self,
        node: &Arc<DirNode>,
        name: &EntryName,
        target: &[u8],
        attributes: &Attributes,
        existing: Option<&Existing>,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let shown = || node.path_of(name.as_str());
        if target.is_empty() || target.contains(&0) {
            return Err(SinkError::new(
                SinkErrorKind::Io,
                "creating",
                shown(),
                std::io::ErrorKind::InvalidInput.into(),
            ));
        }
        let (name, dir) = (name.as_str(), &self.dir(node)?);
        if existing.is_some_and(|e| e.kind == ExistingKind::Symlink) {
            let now = rustix::fs::readlinkat(&dir.fd, name, Vec::new());
            let now = now.map_err(|e| SinkError::sys("reading", &shown(), e))?;
            if now.as_bytes() == target {
                return metadata::set_link(self, (node, dir), name, attributes, existing, &shown);
            }
        }
        self.changing();
        self.handles.widen(node, dir);
        match existing {
            Some(existing) => {
                self.in_place_of(node, dir, name, existing.kind, || beside::put_link(node, dir, name, target))
            }
            None => rustix::fs::symlinkat(target, &dir.fd, name),
        }
        .inspect(|()| {
            if existing.is_some_and(|e| matches!(e.kind, ExistingKind::File | ExistingKind::Special)) {
                self.removals.gone(1);
            }
        })
        .map_err(|e| match existing {
            Some(_) => SinkError::sys("replacing", &shown(), e),
            None => SinkError::created(&shown(), dir.fresh, e),
        })?;
        metadata::set_link(self, (node, dir), name, attributes, None, &shown)
    }

    /// Does `put`, which takes the place of `name` in one step. A directory cannot be replaced so: it is moved aside
    /// before, comes back when that fails, and goes after it.
    fn in_place_of(
        &self,
        node: &DirNode,
        dir: &DirHandle,
        name: &str,
        kind: ExistingKind,
        put: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if kind != ExistingKind::Directory {
            return put();
        }
        let aside = aside::Aside::of(&dir.fd, name, self.options.first_aside, true)?;
        if let Err(e) = put() {
            aside.put_back()?;
            return Err(e);
        }
        aside.discard(self, &node.path());
        Ok(())
    }

    /// The directory's attributes, once nothing in it changes any more.
    pub(crate) fn finish_dir(&self, node: &Arc<DirNode>) -> Result<Vec<FidelityIssue>, SinkError> {
        if self.options.looks_only {
            // Whether it can be there is all that there is to say.
            return match self.dir(node) {
                Err(e) if !e.is_absent() => Err(e),
                _ => Ok(Vec::new()),
            };
        }
        let handle = self.dir(node)?;
        if !self.settle_aside(node) {
            return Ok(Vec::new());
        }
        let issues = metadata::finish_dir(self, node, &handle)?;
        node.widened.store(false, std::sync::atomic::Ordering::Release);
        self.handles.finished(node);
        self.handles.climb(node, &handle);
        Ok(issues)
    }

    /// What was in the way of a directory goes, when its listing was read to the end; else the directory goes again and
    /// the other thing comes back: false.
    fn settle_aside(&self, node: &Arc<DirNode>) -> bool {
        let aside = node.aside.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(aside) = aside else { return true };
        let above = node.parent().map_or_else(String::new, |above| above.path());
        if node.listed_whole() {
            aside.discard(self, &above);
            return true;
        }
        self.handles.finished(node);
        if let Err(e) = aside.put_back_over(self) {
            self.removals
                .remains(node.path(), format!("what was here is beside it and could not be put back: {e}"));
        }
        false
    }

    /// The run ended: directories that were not finished get the modes that they had, and what was in the way of them
    /// comes back.
    pub(crate) fn close_up(&self) {
        for node in self.handles.take_unfinished() {
            if self.settle_aside(&node)
                && node.is_opened()
                && let Ok(handle) = self.dir(&node)
            {
                handles::put_mode_back(&node, &handle);
            }
        }
    }

    /// Forces everything to the disk, with every error since [`Sink::begin`].
    pub(crate) fn sync(&self) -> Result<(), SinkError> {
        match self.sync_root.get() {
            Some(root) => rustix::fs::syncfs(root)
                .map_err(|e| SinkError::sys("syncing", &self.path.to_string_lossy(), e)),
            None => Ok(()),
        }
    }

    /// Bytes that can be written, where the file system can say so reliably.
    pub(crate) fn available_bytes(&self) -> Result<Option<u64>, SinkError> {
        space::available_bytes(&self.path)
    }

    fn fdatasync_if_needed(&self, file: impl AsFd, shown: &impl Fn() -> String) -> Result<(), SinkError> {
        if self.needs_fdatasync.get().copied().unwrap_or(false) {
            rustix::fs::fdatasync(file).map_err(|e| SinkError::sys("syncing", &shown(), e))?;
        }
        Ok(())
    }
}

/// Creates the file for a report that was asked for by name.
pub(crate) fn create_report_file(path: &Path) -> std::io::Result<File> {
    File::create(path)
}

fn look_at_root(target: &Path) -> Result<Start, SinkError> {
    let shown = target.to_string_lossy();
    let meta = match std::fs::metadata(target) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let existing = target.ancestors().skip(1).find(|p| p.exists() || p.as_os_str().is_empty());
            let existing = existing
                .map_or(Path::new("."), |p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
            writable(existing)?;
            return Ok(Start::Absent);
        }
        other => other.map_err(|e| SinkError::std("looking at", &shown, e))?,
    };
    if !meta.is_dir() {
        return Err(SinkError::conflict(&shown, "file"));
    }
    if let Err(e) = writable(target) {
        // What is closed to us and ours is opened when something in it changes.
        let is_ours = meta.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || meta.mode() & 0o500 != 0o500 || !e.is_refused() {
            return Err(e);
        }
    }
    let mut entries = std::fs::read_dir(target).map_err(|e| SinkError::std("listing", &shown, e))?;
    // Every new ext4 volume has this one.
    let filled = entries.any(|e| e.is_ok_and(|e| e.file_name() != "lost+found"));
    Ok(if filled { Start::Filled } else { Start::Empty })
}

fn writable(folder: &Path) -> Result<(), SinkError> {
    use rustix::fs::Access;
    let shown = folder.to_string_lossy();
    let (access, flags) = (Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    rustix::fs::accessat(rustix::fs::CWD, folder, access, flags)
        .map_err(|e| SinkError::sys("writing to", &shown, e))
}
