//! Holds what a verification of several trees found.

use rekopia_format::Time;
use serde::Serialize;

/// The result of verifying several trees: what they need, how much of it was read, and which of them are not whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Verified {
    /// Snapshots and other trees that were looked at.
    pub trees: u64,
    /// Trees of which something cannot be read.
    pub affected_trees: u64,
    /// The first trees of which something cannot be read.
    pub affected: Vec<AffectedTree>,
    /// Distinct contents with file data that the trees need.
    pub needed_contents: u64,
    /// Bytes of the needed contents in the packs.
    pub needed_bytes: u64,
    /// Needed contents that were read in this run, or looked up in the listing of packs.
    pub read_contents: u64,
    /// Bytes of the contents that were read, in the packs.
    pub read_bytes: u64,
    /// Contents that were to be read and cannot be.
    pub damaged_contents: u64,
    /// Bytes of the damaged contents in the packs.
    pub damaged_bytes: u64,
    /// Bytes in the packs of needed contents that were read and right, in this run or, by its state, in an earlier one.
    pub covered_bytes: u64,
    /// The time when the oldest of the covered contents were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered_since: Option<Time>,
    /// Whether nothing was read but listings: packs were looked up.
    pub presence: bool,
    /// The reason why not everything was read, where everything was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
}

/// A tree of which something cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AffectedTree {
    /// The ID of the snapshot; of another tree the object ID.
    pub id: String,
    /// The source of the snapshot, `user@host:/path`; empty for another tree.
    pub source: String,
    /// The time when the snapshot was begun; `None` for another tree.
    #[serde(skip)]
    pub start: Option<Time>,
    /// Entries that cannot be read; all below an unreadable directory count as one.
    pub entries: u64,
    /// The first entries that cannot be read, relative to the root; empty for the root itself.
    pub first: Vec<String>,
}

/// The reason why a verification ended before all was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EndedBy {
    /// The sample is complete.
    Sample,
    /// No more bytes were to be read.
    Bytes,
    /// The time was over.
    Time,
}

impl Verified {
    /// Returns which part of the bytes that were read can be read, in percent.
    pub fn readable_percent(&self) -> f64 {
        percent(self.read_bytes.saturating_sub(self.damaged_bytes), self.read_bytes)
    }

    /// Returns which part of the needed bytes is covered, in percent.
    pub fn covered_percent(&self) -> f64 {
        percent(self.covered_bytes, self.needed_bytes)
    }
}

/// Returns the part in percent; all of nothing is everything.
fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 100.0 } else { part as f64 * 100.0 / of as f64 }
}
