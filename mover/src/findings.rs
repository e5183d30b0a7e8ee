//! Keeps what a run finds out on its way to the outcome, for callers that ask for more than the outcome.

use rekopia::{Estimate, Report, Snapshot};

/// A snapshot that the mover chooses, with the totals that it records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The ID of the snapshot's manifest.
    pub id: String,
    /// The time when the snapshot was started, RFC 3339 in UTC.
    pub start: String,
    /// Number of regular files.
    pub files: u64,
    /// Bytes of the regular files.
    pub bytes: u64,
}

/// The needs of a restore.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Number of regular files.
    pub files: u64,
    /// Number of folders.
    pub directories: u64,
    /// Bytes of the regular files.
    pub bytes: u64,
    /// Number of requests for parts of packs.
    pub requests: u64,
    /// Bytes of the parts of packs that are requested.
    pub fetched_bytes: u64,
    /// Number of packs that are needed.
    pub packs: u64,
    /// Seconds that opening the repository and choosing the snapshot took.
    pub opening_seconds: f64,
    /// The time that the rest would take, where that was asked for and could be found out.
    pub estimate: Option<Estimate>,
}

impl Plan {
    /// Returns what a dry run has found; `times` are its parts.
    pub(crate) fn of(report: &Report, times: &[(&'static str, f64)]) -> Option<Self> {
        let planned = report.planned.as_ref()?;
        let opening = times.iter().filter(|(what, _)| matches!(*what, "open" | "select"));
        Some(Plan {
            files: report.files,
            directories: report.directories,
            bytes: report.bytes,
            requests: planned.requests,
            fetched_bytes: planned.bytes,
            packs: planned.packs,
            opening_seconds: opening.map(|(_, seconds)| seconds).sum(),
            estimate: planned.estimate,
        })
    }
}

/// Facts that were found out until the run ended, whichever way it did.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Hex of the unique ID of the repository that was opened.
    pub(crate) repository: Option<String>,
    /// The snapshot that was chosen, and perhaps refused then.
    pub(crate) chosen: Option<Choice>,
    /// Other identities that the message names, the likeliest first.
    pub(crate) identities: Vec<String>,
    /// Warnings of the choice that only the log tells.
    pub(crate) warnings: Vec<String>,
}

impl Choice {
    /// Returns this snapshot, with the totals of its root.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let root = snapshot.root.as_ref();
        let totals = root.and_then(|root| root.summary.as_ref()).map(|summary| (summary.files, summary.size));
        // A snapshot of a single file has no summary.
        let (files, bytes) = totals.or_else(|| root.map(|root| (1, root.size))).unwrap_or_default();
        Choice { id: snapshot.id.to_string(), start: snapshot.start.to_string(), files, bytes }
    }
}
