//! Snapshot manifests: whose, when, what, whether complete, and the root (§6.3).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::directory::{Entry, EntryError, EntryFailure};
use crate::ids::ManifestId;
use crate::json::{null_is_zero, parse_first, repaired};
use crate::manifest::ManifestEntry;
use crate::time::parse_rfc3339_nanos;

/// One snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The manifest's ID.
    pub id: ManifestId,
    /// What was snapshotted.
    pub source: Source,
    /// Free text, may be empty.
    pub description: String,
    /// Nanoseconds since 1970.
    pub start_ns: i64,
    /// Nanoseconds since 1970.
    pub end_ns: i64,
    /// What Kopia counted on the way. True totals are in the root's summary.
    pub stats: Stats,
    /// Why it is incomplete (`checkpoint`, `canceled`, `limit reached`); `None` when it is complete.
    pub incomplete: Option<String>,
    /// The root: a directory, or a single file. Its name need not be a safe one. `None` in damaged manifests.
    pub root: Option<Entry>,
    /// Why there is no root although one is stored.
    pub root_error: Option<EntryError>,
    /// Tags, under keys `tag:<name>`.
    pub tags: BTreeMap<String, String>,
    /// A pinned snapshot is never expired.
    pub pins: Vec<String>,
    /// The document as stored.
    pub document: Box<RawValue>,
}

/// User, host and path. Ordered and displayed as `user@host:path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// User name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Path.
    pub path: String,
}

/// Counters of a snapshot run (§6.3). Files that were not read anew are not in `file_count`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say what they count")]
pub struct Stats {
    #[serde(deserialize_with = "clamped")]
    pub total_size: i64,
    #[serde(deserialize_with = "clamped")]
    pub excluded_total_size: i64,
    #[serde(deserialize_with = "clamped")]
    pub file_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub cached_files: i64,
    #[serde(deserialize_with = "clamped")]
    pub non_cached_files: i64,
    #[serde(deserialize_with = "clamped")]
    pub dir_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub excluded_file_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub excluded_dir_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub ignored_error_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub error_count: i64,
}

/// The manifest is not a snapshot's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not the JSON it should be.
    #[error("snapshot manifest: {0}")]
    Json(String),
    /// The source is complete neither in the document nor in the labels.
    #[error("snapshot manifest has no {field} in its source")]
    Source {
        /// What is missing.
        field: &'static str,
    },
    /// A time does not parse.
    #[error("snapshot manifest: {field} {found:?} is not an RFC 3339 time")]
    Time {
        /// Which time.
        field: &'static str,
        /// The text found.
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
    /// From a manifest whose label `type` is `snapshot`.
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
            start_ns: time("startTime", raw.start_time)?,
            end_ns: time("endTime", raw.end_time)?,
            stats: raw.stats,
            incomplete: Some(raw.incomplete).filter(|reason| !reason.is_empty()),
            root,
            root_error,
            tags: raw.tags.into_iter().map(|(k, v)| (k, v.unwrap_or_default())).collect(),
            pins: raw.pins.into_iter().map(Option::unwrap_or_default).collect(),
            document: manifest.data.clone(),
        })
    }

    /// How many errors Kopia met when it took the snapshot, ignored ones included, and the first of them.
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

    /// Older before newer: by start, then by end.
    pub fn cmp_time(&self, other: &Snapshot) -> Ordering {
        (self.start_ns, self.end_ns).cmp(&(other.start_ns, other.end_ns))
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

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.user, self.host, self.path)
    }
}

impl Ord for Source {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text()
            .cmp(other.text())
            .then_with(|| (&self.user, &self.host, &self.path).cmp(&(&other.user, &other.host, &other.path)))
    }
}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Source {
    /// The bytes that are displayed.
    fn text(&self) -> impl Iterator<Item = u8> {
        [self.user.as_str(), "@", &self.host, ":", &self.path].into_iter().flat_map(str::bytes)
    }
}

