//! Reads manifests: small labelled documents, kept in contents with prefix `m` (§6.1).

use std::collections::{BTreeMap, HashMap, hash_map};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ids::ManifestId;
use crate::json::{Text, parse_first, repaired};
use crate::json_array::{self, ArrayScanner, Piece};
use crate::time::Time;

/// A version of a manifest, or its tombstone.
#[derive(Debug, Clone)]
pub struct ManifestEntry {
    /// The ID of the manifest, chosen when it was created. The document's own `id` is empty.
    pub id: ManifestId,
    /// The labels that the manifest is found by, `type` among them.
    pub labels: BTreeMap<String, String>,
    /// The time of the version; decides between versions.
    pub modified: Time,
    /// Whether this is a tombstone.
    pub deleted: bool,
    /// The document as JSON; `null` in tombstones.
    pub data: Box<RawValue>,
}

/// The reason why the bytes hold no manifests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The content is not the JSON that it should be.
    #[error("manifest content: {0}")]
    Json(#[from] json_array::Error),
    /// A single manifest does not parse.
    #[error("manifest {id:?}: {what}")]
    Entry {
        /// The ID of the manifest, as far as it could be read.
        id: String,
        /// The reason: what was expected and found.
        what: String,
    },
}

/// All manifests of a repository: add every content, then [`finish`](Manifests::finish).
#[derive(Debug, Default, Clone)]
pub struct Manifests {
    latest: HashMap<ManifestId, ManifestEntry>,
}

/// Parses a gunzipped manifest content that arrives in pieces.
#[derive(Debug)]
pub struct ManifestScanner(ArrayScanner);

#[derive(Deserialize)]
struct RawManifest<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    labels: Option<BTreeMap<String, Option<String>>>,
    #[serde(borrow, default)]
    modified: Text<'a>,
    deleted: Option<bool>,
    data: Option<Box<RawValue>>,
}

impl Manifests {
    /// Adds all manifests of one content (gunzipped).
    ///
    /// # Errors
    /// [`Error::Json`]; the first [`Error::Entry`], while all other manifests are added.
    pub fn add(&mut self, json: &[u8]) -> Result<(), Error> {
        let mut scanner = ManifestScanner::new();
        let mut first_error = None;
        scanner.push(json, |entry| match entry {
            Ok(entry) => self.add_entry(entry),
            Err(error) => first_error = first_error.take().or(Some(error)),
        })?;
        scanner.finish()?;
        first_error.map_or(Ok(()), Err)
    }

    /// Adds one manifest. The latest of an ID counts; of two equally late ones, the first.
    pub fn add_entry(&mut self, entry: ManifestEntry) {
        match self.latest.entry(entry.id.clone()) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
            }
            hash_map::Entry::Occupied(mut known) => {
                if entry.modified > known.get().modified {
                    known.insert(entry);
                }
            }
        }
    }

    /// Returns the manifests that exist, oldest first.
    pub fn finish(self) -> Vec<ManifestEntry> {
        let mut live: Vec<ManifestEntry> = self.latest.into_values().filter(|m| !m.deleted).collect();
        live.sort_by(|a, b| (a.modified, &a.id).cmp(&(b.modified, &b.id)));
        live
    }
}

impl Default for ManifestScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl ManifestScanner {
    /// Makes a scanner at the start of a content.
    pub fn new() -> Self {
        ManifestScanner(ArrayScanner::new("entries"))
    }

    /// Takes the next bytes and hands every manifest that ends in them to `each`.
    ///
    /// # Errors
    /// When the bytes are not the JSON that they should be; a manifest that does not parse is an `Err` of its own.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(Result<ManifestEntry, Error>),
    ) -> Result<(), json_array::Error> {
        self.0.push(chunk, |piece| {
            if let Piece::Element(json) = piece {
                each(ManifestEntry::parse(json));
            }
            Ok(())
        })
    }

    /// Checks that the content has ended.
    ///
    /// # Errors
    /// When it has not.
    pub fn finish(self) -> Result<(), json_array::Error> {
        self.0.finish()
    }
}

impl ManifestEntry {
    fn parse(json: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice::<RawManifest<'_>>(json) {
            Ok(raw) if !raw.id.as_str().is_empty() => raw.convert(),
            _ => {
                let json = repaired(json, &["id", "labels", "modified", "deleted", "data"]);
                let raw: RawManifest<'_> = parse_first(&json)
                    .map_err(|e| Error::Entry { id: String::new(), what: e.to_string() })?;
                raw.convert()
            }
        }
    }
}

