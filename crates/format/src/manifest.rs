//! Manifests: small labelled JSON documents; the latest version of each counts (§6.1).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ids::ManifestId;
use crate::json_array::{self, ArrayScanner, Piece};
use crate::time::parse_rfc3339_nanos;

/// A document with its labels.
#[derive(Debug, Clone)]
pub struct ManifestEntry {
    /// Chosen at random when it was made.
    pub id: ManifestId,
    /// `type` says what it is.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970; decides between versions.
    pub modified_ns: i64,
    /// A tombstone.
    pub deleted: bool,
    /// The document as stored.
    pub data: Box<RawValue>,
}

/// Manifests that do not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The list is no JSON.
    #[error(transparent)]
    Json(#[from] json_array::Error),
    /// One of them lacks what it needs.
    #[error("manifest {number}: {what}")]
    Manifest {
        /// Position in the list, from 0.
        number: usize,
        /// What is wrong.
        what: String,
    },
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "crate::json::null_is_zero", alias = "ID")]
    id: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    modified: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    deleted: bool,
    data: Option<Box<RawValue>>,
}

/// The manifests of a repository, collected from all `m` contents.
#[derive(Debug, Default)]
pub struct Manifests {
    latest: HashMap<ManifestId, ManifestEntry>,
}

impl Manifests {
    /// Adds the manifests of one `m` content, gunzipped.
    ///
    /// # Errors
    /// When the list or one of its elements cannot be understood.
    pub fn add(&mut self, json: &[u8]) -> Result<(), Error> {
        let mut scanner = ArrayScanner::new("entries");
        let mut number = 0usize;
        scanner.push(json, |piece| -> Result<(), Error> {
            let Piece::Element(element) = piece else { return Ok(()) };
            let entry = parse(element).map_err(|what| Error::Manifest { number, what })?;
            number = number.saturating_add(1);
            match self.latest.entry(entry.id.clone()) {
                MapEntry::Vacant(vacant) => drop(vacant.insert(entry)),
                MapEntry::Occupied(mut known) if entry.modified_ns > known.get().modified_ns => {
                    known.insert(entry);
                }
                MapEntry::Occupied(_) => {}
            }
            Ok(())
        })?;
        Ok(scanner.finish()?)
    }

    /// The live ones, by ID. Tombstones go last, after they have beaten what they bury.
    pub fn finish(self) -> Vec<ManifestEntry> {
        let mut live: Vec<ManifestEntry> = self.latest.into_values().filter(|m| !m.deleted).collect();
        live.sort_by(|a, b| a.id.cmp(&b.id));
        live
    }
}

fn parse(element: &[u8]) -> Result<ManifestEntry, String> {
    let raw: Raw = match serde_json::from_slice(element) {
        Ok(raw) => raw,
        Err(e) => {
            let repaired = crate::json::repaired(element, &["id", "labels", "modified", "deleted", "data"]);
            serde_json::from_slice(&repaired).map_err(|_| e.to_string())?
        }
    };
    let id = ManifestId::parse(&raw.id).map_err(|e| e.to_string())?;
    let modified_ns = match raw.modified.as_str() {
        "" => 0,
        text => parse_rfc3339_nanos(text).ok_or_else(|| format!("{text:?} is not a time"))?,
    };
    let data = match raw.data {
        Some(data) => data,
        None => RawValue::from_string("null".into()).map_err(|e| e.to_string())?,
    };
    Ok(ManifestEntry { id, labels: raw.labels, modified_ns, deleted: raw.deleted, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(contents: &[&str]) -> Vec<(String, i64)> {
        let mut manifests = Manifests::default();
        for content in contents {
            manifests.add(content.as_bytes()).unwrap();
        }
        manifests.finish().into_iter().map(|m| (m.id.to_string(), m.modified_ns)).collect()
    }

    /// Trap 33: first the latest version of each, then tombstones are dropped.
    #[test]
    fn trap_33_tombstones_bury_older_versions_only() {
        let old =
            r#"{"entries":[{"id":"0a","labels":{"type":"x"},"modified":"1970-01-01T00:00:01Z","data":{}}]}"#;
        let grave = r#"{"entries":[{"id":"0a","labels":null,"modified":"1970-01-01T00:00:02Z","deleted":true,"data":null}]}"#;
        let later = r#"{"entries":[{"id":"0a","labels":{"type":"x"},"modified":"1970-01-01T00:00:03Z","data":{}}],"extra":1}"#;
        assert_eq!(live(&[old, grave]), []);
        assert_eq!(live(&[grave, old]), []);
        assert_eq!(live(&[grave, later, old]), [("0a".into(), 3_000_000_000)]);
        assert_eq!(live(&[r#"{"entries":null}"#]), []);
    }

    #[test]
    fn damage_is_an_error() {
        let mut manifests = Manifests::default();
        for bad in ["", "{", r#"{"entries":[{"id":""}]}"#, r#"{"entries":[{"id":"0a","modified":"soon"}]}"#] {
            assert!(manifests.add(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
