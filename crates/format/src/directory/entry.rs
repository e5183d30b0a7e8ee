//! Holds directory entries and totals, as values.

use crate::entry_name::{BadName, EntryName};
use crate::ids::ObjectId;
use crate::time::Time;

/// A directory entry. The root of a snapshot has the same form (§7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name, if it is safe, or why it is not.
    pub name: Result<EntryName, BadName>,
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The mode, in Unix bits: permissions, 0o4000 setuid, 0o2000 setgid, 0o1000 sticky.
    pub mode: u32,
    /// The owner's numeric user ID.
    pub uid: u32,
    /// The owner's numeric group ID.
    pub gid: u32,
    /// The modification time.
    pub mtime: Time,
    /// The size in bytes: of a file as recorded, of a link's target; 0 for directories. The object is what counts
    /// (§7.2).
    pub size: u64,
    /// The object with the entry's bytes; `None` when the text is empty.
    pub object: Option<ObjectId>,
    /// Totals of what lies below, of directories only.
    pub summary: Option<Box<DirectorySummary>>,
}

/// The kind of a directory entry (§7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory: `d`.
    Directory,
    /// A regular file: `f`.
    File,
    /// A symbolic link: `s`.
    Symlink,
    /// An entry of any other kind, as stored: to be reported and skipped.
    Unknown(Box<str>),
}

/// Totals over a directory and everything below it (§7.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectorySummary {
    /// Sum of the file sizes, in bytes.
    pub size: u64,
    /// Number of files below.
    pub files: u64,
    /// Number of symbolic links below.
    pub symlinks: u64,
    /// Number of directories below, this one included.
    pub dirs: u64,
    /// The latest modification time of anything below; not before 1970.
    pub max_time: Time,
    /// The reason why the tree is incomplete; `None` when it is complete.
    pub incomplete: Option<String>,
    /// Number of errors that were not ignored.
    pub num_failed: u64,
    /// Number of errors that were ignored.
    pub num_ignored_errors: u64,
    /// The first errors, by path.
    pub errors: Vec<EntryFailure>,
}

/// An error that Kopia met when it took the snapshot (§7.4).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryFailure {
    /// The path of the entry, relative to the root of the snapshot.
    pub path: String,
    /// The error in Kopia's words.
    pub error: String,
}

impl EntryFailure {
    /// An error of Kopia's at this path.
    pub fn new(path: impl Into<String>, error: impl Into<String>) -> Self {
        EntryFailure { path: path.into(), error: error.into() }
    }
}

/// An entry that cannot be used, while the rest of the directory can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("directory entry {name:?}: {what}")]
#[non_exhaustive]
pub struct EntryError {
    /// The name as stored, when at least that could be read.
    pub name: Option<String>,
    /// The reason: what was expected and found.
    pub what: String,
}

impl Entry {
    /// An object without attributes: mode, owner, group and time are zero, and there are no totals.
    pub fn of_object(name: Result<EntryName, BadName>, kind: EntryKind, object: ObjectId, size: u64) -> Self {
        let (mode, uid, gid, mtime) = (0, 0, 0, Time::default());
        Entry { name, kind, mode, uid, gid, mtime, size, object: Some(object), summary: None }
    }

    /// Returns the name as stored, good or bad.
    pub fn name_text(&self) -> &str {
        match &self.name {
            Ok(name) => name.as_str(),
            Err(bad) => &bad.raw,
        }
    }
}
