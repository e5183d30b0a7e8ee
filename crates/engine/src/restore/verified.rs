//! What a verification of several trees found.

use serde::Serialize;

/// What several trees need, how much of it was read, and which of them are not whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Verified {
    /// Snapshots and other trees that were looked at.
    pub trees: u64,
    /// Trees of which something cannot be read.
    pub affected_trees: u64,
    /// The first of these.
    pub affected: Vec<AffectedTree>,
    /// Distinct contents with file data that the trees need.
    pub needed_contents: u64,
    /// Their bytes in the packs.
    pub needed_bytes: u64,
    /// Of these contents, how many were read in this run, or looked up in the listing of packs.
    pub read_contents: u64,
    /// Their bytes in the packs.
    pub read_bytes: u64,
    /// Of the contents that were read, those that cannot be read.
    pub damaged_contents: u64,
    /// Their bytes in the packs.
    pub damaged_bytes: u64,
    /// Bytes in the packs of needed contents that were read and right, in this run or, by its state, in an earlier one.
    pub covered_bytes: u64,
    /// When the oldest of these were read, in seconds since 1970; in JSON as RFC 3339.
    #[serde(serialize_with = "as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub covered_since: Option<i64>,
    /// Nothing was read but listings: packs were looked up.
    pub presence: bool,
    /// Why not everything was read, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
}

/// A tree of which something cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AffectedTree {
    /// The snapshot's ID; of another tree the object ID.
    pub id: String,
    /// `user@host:/path`; empty for another tree.
    pub source: String,
    /// When the snapshot was begun, in nanoseconds since 1970; 0 for another tree.
    #[serde(skip)]
    pub start_ns: i64,
    /// Entries that cannot be read; all below an unreadable directory count as one.
    pub entries: u64,
    /// The first of them, relative to the root; empty for the root itself.
    pub first: Vec<String>,
}

/// What ends a verification before all is read.
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
    /// Bytes that can be read, of those that were; in percent.
    pub fn readable_percent(&self) -> f64 {
        percent(self.read_bytes.saturating_sub(self.damaged_bytes), self.read_bytes)
    }

    /// Needed bytes that are covered, in percent.
    pub fn covered_percent(&self) -> f64 {
        percent(self.covered_bytes, self.needed_bytes)
    }
}

fn as_rfc3339<S: serde::Serializer>(seconds: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).serialize(serializer)
}

/// All of nothing is everything.
fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 100.0 } else { part as f64 * 100.0 / of as f64 }
}