impl RawManifest<'_> {
    fn convert(self) -> Result<ManifestEntry, Error> {
        let bad = |what: String| Error::Entry { id: self.id.0.chars().take(64).collect(), what };
        let id = ManifestId::parse(self.id.as_str()).map_err(|e| bad(e.to_string()))?;
        let modified = match self.modified.as_str() {
            // the zero time is the year 1
            "" => Time::MIN,
            text => {
                Time::parse(text).ok_or_else(|| bad(format!("modified {text:?} is not an RFC 3339 time")))?
            }
        };
        let labels = self.labels.into_iter().flatten().map(|(k, v)| (k, v.unwrap_or_default())).collect();
        let data = self.data.unwrap_or_else(|| RawValue::NULL.to_owned());
        Ok(ManifestEntry { id, labels, modified, deleted: self.deleted.unwrap_or(false), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "50590e4bbb7ec9c9fcd2a4585911cb21";

    fn entry(id: &str, second: u32, more: &str) -> String {
        format!(
            r#"{{"id":"{id}","labels":{{"type":"t"}},"modified":"1970-01-01T00:00:{second:02}Z"{more},"data":{second}}}"#
        )
    }

    fn load(contents: &[Vec<String>]) -> Result<Vec<(String, String)>, Error> {
        let mut manifests = Manifests::default();
        for content in contents {
            manifests.add(format!(r#"{{"other":[1],"entries":[{}]}}"#, content.join(",")).as_bytes())?;
        }
        Ok(manifests.finish().into_iter().map(|m| (m.id.to_string(), m.data.get().to_owned())).collect())
    }

    #[test]
    fn trap_33_latest_version_first_then_tombstones() {
        let alive = entry(A, 1, "");
        let dead = entry(A, 2, r#","deleted":true"#);
        let again = entry(A, 3, "");
        assert_eq!(load(&[vec![dead.clone()], vec![alive.clone()]]).unwrap(), []);
        assert_eq!(load(&[vec![alive.clone(), dead.clone()]]).unwrap(), []);
        let latest = [(A.to_owned(), "3".to_owned())];
        for order in [[&alive, &dead, &again], [&again, &dead, &alive], [&dead, &again, &alive]] {
            assert_eq!(load(&[order.map(String::clone).to_vec()]).unwrap(), latest);
        }
        assert_eq!(load(&[vec![alive.clone()], vec![entry(A, 1, r#","deleted":true"#)]]).unwrap().len(), 1);
    }

    #[test]
    fn live_manifests_come_oldest_first() {
        let list = load(&[
            vec![entry("02", 5, ""), entry("01", 9, "")],
            vec![entry("03", 1, ""), entry("00", 5, "")],
        ])
        .unwrap();
        assert_eq!(list.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["03", "00", "02", "01"]);
    }

    #[test]
    fn tombstones_and_odd_spellings_parse() {
        let tombstone =
            r#"{"id":"0c","labels":null,"modified":"2024-01-02T03:04:05+01:00","deleted":true,"data":null}"#;
        let m = ManifestEntry::parse(tombstone.as_bytes()).unwrap();
        assert!(m.deleted && m.labels.is_empty() && m.data.get() == "null");
        let odd = br#"{"ID":"0c","Labels":{"Type":"x","tag:a":null}}"#;
        let m = ManifestEntry::parse(odd).unwrap();
        assert_eq!(
            (m.labels.get("Type").map(String::as_str), m.labels.get("tag:a").map(String::as_str)),
            (Some("x"), Some(""))
        );
        assert_eq!((m.modified, m.data.get()), (Time::MIN, "null"));
    }

    #[test]
    fn broken_contents_are_errors() {
        for bad in [
            r#"{"id":""}"#,
            r#"{"id":"../x"}"#,
            r#"{"id":"0c","modified":"x"}"#,
            "7",
            r#"{"id":"0c","labels":{"a":1}}"#,
        ] {
            assert!(matches!(load(&[vec![bad.to_owned()]]), Err(Error::Entry { .. })), "{bad}");
        }
        for bad in ["", "[]", "{\"entries\":[", "null"] {
            assert!(matches!(Manifests::default().add(bad.as_bytes()), Err(Error::Json(_))), "{bad}");
        }
        assert!(Manifests::default().add(br#"{"entries":null}"#).is_ok());
        // the good ones are kept
        let mut manifests = Manifests::default();
        let json = format!(r#"{{"entries":[7,{}]}}"#, entry(A, 1, ""));
        assert!(manifests.add(json.as_bytes()).is_err());
        assert_eq!(manifests.finish().len(), 1);
    }
}