/// A missing time is the zero time, in the year 1.
fn time(field: &'static str, found: String) -> Result<i64, Error> {
    if found.is_empty() {
        return Ok(i64::MIN);
    }
    parse_rfc3339_nanos(&found).ok_or(Error::Time { field, found })
}

/// A number of any size; what does not fit becomes the nearest that does, `null` is 0.
fn clamped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct NumberVisitor;

    impl Visitor<'_> for NumberVisitor {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }

        fn visit_i64<E>(self, n: i64) -> Result<i64, E> {
            Ok(n)
        }

        fn visit_u64<E>(self, n: u64) -> Result<i64, E> {
            Ok(i64::try_from(n).unwrap_or(i64::MAX))
        }

        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
        fn visit_f64<E>(self, n: f64) -> Result<i64, E> {
            Ok(n as i64)
        }

        fn visit_unit<E>(self) -> Result<i64, E> {
            Ok(0)
        }
    }

    deserializer.deserialize_any(NumberVisitor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::EntryKind;
    use crate::manifest::Manifests;

    /// The manifest content of appendix C.
    const CONTENT: &str = r#"{"entries":[{"id":"50590e4bbb7ec9c9fcd2a4585911cb21","labels":{"hostname":"myhost","path":"/data/sample","tag:k":"v","type":"snapshot","username":"me"},"modified":"2026-11-23T02:27:03.050785031Z","data":{"id":"","source":{"host":"myhost","userName":"me","path":"/data/sample"},"description":"snap 0","startTime":"2026-11-23T02:27:03.048912105Z","endTime":"2026-11-23T02:27:03.050657151Z","stats":{"totalSize":2113,"excludedTotalSize":0,"fileCount":2,"cachedFiles":0,"nonCachedFiles":2,"dirCount":2,"excludedFileCount":0,"excludedDirCount":0,"ignoredErrorCount":0,"errorCount":0},"rootEntry":{"name":"samplesrc","type":"d","mode":"0755","mtime":"2024-01-02T03:04:05.678901234Z","obj":"kbb6c1754b61601cfc2fb0fa80cad261a","summ":{"size":2113,"files":2,"symlinks":1,"dirs":2,"maxTime":"2024-01-02T03:04:05.678901234Z","numFailed":0}},"tags":{"tag:k":"v"},"pins":["pin1"]}}]}
"#;

    fn parse(data: &str) -> Result<Snapshot, Error> {
        let mut manifests = Manifests::default();
        manifests.add(format!(r#"{{"entries":[{{"id":"0c","data":{data}}}]}}"#).as_bytes()).unwrap();
        Snapshot::parse(&manifests.finish()[0])
    }

    /// A snapshot with these fields besides.
    fn with(fields: &str) -> Result<Snapshot, Error> {
        parse(&format!(
            r#"{{"source":{{"host":"h","userName":"u","path":"/p"}},"startTime":"2024-01-02T03:04:05Z"{fields}}}"#
        ))
    }

    #[test]
    fn trap_34_snapshot_of_the_tiny_repository_has_its_manifests_id() {
        let mut manifests = Manifests::default();
        manifests.add(CONTENT.as_bytes()).unwrap();
        let s = Snapshot::parse(&manifests.finish()[0]).unwrap();
        assert_eq!(s.id.as_str(), "50590e4bbb7ec9c9fcd2a4585911cb21");
        assert_eq!(
            (s.source.to_string().as_str(), s.description.as_str()),
            ("me@myhost:/data/sample", "snap 0")
        );
        assert_eq!(s.end_ns - s.start_ns, 1_745_046);
        assert_eq!((s.stats.total_size, s.stats.file_count, s.stats.dir_count), (2113, 2, 2));
        assert_eq!((s.pins.as_slice(), s.tags["tag:k"].as_str()), (&["pin1".to_owned()][..], "v"));
        let root = s.root.unwrap();
        assert_eq!((root.name_text(), &root.kind, root.mode), ("samplesrc", &EntryKind::Directory, 0o755));
        assert_eq!(root.summary.unwrap().files, 2);
        assert_eq!(s.incomplete, None);
    }

    #[test]
    fn trap_40_the_root_may_be_a_file_or_missing() {
        let file = with(r#","rootEntry":{"name":"/","type":"f","obj":"00","summ":{"files":1}}"#)
            .unwrap()
            .root
            .unwrap();
        assert!(file.kind == EntryKind::File && file.name.is_err() && file.name_text() == "/");
        assert_eq!(with(r#","rootEntry":null"#).unwrap().root, None);
        assert_eq!(with("").unwrap().root, None);
        let broken = with(r#","rootEntry":{"name":"x","mode":"rwx","obj":"00"}"#).unwrap();
        assert!(broken.root.is_none() && broken.root_error.unwrap().what.contains("rwx"));
        assert_eq!(with(r#","incomplete":"checkpoint""#).unwrap().incomplete.as_deref(), Some("checkpoint"));
    }

    #[test]
    fn trap_43_numbers_out_of_range_are_tolerated() {
        let s = with(
            r#","stats":{"fileCount":2147483648,"totalSize":18446744073709551615,"dirCount":1e30,"errorCount":null}"#,
        );
        let stats = s.unwrap().stats;
        assert_eq!(
            (stats.file_count, stats.total_size, stats.dir_count, stats.error_count),
            (1 << 31, i64::MAX, i64::MAX, 0)
        );
    }

    #[test]
    fn errors_are_counted_wherever_they_are_recorded() {
        assert_eq!(with("").unwrap().recorded_errors(), (0, &[][..]));
        let counted = with(r#","stats":{"errorCount":2,"ignoredErrorCount":-7}"#).unwrap();
        assert_eq!(counted.recorded_errors().0, 2);
        let listed = with(
            r#","rootEntry":{"name":"x","type":"d","obj":"k00","summ":{"numFailed":1,"numIgnoredErrors":3,
                "errors":[{"path":"a/b","error":"permission denied"}]}}"#,
        );
        let listed = listed.unwrap();
        let (count, first) = listed.recorded_errors();
        assert_eq!((count, first[0].path.as_str()), (4, "a/b"));
    }

    #[test]
    fn nulls_and_odd_spellings_parse() {
        assert!(
            with(
                r#","stats":null,"tags":null,"pins":null,"description":null,"endTime":null,"storageStats":{}"#
            )
            .is_ok()
        );
        let odd = r#"{"Source":{"HOST":"h","username":"u","Path":"/p"},"STARTTIME":"1970-01-01T00:00:01Z"}"#;
        assert_eq!(parse(odd).unwrap().start_ns, 1_000_000_000);
    }

    #[test]
    fn labels_fill_gaps_of_the_source() {
        let mut manifests = Manifests::default();
        let json = r#"{"entries":[{"id":"0c","labels":{"hostname":"h","username":"u","path":"/p"},"data":{"source":{"host":"x"}}}]}"#;
        manifests.add(json.as_bytes()).unwrap();
        assert_eq!(Snapshot::parse(&manifests.finish()[0]).unwrap().source.to_string(), "u@x:/p");
    }

    #[test]
    fn what_is_no_snapshot_is_an_error() {
        assert_eq!(
            parse(r#"{"source":{"host":"h","userName":"u"}}"#).unwrap_err(),
            Error::Source { field: "path" }
        );
        assert!(matches!(with(r#","endTime":"late""#), Err(Error::Time { field: "endTime", .. })));
        for bad in ["null", "7", "[]", r#"{"source":7}"#, r#"{"stats":{"fileCount":"x"}}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sources_order_as_they_are_displayed() {
        let source = |user: &str, host: &str, path: &str| Source {
            user: user.into(),
            host: host.into(),
            path: path.into(),
        };
        let mut all =
            [source("b", "a", "/"), source("a", "b", "/x"), source("a", "b-c", "/"), source("a", "b", "/")];
        all.sort();
        let texts: Vec<String> = all.iter().map(Source::to_string).collect();
        assert_eq!(texts, ["a@b-c:/", "a@b:/", "a@b:/x", "b@a:/"]);
        assert!(texts.is_sorted());
    }
}
