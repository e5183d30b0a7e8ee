//! Snapshot manifests: one source at one time (§6.3).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::directory::Entry;
use crate::ids::ManifestId;
use crate::manifest::ManifestEntry;
use crate::time::parse_rfc3339_nanos;

/// What a snapshot is of: `user@host:path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// User name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Absolute path.
    pub path: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.user, self.host, self.path)
    }
}

/// One source at one time.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The ID of its manifest.
    pub id: ManifestId,
    /// What it is of.
    pub source: Source,
    /// Free text.
    pub description: String,
    /// Start, in nanoseconds since 1970; orders the snapshots of a source.
    pub start_ns: i64,
    /// End, in nanoseconds since 1970.
    pub end_ns: i64,
    /// Why it is incomplete (`checkpoint`, `canceled`, …); `None`: it is complete.
    pub incomplete: Option<String>,
    /// The root; `None` in damaged manifests.
    pub root: Option<Entry>,
    /// Tags, with keys such as `tag:name`.
    pub tags: BTreeMap<String, String>,
    /// A pinned snapshot never expires.
    pub pins: Vec<String>,
    /// The document as stored, its statistics included.
    pub document: Box<RawValue>,
}

/// A snapshot manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no JSON of the right shape.
    #[error("not a snapshot: {0}")]
    Json(String),
    /// A time does not parse.
    #[error("{0:?} is not a time")]
    Time(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    source: RawSource,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    description: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    start_time: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    end_time: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    incomplete: String,
    root_entry: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    tags: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    pins: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawSource {
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    host: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    user_name: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    path: String,
}

const FIELDS: [&str; 11] = [
    "source",
    "description",
    "startTime",
    "endTime",
    "incomplete",
    "rootEntry",
    "tags",
    "pins",
    "host",
    "userName",
    "path",
];

impl Snapshot {
    /// Parses the document of a manifest of type `snapshot`. A root that cannot be understood is `None`.
    ///
    /// # Errors
    /// When the document itself cannot be understood.
    pub fn parse(manifest: &ManifestEntry) -> Result<Self, Error> {
        let json = manifest.data.get().as_bytes();
        let raw: Raw = match serde_json::from_slice(json) {
            Ok(raw) => raw,
            Err(e) => serde_json::from_slice(&crate::json::repaired(json, &FIELDS))
                .map_err(|_| Error::Json(e.to_string()))?,
        };
        let label = |name: &str| manifest.labels.get(name).cloned().unwrap_or_default();
        let or_label = |text: String, name: &str| if text.is_empty() { label(name) } else { text };
        let root = raw.root_entry.and_then(|root| Entry::from_json(root.get().as_bytes()).ok());
        Ok(Snapshot {
            id: manifest.id.clone(),
            source: Source {
                user: or_label(raw.source.user_name, "username"),
                host: or_label(raw.source.host, "hostname"),
                path: or_label(raw.source.path, "path"),
            },
            description: raw.description,
            start_ns: time(&raw.start_time)?,
            end_ns: time(&raw.end_time)?,
            incomplete: Some(raw.incomplete).filter(|reason| !reason.is_empty()),
            root,
            tags: raw.tags,
            pins: raw.pins,
            document: manifest.data.clone(),
        })
    }
}

fn time(text: &str) -> Result<i64, Error> {
    match text {
        "" => Ok(0),
        _ => parse_rfc3339_nanos(text).ok_or_else(|| Error::Time(text.to_owned())),
    }
}
