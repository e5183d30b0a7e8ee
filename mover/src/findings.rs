//! What a run finds out on its way to the outcome, for whoever asks for more than the outcome.

use rekopia::{Estimate, Report, Snapshot};

/// A snapshot that the mover chooses, with the totals that it records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The manifest's ID.
    pub id: String,
    /// When it was started, RFC 3339 in UTC.
    pub start: String,
    /// Regular files.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// What a restore would need.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub directories: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Requests for parts of packs.
    pub requests: u64,
    /// Bytes of those parts.
    pub fetched_bytes: u64,
    /// Packs that they are in.
    pub packs: u64,
    /// What opening the repository and choosing the snapshot took, in seconds.
    pub opening_seconds: f64,
    /// How long the rest would take, where that was asked for and could be found out.
    pub estimate: Option<Estimate>,
}

impl Plan {
    /// What a dry run has found; `times` are its parts.
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

/// What was found out until the run ended, whichever way it did.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Hex of the unique ID of the repository that was opened.
    pub(crate) repository: Option<String>,
    /// The snapshot that was chosen, and perhaps refused then.
    pub(crate) chosen: Option<Choice>,
    /// Other identities that the message names, the likeliest first.
    pub(crate) identities: Vec<String>,
    /// What the log alone says of the choice.
    pub(crate) warnings: Vec<String>,
}

impl Choice {
    /// This snapshot, with the totals of its root.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let root = snapshot.root.as_ref();
        let totals = root.and_then(|root| root.summary.as_ref()).map(|summary| (summary.files, summary.size));
        // A snapshot of a single file has no summary.
        let (files, bytes) = totals.or_else(|| root.map(|root| (1, root.size))).unwrap_or_default();
        Choice { id: snapshot.id.to_string(), start: when(snapshot.start.unix_nanos()), files, bytes }
    }
}

/// An instant as people write it.
pub(crate) fn when(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).map_or_else(|_| "an unknown time".into(), |t| t.to_string())
}
