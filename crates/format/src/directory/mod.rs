//! Directory objects: entries and summary, parsed while the object arrives (§7).

mod raw;

use crate::entry_name::{BadName, EntryName};
use crate::ids::ObjectId;
use crate::json_array::{self, ArrayScanner, Piece};
use raw::{RawEntry, RawSummary};

/// One directory entry. The root of a snapshot has the same form (§7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
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
pub struct DirectorySummary {
    /// Sum of the file sizes, in bytes.
    pub size: u64,
    /// Files below.
    pub files: u64,
    /// Symbolic links below.
    pub symlinks: u64,
    /// Directories below, this one included.
    pub dirs: u64,
    /// The latest time of anything below, in nanoseconds since 1970; not before 1970.
    pub max_time_ns: i64,
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
pub struct EntryFailure {
    /// Where, relative to the root of the snapshot.
    pub path: String,
    /// Kopia's words.
    pub error: String,
}

/// One entry cannot be used; the rest of the directory can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("directory entry {name:?}: {what}")]
pub struct EntryError {
    /// The name as stored, when at least that could be read.
    pub name: Option<String>,
    /// What was expected and found.
    pub what: String,
}

/// The object is not a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not the JSON it should be.
    #[error(transparent)]
    Json(#[from] json_array::Error),
    /// It says that it is something else.
    #[error("stream is {found}, not \"kopia:directory\"")]
    Stream {
        /// The JSON found; empty when there is no `stream`.
        found: String,
    },
    /// `entries` is neither a list nor null.
    #[error("entries is not a list")]
    NoEntries,
    /// The totals do not parse.
    #[error("directory summary: {0}")]
    Summary(String),
}

/// Parses a directory object whose bytes arrive in pieces; memory does not grow with the directory.
///
/// ```
/// # use rekopia_format::directory::{DirectoryScanner, Error};
/// let json = br#"{"stream":"kopia:directory","entries":[{"name":"a","type":"f","obj":"00ff"}],"summary":null}"#;
/// let (mut scanner, mut names) = (DirectoryScanner::new(), Vec::new());
/// for piece in json.chunks(10) {
///     scanner.push(piece, |entry| names.push(entry.unwrap().name.unwrap().to_string()))?;
/// }
/// scanner.finish()?;
/// assert_eq!(names, ["a"]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct DirectoryScanner {
    array: ArrayScanner,
    seen_stream: bool,
    summary: Option<DirectorySummary>,
}

impl Default for DirectoryScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl DirectoryScanner {
    /// At the start of an object.
    pub fn new() -> Self {
        DirectoryScanner { array: ArrayScanner::new("entries"), seen_stream: false, summary: None }
    }

    /// Takes the next bytes and hands every entry that ends in them to `each`, in stored order.
    ///
    /// Names may repeat; no order is promised. An entry that does not parse is an `Err` of its own. After an
    /// error of `push` the object is not a directory, and nothing more can be learned from it.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(Result<Entry, EntryError>),
    ) -> Result<(), Error> {
        let (seen_stream, summary) = (&mut self.seen_stream, &mut self.summary);
        self.array.push(chunk, |piece| {
            match piece {
                Piece::Element(json) => each(Entry::from_json(json)),
                Piece::Member(name, json) if name.eq_ignore_ascii_case("stream") => {
                    if serde_json::from_slice::<String>(json).ok().as_deref() != Some("kopia:directory") {
                        return Err(Error::Stream { found: json_excerpt(json) });
                    }
                    *seen_stream = true;
                }
                Piece::Member(name, json) if name.eq_ignore_ascii_case("entries") => {
                    if json != b"null" {
                        return Err(Error::NoEntries);
                    }
                }
                Piece::Member(name, json) if name.eq_ignore_ascii_case("summary") => {
                    *summary = RawSummary::parse(json).map_err(Error::Summary)?;
                }
                Piece::Member(..) => {}
            }
            Ok(())
        })
    }

    /// The object must have ended and have been a directory; gives its summary.
    pub fn finish(self) -> Result<Option<DirectorySummary>, Error> {
        self.array.finish()?;
        if self.seen_stream { Ok(self.summary) } else { Err(Error::Stream { found: String::new() }) }
    }
}

impl Entry {
    /// Parses one entry: an element of `entries`, or the `rootEntry` of a snapshot.
    pub fn from_json(json: &[u8]) -> Result<Self, EntryError> {
        RawEntry::parse_entry(json)
    }

    /// The name as stored, good or bad.
    pub fn name_text(&self) -> &str {
        match &self.name {
            Ok(name) => name.as_str(),
            Err(bad) => &bad.raw,
        }
    }
}

/// The first characters of a value, for messages.
pub(crate) fn json_excerpt(json: &[u8]) -> String {
    String::from_utf8_lossy(json).chars().take(60).collect()
}

#[cfg(test)]
mod tests;
