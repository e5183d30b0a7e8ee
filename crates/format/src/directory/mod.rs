//! Parses directory objects, entries and summary, while the object arrives (§7).

mod entry;
mod raw;

pub use entry::{DirectorySummary, Entry, EntryError, EntryFailure, EntryKind};

use crate::json_array::{self, ArrayScanner, Piece};
use raw::{RawEntry, RawSummary};

/// The reason why the object is not a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The object is not the JSON that it should be.
    #[error(transparent)]
    Json(#[from] json_array::Error),
    /// The object says that it is something else.
    #[error("stream is {found}, not \"kopia:directory\"")]
    Stream {
        /// The `stream` that was found, as JSON; empty when there is none.
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
    /// Makes a scanner at the start of an object.
    pub fn new() -> Self {
        DirectoryScanner { array: ArrayScanner::new("entries"), seen_stream: false, summary: None }
    }

    /// Takes the next bytes and hands every entry that ends in them to `each`, in stored order.
    ///
    /// Names may repeat; no order is promised. An entry that does not parse is an `Err` of its own. After an
    /// error of `push` the object is not a directory, and nothing more can be learned from it.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Stream`], [`Error::NoEntries`], [`Error::Summary`].
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

    /// Ends the scan: the object must have ended and have been a directory; returns its summary.
    ///
    /// # Errors
    /// [`Error::Json`] when the object has not ended, [`Error::Stream`] when it was no directory.
    pub fn finish(self) -> Result<Option<DirectorySummary>, Error> {
        self.array.finish()?;
        if self.seen_stream { Ok(self.summary) } else { Err(Error::Stream { found: String::new() }) }
    }
}

impl Entry {
    /// Parses an entry: an element of `entries`, or the `rootEntry` of a snapshot.
    ///
    /// # Errors
    /// [`EntryError`] when the entry cannot be used.
    pub fn from_json(json: &[u8]) -> Result<Self, EntryError> {
        RawEntry::parse_entry(json)
    }
}

/// Returns the first characters of a value, for messages.
pub(crate) fn json_excerpt(json: &[u8]) -> String {
    String::from_utf8_lossy(json).chars().take(60).collect()
}

#[cfg(test)]
mod tests;
