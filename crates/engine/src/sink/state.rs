//! A destination as all that write to it share it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock};

use super::attributes::AttributePolicy;
use super::handles::Handles;
use super::node::DirNode;
use super::open_files::OpenFiles;
use super::remove::{Protected, Removals};
use super::swallowed::Swallowing;

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

/// A destination directory.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(super) path: PathBuf,
    pub(super) root: Arc<DirNode>,
    pub(crate) options: SinkOptions,
    pub(super) handles: Handles,
    pub(super) files: OpenFiles,
    pub(super) start: Start,
    /// Open before the first write, so that syncing it reports every write-back error since.
    pub(super) sync_root: OnceLock<OwnedFd>,
    pub(super) needs_fdatasync: OnceLock<bool>,
    pub(super) swallowing: Swallowing,
    /// What this run itself reads or writes.
    pub(super) protected: Protected,
    /// Device and inode of the repository's folder, where it is one.
    pub(super) repository: Option<(u64, u64)>,
    /// What was removed so far, and what could not be.
    pub(crate) removals: Removals,
    /// What the root's mark says while the restore is not complete; `None`: a restore without a mark.
    pub(super) mark: Option<String>,
    /// Done before the first change.
    pub(super) changed: Once,
    /// Held while the root is opened.
    pub(super) opening: Mutex<()>,
    /// Everything is written: what is looked at from now on is there, also in what this run made.
    pub(super) is_written: AtomicBool,
}

/// What the target was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Absent,
    Empty,
    Filled,
}

impl Sink {
    /// What the mark on the root says while the restore is not complete.
    pub(crate) fn set_mark(&mut self, text: String) {
        self.mark = Some(text);
    }

    /// Everything is written and is read back from now on.
    pub(crate) fn set_written(&self) {
        self.is_written.store(true, Ordering::Release);
    }

    /// The node of the root.
    pub(crate) fn root(&self) -> &Arc<DirNode> {
        &self.root
    }

    /// Whether nothing can be in the way of anything.
    pub(crate) fn is_fresh(&self) -> bool {
        self.start != Start::Filled
    }
}
