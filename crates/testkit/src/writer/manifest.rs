//! Writes manifests: labelled documents, gathered into one content a flush (§6).

use std::collections::BTreeMap;

use rekopia_format::ManifestId;
use rekopia_format::snapshot::Source;
use rekopia_format::time::format_rfc3339_nanos;
use serde_json::{Value, json};

use super::directory::push_entry;
use super::{Entry, EntryKind, RepositoryWriter, Result, compress};

/// A manifest that the next flush writes.
pub(super) struct PendingManifest(Value);

/// A snapshot to be recorded.
#[derive(Debug, Clone)]
pub struct NewSnapshot {
    /// The source that the snapshot is of.
    pub source: Source,
    /// The time when the snapshot began, in nanoseconds since 1970.
    pub start_ns: i64,
    /// The time when the snapshot ended, in nanoseconds since 1970.
    pub end_ns: i64,
    /// The root of the snapshot; `None`: a damaged manifest.
    pub root: Option<Entry<'static>>,
    /// The description, as free text.
    pub description: String,
    /// The reason why the snapshot is incomplete, if it is.
    pub incomplete: Option<String>,
    /// Labels of the user, with keys such as `tag:k`.
    pub tags: BTreeMap<String, String>,
    /// The pins, which keep the snapshot from expiring.
    pub pins: Vec<String>,
}

impl NewSnapshot {
    /// Makes a complete snapshot that took ten seconds.
    pub fn new(source: Source, start_ns: i64, root: Entry<'static>) -> Self {
        NewSnapshot {
            source,
            start_ns,
            end_ns: start_ns + 10_000_000_000,
            root: Some(root),
            description: String::new(),
            incomplete: None,
            tags: BTreeMap::new(),
            pins: Vec::new(),
        }
    }
}

/// The target of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyTarget {
    /// The policy is for everything.
    Global,
    /// The policy is for a host.
    Host(String),
    /// The policy is for a user on a host.
    User(String, String),
    /// The policy is for a source, or a directory below it.
    Path(Source),
}

impl RepositoryWriter {
    /// Records a snapshot; it is visible after the next flush.
    ///
    /// # Errors
    /// None at present.
    pub fn put_snapshot(&mut self, snapshot: &NewSnapshot) -> Result<ManifestId> {
        let Source { user, host, path } = &snapshot.source;
        let mut labels = snapshot.tags.clone();
        for (key, value) in [("type", "snapshot"), ("hostname", host), ("username", user), ("path", path)] {
            labels.insert(key.into(), value.to_owned());
        }
        let (size, files, dirs) = match snapshot.root.as_ref().map(|root| &root.kind) {
            Some(EntryKind::Directory(total)) => (total.size, total.files, total.dirs),
            Some(EntryKind::File(size)) => (*size, 1, 0),
            _ => (0, 0, 0),
        };
        let int32 = |n: u64| n.min(i32::MAX as u64);
        let root = snapshot.root.as_ref().map(|root| {
            let mut json = Vec::new();
            push_entry(&mut json, root);
            serde_json::from_slice::<Value>(&json).expect("entries are encoded as JSON")
        });
        let mut data = json!({
            "id": "",
            "source": { "host": host, "userName": user, "path": path },
            "description": snapshot.description,
            "startTime": format_rfc3339_nanos(snapshot.start_ns),
            "endTime": format_rfc3339_nanos(snapshot.end_ns),
            "stats": {
                "totalSize": size, "excludedTotalSize": 0, "fileCount": int32(files), "cachedFiles": 0,
                "nonCachedFiles": int32(files), "dirCount": int32(dirs), "excludedFileCount": 0,
                "excludedDirCount": 0, "ignoredErrorCount": 0, "errorCount": 0,
            },
            "rootEntry": root,
        });
        if let Some(why) = &snapshot.incomplete {
            data["incomplete"] = why.as_str().into();
        }
        if !snapshot.tags.is_empty() {
            data["tags"] = json!(snapshot.tags);
        }
        if !snapshot.pins.is_empty() {
            data["pins"] = json!(snapshot.pins);
        }
        self.put_manifest(labels, data)
    }

    /// Records a policy (§6.4).
    ///
    /// # Errors
    /// None at present.
    pub fn put_policy(&mut self, target: &PolicyTarget, policy: Value) -> Result<ManifestId> {
        let (kind, host, user, path) = match target {
            PolicyTarget::Global => ("global", None, None, None),
            PolicyTarget::Host(host) => ("host", Some(host), None, None),
            PolicyTarget::User(user, host) => ("user", Some(host), Some(user), None),
            PolicyTarget::Path(s) => ("path", Some(&s.host), Some(&s.user), Some(&s.path)),
        };
        let mut labels =
            BTreeMap::from([("type".into(), "policy".into()), ("policyType".into(), kind.into())]);
        for (key, value) in [("hostname", host), ("username", user), ("path", path)] {
            labels.extend(value.map(|v| (key.to_owned(), v.clone())));
        }
        self.put_manifest(labels, policy)
    }

    /// Records any manifest; `labels` should have a `type`.
    ///
    /// # Errors
    /// None at present.
    pub fn put_manifest(&mut self, labels: BTreeMap<String, String>, data: Value) -> Result<ManifestId> {
        let id = ManifestId::parse(&self.random.hex(16))?;
        let modified = self.next_modified();
        self.manifests.push(PendingManifest(
            json!({ "id": id.as_str(), "labels": labels, "modified": modified, "data": data }),
        ));
        Ok(id)
    }

    /// Records that a manifest is gone.
    pub fn delete_manifest(&mut self, id: &ManifestId) {
        let modified = self.next_modified();
        self.manifests.push(PendingManifest(
            json!({ "id": id.as_str(), "labels": null, "modified": modified, "deleted": true, "data": null }),
        ));
    }

    pub(super) fn write_manifests(&mut self) -> Result<()> {
        if self.manifests.is_empty() {
            return Ok(());
        }
        let entries: Vec<Value> = self.manifests.drain(..).map(|m| m.0).collect();
        let mut gzip = Vec::new();
        let json = format!("{}\n", json!({ "entries": entries }));
        compress::gzip(json.as_bytes(), flate2::Compression::default(), &mut gzip);
        self.put_content(b'm', &gzip)?;
        Ok(())
    }

    /// Returns the clock's time, a nanosecond later each time.
    fn next_modified(&mut self) -> String {
        self.ticks += 1;
        format_rfc3339_nanos(self.now * 1_000_000_000 + self.ticks)
    }
}
