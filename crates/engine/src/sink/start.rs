//! Looks at a target first: what is there, and whether it may be written to.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, Once, OnceLock};

use rustix::fs::AtFlags;

use super::attributes::Attributes;
use super::error::SinkError;
use super::handles::Handles;
use super::node::DirNode;
use super::open_files::OpenFiles;
use super::remove::{Protected, Removals};
use super::state::{Sink, SinkOptions, Start};
use super::swallowed::Swallowing;
use super::{mounts, overlap};

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
            files: OpenFiles::default(),
            start,
            sync_root: OnceLock::new(),
            needs_fdatasync: OnceLock::new(),
            swallowing: Swallowing::default(),
            protected: Protected::new(),
            repository: None,
            removals: Removals::default(),
            mark: None,
            changed: Once::new(),
            opening: Mutex::new(()),
            is_written: AtomicBool::new(false),
        })
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
