//! Directory entries and totals, as values.

use crate::entry_name::{BadName, EntryName};
use crate::ids::ObjectId;
use crate::time::Time;

/// One directory entry. The root of a snapshot has the same form (§7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// A safe name, or why it is none.
    pub name: Result<EntryName, BadName>,
    /// What it is.
    pub kind: EntryKind,
    /// Unix bits: permissions, 0o4000 setuid, 0o2000 setgid, 0o1000 sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Time,
    /// Bytes: of a file as recorded, of a link's target; 0 for directories. The object is what counts (§7.2).
    pub size: u64,
    /// The bytes; `None` when the text is empty.
    pub object: Option<ObjectId>,
    /// Totals of what lies below, of directories only.
    pub summary: Option<Box<DirectorySummary>>,
}

/// What a directory entry is (§7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// `d`
    Directory,
    /// `f`
    File,
    /// `s`
    Symlink,
    /// Anything else, as stored: to be reported and skipped.
    Unknown(Box<str>),
}

/// Totals over a directory and everything below it (§7.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectorySummary {
    /// Sum of the file sizes, in bytes.
    pub size: u64,
    /// Files below.
    pub files: u64,
    /// Symbolic links below.
    pub symlinks: u64,
    /// Directories below, this one included.
    pub dirs: u64,
    /// The latest modification time of anything below; not before 1970.
    pub max_time: Time,
    /// Why the tree is incomplete; `None` when it is complete.
    pub incomplete: Option<String>,
    /// Errors that were not ignored.
    pub num_failed: u64,
    /// Errors that were ignored.
    pub num_ignored_errors: u64,
    /// The first of the errors, by path.
    pub errors: Vec<EntryFailure>,
}

/// One error that Kopia met when it took the snapshot (§7.4).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryFailure {
    /// Where, relative to the root of the snapshot.
    pub path: String,
    /// Kopia's words.
    pub error: String,
}

impl EntryFailure {
    /// An error of Kopia's at this path.
    pub fn new(path: impl Into<String>, error: impl Into<String>) -> Self {
        EntryFailure { path: path.into(), error: error.into() }
    }
}

/// One entry cannot be used; the rest of the directory can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("directory entry {name:?}: {what}")]
#[non_exhaustive]
pub struct EntryError {
    /// The name as stored, when at least that could be read.
    pub name: Option<String>,
    /// What was expected and found.
    pub what: String,
}

impl Entry {
    /// An object without attributes: mode, owner, group and time are zero, and there are no totals.
    pub fn of_object(name: Result<EntryName, BadName>, kind: EntryKind, object: ObjectId, size: u64) -> Self {
        let (mode, uid, gid, mtime) = (0, 0, 0, Time::default());
        Entry { name, kind, mode, uid, gid, mtime, size, object: Some(object), summary: None }
    }

    /// The name as stored, good or bad.
    pub fn name_text(&self) -> &str {
        match &self.name {
            Ok(name) => name.as_str(),
            Err(bad) => &bad.raw,
        }
    }
}
