//! Holds entries on their way: what the stages hand on of a directory, file or symlink until it is finished.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rekopia_format::ObjectId;
use rekopia_format::directory::Entry;
use rekopia_format::entry_name::EntryName;

use crate::error::{Error, ErrorKind};
use crate::sink::{Attributes, DirNode, Existing, LargeFile, Patch};

/// A directory with a count of what is still to come in it; at zero it gets its attributes.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) node: Arc<DirNode>,
    parent: Option<Arc<Folder>>,
    /// Number of entries to wait for, and one for the directory's own listing.
    pending: AtomicUsize,
    /// Whether the directory only holds the single file or link that is restored: it counts for nothing.
    is_holder: bool,
    /// Whether something in the directory was left out because it is too deep: what the target has there is not extra.
    cut: AtomicBool,
}

impl Folder {
    /// Makes the root of the restore.
    pub(crate) fn root(node: Arc<DirNode>) -> Arc<Self> {
        Self::top(node, false)
    }

    /// Makes the directory of a single file or link, which is not restored itself.
    pub(crate) fn holder(node: Arc<DirNode>) -> Arc<Self> {
        Self::top(node, true)
    }

    fn top(node: Arc<DirNode>, is_holder: bool) -> Arc<Self> {
        Arc::new(Folder {
            node,
            parent: None,
            is_holder,
            pending: AtomicUsize::new(1),
            cut: AtomicBool::new(false),
        })
    }

    /// Makes a directory below `parent`, which waits for it.
    pub(crate) fn below(parent: &Arc<Folder>, name: EntryName, attributes: Attributes) -> Arc<Self> {
        parent.pending.fetch_add(1, Ordering::Relaxed);
        Arc::new(Folder {
            node: DirNode::child(&parent.node, name, attributes),
            parent: Some(Arc::clone(parent)),
            is_holder: false,
            pending: AtomicUsize::new(1),
            cut: AtomicBool::new(false),
        })
    }

    /// Counts one less to wait for; returns true when that was the last.
    pub(crate) fn one_done(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether the folder counts as a directory that is restored.
    pub(crate) fn counts(&self) -> bool {
        !self.is_holder
    }

    /// Returns the directory's name in the one above; empty for the root.
    pub(crate) fn name(&self) -> &str {
        self.node.name()
    }

    /// Returns the directory above.
    pub(crate) fn parent(&self) -> Option<&Arc<Folder>> {
        self.parent.as_ref()
    }

    /// Returns the path relative to the root; empty for the root.
    pub(crate) fn path(&self) -> String {
        self.node.path()
    }

    /// Returns the path of an entry in this directory.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let mut path = self.node.path();
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(name);
        path
    }

    /// Notes that something was left out here because it is too deep.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether something was left out here because it is too deep.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Without this, a long chain of parents would be dropped by recursion.
impl Drop for Folder {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(folder) = parent {
            match Arc::into_inner(folder) {
                Some(mut last) => parent = last.parent.take(),
                None => break,
            }
        }
    }
}

/// The kind of entry that a slot becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    File,
    Symlink,
}

/// A file or symlink with a count of slices still to come; at zero it is finished or given up.
#[derive(Debug)]
pub(crate) struct FileSlot {
    pub(crate) folder: Arc<Folder>,
    pub(crate) name: EntryName,
    pub(crate) kind: SlotKind,
    pub(crate) attributes: Attributes,
    /// The recorded size, in bytes.
    pub(crate) size: u64,
    pub(crate) object: Option<ObjectId>,
    /// The entry that was in the target before, looked at once: later something of our own may be there.
    pub(crate) before: OnceLock<Option<Existing>>,
    /// Bytes of slices seen by the plan: the length of the object.
    pub(crate) object_bytes: AtomicU64,
    /// Whether the directory has another name that a file system may take for this one.
    pub(crate) may_clash: bool,
    /// Whether an existing entry stays as it is, attributes included.
    pub(crate) left_alone: AtomicBool,
    /// Whether an existing entry stays as it is because this run needs it.
    pub(crate) protected: AtomicBool,
    /// Whether only the entry's data tells whether what is there is right: an object that is compressed as a whole.
    pub(crate) opaque: AtomicBool,
    /// Bytes that are right on disk already.
    pub(crate) kept_bytes: AtomicU64,
    /// Slices on their way, plus one while more may follow.
    remaining: AtomicU64,
    failure: Mutex<Option<(Error, bool)>>,
    failed: AtomicBool,
    /// The file while it is being written; the sink knows its kind.
    pub(crate) open: Mutex<Option<Arc<Writing>>>,
}

