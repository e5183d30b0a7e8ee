//! What manifests mean: snapshots, policies, and why a snapshot is kept.

use std::collections::BTreeMap;

use rekopia_format::index_blob::{CompactionLog, select_legacy};
use rekopia_format::manifest::{ManifestEntry, Manifests};
use rekopia_format::policy::{Policy, effective_retention, retention_reasons};
use rekopia_format::snapshot::Snapshot;
use rekopia_format::{BlobId, ManifestId, Time};
use serde_json::value::RawValue;

use crate::input::Input;

/// All manifests of a content together, as a repository reads them.
pub(crate) fn all_manifests(json: &[u8]) {
    let mut manifests = Manifests::default();
    let _ = manifests.add(json);
    let manifests = manifests.finish();
    let snapshots: Vec<Snapshot> = manifests.iter().flat_map(Snapshot::parse).collect();
    let policies: Vec<Policy> = manifests.iter().flat_map(Policy::parse).collect();
    for snapshot in &snapshots {
        check_retention(snapshot, &snapshots, &policies);
    }
}

fn check_retention(one: &Snapshot, snapshots: &[Snapshot], policies: &[Policy]) {
    let _ = one.recorded_errors();
    let same: Vec<&Snapshot> = snapshots.iter().filter(|s| s.source == one.source).collect();
    let retention = effective_retention(policies, &one.source);
    for offset in [-50_000, 0, 50_400] {
        let reasons = retention_reasons(&same, &retention, |_| offset);
        assert_eq!(reasons.len(), same.len(), "a list of reasons for each snapshot");
    }
}

/// A manifest around the input as its document; `None` when it is no JSON at all.
fn manifest(labels: BTreeMap<String, String>, json: &[u8]) -> Option<ManifestEntry> {
    let data = RawValue::from_string(String::from_utf8_lossy(json).into_owned()).ok()?;
    let id = ManifestId::parse("0123456789abcdef0123456789abcdef").expect("an ID");
    Some(ManifestEntry { id, labels, modified: Time::default(), deleted: false, data })
}

fn labels(kind: &str, of: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = [("type", kind)].into_iter().chain(of.iter().copied());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The document of a snapshot, alone and beside a copy of itself.
pub fn snapshot(data: &[u8]) {
    let source = [("hostname", "h"), ("username", "u"), ("path", "/p")];
    let Some(manifest) = manifest(labels("snapshot", &source), data) else { return };
    let Ok(snapshot) = Snapshot::parse(&manifest) else { return };
    assert!(!snapshot.source.path.is_empty(), "a source without a path");
    assert!(snapshot.root.is_none() || snapshot.root_error.is_none(), "a root and why there is none");
    check_retention(&snapshot, &[snapshot.clone(), snapshot.clone()], &[]);
}

/// The document of a policy, for each kind of target.
pub fn policy(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.pick(&["global", "host", "user", "path", "other"]);
    let len = usize::from(input.byte());
    let path = String::from_utf8_lossy(input.take(len)).into_owned();
    let target = [("policyType", kind), ("hostname", "h"), ("username", "u"), ("path", path.as_str())];
    let Some(manifest) = manifest(labels("policy", &target), input.0) else { return };
    let Ok(policy) = Policy::parse(&manifest) else { return };
    let source = rekopia_format::snapshot::Source { user: "u".into(), host: "h".into(), path };
    let _ = effective_retention(&[policy.clone(), policy], &source);
}

/// Compaction logs, and the legacy index blobs that count beside them.
pub fn compaction_log(data: &[u8]) {
    let Ok(log) = CompactionLog::parse(data) else { return };
    let names = log.inputs.iter().chain(&log.outputs);
    let listed: Vec<BlobId> = names.filter_map(|name| BlobId::parse(name).ok()).collect();
    let bad = listed.iter().take(2).cloned().collect();
    let logs = [log.clone(), log];
    let selected = select_legacy(&listed, &logs);
    assert!(selected.iter().all(|blob| listed.contains(blob)), "a blob that was not listed");
    let covered = rekopia_format::index_cover::covered_legacy(&bad, &listed, &logs);
    assert!(covered.is_subset(&bad), "what is good is covered");
}
