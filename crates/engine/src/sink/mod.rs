//! The only door to the destination.
//!
//! Everything is done through directory handles: a name is one checked component below an open directory, symbolic
//! links are never followed, and what was created is recognised by device and inode when it is opened again. Files are
//! written under their final names, private until finished; what replaces something is made beside it, without a name or
//! as `.rekopia-new-N`, and takes its place in one step.

mod beside;
mod closed;
mod closing;
mod compare;
mod error;
mod existing;
pub(crate) mod extra;
mod file;
mod handles;
mod metadata;
mod node;
mod patch;
mod space;
mod staged;
mod subject;
mod swallowed;

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rekopia_format::entry_name::EntryName;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

pub(crate) use error::SinkError;
pub(crate) use existing::{Existing, ExistingBytes, ExistingKind};
pub(crate) use file::LargeFile;
pub use metadata::OwnerPolicy;
pub(crate) use metadata::{AttributePolicy, Attributes, FidelityIssue};
pub(crate) use node::DirNode;
pub(crate) use patch::Patch;

use error::SinkErrorKind;
use handles::{DirHandle, Handles};

/// How to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkOptions {
    pub(crate) policy: AttributePolicy,
    /// What is in the way of a restored entry is removed.
    pub(crate) delete_extra: bool,
    /// Runs of zeros become holes.
    pub(crate) sparse: bool,
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
        })
    }

    /// Creates the root, if it is not there, and opens it.
    pub(crate) fn begin(&self) -> Result<(), SinkError> {
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
        self.root.set_opened(node::Opened::of(&stat, self.is_fresh(), existed));
        self.handles.put(&self.root, root);
        Ok(())
    }

    /// The node of the root.
    pub(crate) fn root(&self) -> &Arc<DirNode> {
        &self.root
    }

    /// Whether nothing can be in the way of anything.
    pub(crate) fn is_fresh(&self) -> bool {
        self.start != Start::Filled
    }

    /// Whether nothing in the target can be extra.
    pub(crate) fn was_absent(&self) -> bool {
        self.start != Start::Filled
    }

    /// A handle of the directory, which is created (private) with its parents if it is not there.
    pub(crate) fn dir(&self, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        self.handles.open(node, self.options.delete_extra)
    }

    /// The same, for something to be made in it or taken from it.
    pub(crate) fn dir_to_change(&self, node: &Arc<DirNode>) -> Result<DirHandle, SinkError> {
        let handle = self.dir(node)?;
        handles::widen(node, &handle);
        Ok(handle)
    }

    /// What is at `name` now; `None`: nothing. What cannot stay is removed or refused (design: in the way).
    pub(crate) fn look(&self, dir: &Arc<DirNode>, name: &EntryName) -> Result<Option<Existing>, SinkError> {
        let handle = self.dir(dir)?;
        if handle.fresh {
            return Ok(None);
        }
        beside::spare(dir, name.as_str());
        let shown = dir.path_of(name.as_str());
        let stat = match rustix::fs::statat(&handle.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| SinkError::sys("looking at", &shown, e))?,
        };
        let existing = Existing::of(&stat);
        if existing.kind != ExistingKind::Other {
            return Ok(Some(existing));
        }
        if !self.options.delete_extra {
            let what = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                "directory"
            } else {
                "special file"
            };
            return Err(SinkError::conflict(&shown, what));
        }
        handles::widen(dir, &handle);
        extra::remove(&handle.fd, name.as_str(), &stat).map_err(|e| SinkError::sys("removing", &shown, e))?;
        Ok(None)
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
        match existing.map(|e| e.kind) {
            Some(ExistingKind::Symlink) => {
                let now = rustix::fs::readlinkat(&dir.fd, name, Vec::new());
                let now = now.map_err(|e| SinkError::sys("reading", &shown(), e))?;
                if now.as_bytes() == target {
                    return metadata::set_link(self, (node, dir), name, attributes, existing, &shown);
                }
            }
            Some(_) if !self.options.delete_extra => return Err(SinkError::conflict(&shown(), "file")),
            Some(_) | None => {}
        }
        handles::widen(node, dir);
        if existing.is_some() {
            beside::put_link(node, dir, name, target)
                .map_err(|e| SinkError::sys("replacing", &shown(), e))?;
        } else {
            rustix::fs::symlinkat(target, &dir.fd, name)
                .map_err(|e| SinkError::created(&shown(), dir.fresh, e))?;
        }
        metadata::set_link(self, (node, dir), name, attributes, None, &shown)
    }

    /// The directory's attributes, once nothing in it changes any more.
    pub(crate) fn finish_dir(&self, node: &Arc<DirNode>) -> Result<Vec<FidelityIssue>, SinkError> {
        let handle = self.dir(node)?;
        let issues = metadata::finish_dir(self, node, &handle)?;
        node.widened.store(false, std::sync::atomic::Ordering::Release);
        self.handles.climb(node, &handle);
        Ok(issues)
    }

    /// Removes everything from the directory that `keeps` does not name.
    pub(crate) fn remove_extra(
        &self,
        node: &Arc<DirNode>,
        keeps: &HashSet<String>,
        is_root: bool,
    ) -> Result<extra::Removed, SinkError> {
        let handle = self.dir(node)?;
        if handle.fresh && !is_root {
            return Ok(extra::Removed::default());
        }
        extra::remove_extra(&handle.fd, keeps, is_root, || handles::widen(node, &handle))
            .map_err(|(name, e)| SinkError::sys("removing", &node.path_of(&name), e))
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
