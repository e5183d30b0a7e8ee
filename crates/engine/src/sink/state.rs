//! Holds a destination as all that write to it share it.

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

/// The way in which a sink writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkOptions {
    pub(crate) policy: AttributePolicy,
    /// Whether what is in the way of a restored entry is moved, and goes when that entry is complete.
    pub(crate) delete_extra: bool,
    /// Whether extras were to go, but it is not sure that the snapshot can be restored: what is in the way stays.
    pub(crate) in_doubt: bool,
    /// Whether everything that exists stays.
    pub(crate) keeps_existing: bool,
    /// Whether the target is only looked at: nothing is made or changed.
    pub(crate) looks_only: bool,
    /// Whether runs of zeros become holes.
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
    /// The root, open before the first write, so that syncing it reports every write-back error since.
    pub(super) sync_root: OnceLock<OwnedFd>,
    pub(super) needs_fdatasync: OnceLock<bool>,
    pub(super) swallowing: Swallowing,
    /// Files and folders that this run itself reads or writes.
    pub(super) protected: Protected,
    /// Device and inode of the repository's folder, where it is one.
    pub(super) repository: Option<(u64, u64)>,
    /// The entries that were removed so far, and those that could not be.
    pub(crate) removals: Removals,
    /// The text of the root's mark while the restore is not complete; `None`: a restore without a mark.
    pub(super) mark: Option<String>,
    /// Run before the first change.
    pub(super) changed: Once,
    /// Held while the root is opened.
    pub(super) opening: Mutex<()>,
    /// Whether everything is written: what is looked at from now on is there, also in what this run made.
    pub(super) is_written: AtomicBool,
}

/// The state of the target before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Absent,
    Empty,
    Filled,
}

impl Sink {
    /// Sets the text of the root's mark while the restore is not complete.
    pub(crate) fn set_mark(&mut self, text: String) {
        self.mark = Some(text);
    }

    /// Notes that everything is written and is read back from now on.
    pub(crate) fn set_written(&self) {
        self.is_written.store(true, Ordering::Release);
    }

    /// Returns the node of the root.
    pub(crate) fn root(&self) -> &Arc<DirNode> {
        &self.root
    }

    /// Whether nothing can be in the way of anything.
    pub(crate) fn is_fresh(&self) -> bool {
        self.start != Start::Filled
    }
}