impl FileSlot {
    /// Makes an entry of `folder`, which waits for it.
    pub(crate) fn new(
        folder: &Arc<Folder>,
        name: EntryName,
        kind: SlotKind,
        (size, object): (u64, Option<ObjectId>),
        attributes: Attributes,
        may_clash: bool,
    ) -> Arc<Self> {
        folder.pending.fetch_add(1, Ordering::Relaxed);
        Arc::new(FileSlot {
            folder: Arc::clone(folder),
            name,
            kind,
            attributes,
            size,
            object,
            before: OnceLock::new(),
            object_bytes: AtomicU64::new(0),
            may_clash,
            left_alone: AtomicBool::new(false),
            protected: AtomicBool::new(false),
            opaque: AtomicBool::new(false),
            kept_bytes: AtomicU64::new(0),
            remaining: AtomicU64::new(1),
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
            open: Mutex::new(None),
        })
    }

    /// Returns the path relative to the root.
    pub(crate) fn path(&self) -> String {
        self.folder.path_of(self.name.as_str())
    }

    /// Returns what was in the target before, where that was looked at.
    pub(crate) fn existing(&self) -> Option<&Existing> {
        self.before.get()?.as_ref()
    }

    /// Whether an existing entry stays, whatever it holds.
    pub(crate) fn stays(&self) -> bool {
        self.left_alone.load(Ordering::Relaxed) || self.protected.load(Ordering::Relaxed)
    }

    /// Expects `n` more slices.
    pub(crate) fn expect(&self, n: u64) {
        self.remaining.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts a slice that arrived (or never will), or the announcement of the last one; returns true when nothing is
    /// left to wait for.
    pub(crate) fn one_done(&self) -> bool {
        self.remaining.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Keeps the first failure; `mixed` when an existing file is no longer what it was.
    pub(crate) fn fail(&self, error: Error, mixed: bool) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert((error, mixed));
        self.failed.store(true, Ordering::Release);
    }

    /// Whether something failed: what still arrives need not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Forgets the failure: nothing of the entry is needed.
    pub(crate) fn forgive(&self) {
        self.take_failure();
        self.failed.store(false, Ordering::Release);
    }

    /// Takes the failure out, if there is one.
    pub(crate) fn take_failure(&self) -> Option<(Error, bool)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the entry holds only what had been uploaded when a checkpoint was made (§7.6).
    pub(crate) fn is_checkpointed(&self) -> bool {
        self.name.as_str().starts_with(".checkpointed.")
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) enum Writing {
    /// A new file under its final name, longer than recorded until it is finished.
    New(LargeFile),
    /// A file beside an existing one, which stays as it is until everything has arrived.
    Patched(Patch),
}

impl Writing {
    /// Gives up: a new file is removed, an existing one stays. Returns true when that could not be done.
    pub(crate) fn abandon(&self) -> bool {
        match self {
            Writing::New(file) => file.abandon().is_err(),
            Writing::Patched(patch) => patch.abandon(),
        }
    }
}

/// Returns the attributes that an entry records.
pub(crate) fn attributes(entry: &Entry) -> Attributes {
    Attributes { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime_ns: entry.mtime.unix_nanos() }
}

/// Makes the error for an object whose length is not what its entry says.
pub(crate) fn wrong_length(found: u64, recorded: u64) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the object has {found} bytes, the entry records {recorded}"))
}
