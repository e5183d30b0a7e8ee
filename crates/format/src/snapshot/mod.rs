//! Reads snapshot manifests: whose, when, what, whether complete, and the root (§6.3).

mod source;
mod stats;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use source::Source;
pub use stats::Stats;

use crate::directory::{Entry, EntryError, EntryFailure};
use crate::ids::ManifestId;
use crate::json::{null_is_zero, parse_first, repaired};
use crate::manifest::ManifestEntry;
use crate::time::Time;

/// A snapshot of a source.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// The manifest's ID.
    pub id: ManifestId,
    /// The source that was snapshotted.
    pub source: Source,
    /// The description, as free text; may be empty.
    pub description: String,
    /// The time when the snapshot began.
    pub start: Time,
    /// The time when the snapshot ended.
    pub end: Time,
    /// The counters of Kopia's run. True totals are in the root's summary.
    pub stats: Stats,
    /// The reason why the snapshot is incomplete (`checkpoint`, `canceled`, `limit reached`); `None` when it is
    /// complete.
    pub incomplete: Option<String>,
    /// The root: a directory, or a single file. Its name need not be a safe one. `None` in damaged manifests.
    pub root: Option<Entry>,
    /// The reason why there is no root although one is stored.
    pub root_error: Option<EntryError>,
    /// The tags, under keys `tag:<name>`.
    pub tags: BTreeMap<String, String>,
    /// The pins: a pinned snapshot is never expired.
    pub pins: Vec<String>,
    /// The document as stored.
    pub document: Box<RawValue>,
}

/// The reason why the manifest is not a snapshot's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document is not the JSON that it should be.
    #[error("snapshot manifest: {0}")]
    Json(String),
    /// The source is complete neither in the document nor in the labels.
    #[error("snapshot manifest has no {field} in its source")]
    Source {
        /// The field that is missing.
        field: &'static str,
    },
    /// A time does not parse.
    #[error("snapshot manifest: {field} {found:?} is not an RFC 3339 time")]
    Time {
        /// The field with the time.
        field: &'static str,
        /// The text that was found.
        found: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSnapshot {
    #[serde(deserialize_with = "null_is_zero")]
    source: RawSource,
    #[serde(deserialize_with = "null_is_zero")]
    description: String,
    #[serde(deserialize_with = "null_is_zero")]
    start_time: String,
    #[serde(deserialize_with = "null_is_zero")]
    end_time: String,
    #[serde(deserialize_with = "null_is_zero")]
    stats: Stats,
    #[serde(deserialize_with = "null_is_zero")]
    incomplete: String,
    root_entry: Option<Box<RawValue>>,
    #[serde(deserialize_with = "null_is_zero")]
    tags: BTreeMap<String, Option<String>>,
    #[serde(deserialize_with = "null_is_zero")]
    pins: Vec<Option<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSource {
    #[serde(deserialize_with = "null_is_zero")]
    host: String,
    #[serde(deserialize_with = "null_is_zero")]
    user_name: String,
    #[serde(deserialize_with = "null_is_zero")]
    path: String,
}

/// Every field name outside the root, for the tolerant second attempt.
const NAMES: &[&str] = &[
    "source",
    "host",
    "userName",
    "path",
    "description",
    "startTime",
    "endTime",
    "stats",
    "incomplete",
    "rootEntry",
    "tags",
    "pins",
    "totalSize",
    "excludedTotalSize",
    "fileCount",
    "cachedFiles",
    "nonCachedFiles",
    "dirCount",
    "excludedFileCount",
    "excludedDirCount",
    "ignoredErrorCount",
    "errorCount",
];

impl Snapshot {
    /// Reads a snapshot from a manifest whose label `type` is `snapshot`.
    ///
    /// The source is the one in the document; Kopia writes the same into the labels, which fill gaps.
    ///
    /// # Errors
    /// When the document, a time or the source cannot be understood. A root that cannot be is a `root_error`.
    pub fn parse(manifest: &ManifestEntry) -> Result<Self, Error> {
        let json = manifest.data.get().as_bytes();
        let raw = match parse_first::<RawSnapshot>(json) {
            Ok(raw) if raw.source.check().is_ok() && !raw.start_time.is_empty() => raw,
            _ => parse_first(&repaired(json, NAMES)).map_err(|e| Error::Json(e.to_string()))?,
        };
        let mut source = raw.source;
        for (field, label) in
            [(&mut source.host, "hostname"), (&mut source.user_name, "username"), (&mut source.path, "path")]
        {
            if field.is_empty() {
                *field = manifest.labels.get(label).cloned().unwrap_or_default();
            }
        }
        source.check()?;
        let root = raw.root_entry.map(|json| Entry::from_json(json.get().as_bytes())).transpose();
        let (root, root_error) = root.map_or_else(|e| (None, Some(e)), |root| (root, None));
        Ok(Snapshot {
            id: manifest.id.clone(),
            source: Source { user: source.user_name, host: source.host, path: source.path },
            description: raw.description,
            start: time("startTime", raw.start_time)?,
            end: time("endTime", raw.end_time)?,
            stats: raw.stats,
            incomplete: Some(raw.incomplete).filter(|reason| !reason.is_empty()),
            root,
            root_error,
            tags: raw.tags.into_iter().map(|(k, v)| (k, v.unwrap_or_default())).collect(),
            pins: raw.pins.into_iter().map(Option::unwrap_or_default).collect(),
            document: manifest.data.clone(),
        })
    }

    /// Returns how many errors Kopia met when it took the snapshot, ignored ones included, and the first of them.
    ///
    /// What they name is missing in the snapshot, or is not as it was. The counters of the run and those of the root
    /// may differ; the larger ones count.
    pub fn recorded_errors(&self) -> (u64, &[EntryFailure]) {
        let stats = &self.stats;
        let counted =
            stats.error_count.max(0).saturating_add(stats.ignored_error_count.max(0)).unsigned_abs();
        let Some(summary) = self.root.as_ref().and_then(|root| root.summary.as_ref()) else {
            return (counted, &[]);
        };
        let listed = summary.num_failed.saturating_add(summary.num_ignored_errors);
        (counted.max(listed).max(summary.errors.len() as u64), &summary.errors)
    }

    /// Orders snapshots, older before newer: by start, then by end.
    pub fn cmp_time(&self, other: &Snapshot) -> Ordering {
        (self.start, self.end).cmp(&(other.start, other.end))
    }
}

impl RawSource {
    fn check(&self) -> Result<(), Error> {
        let fields = [("host", &self.host), ("userName", &self.user_name), ("path", &self.path)];
        match fields.iter().find(|(_, value)| value.is_empty()) {
            Some((field, _)) => Err(Error::Source { field }),
            None => Ok(()),
        }
    }
}

/// Reads a time; a missing one is the zero time, in the year 1.
fn time(field: &'static str, found: String) -> Result<Time, Error> {
    if found.is_empty() {
        return Ok(Time::MIN);
    }
    Time::parse(&found).ok_or(Error::Time { field, found })
}

#[cfg(test)]
mod tests;
