//! Finds index blobs that cannot be read, but say nothing that others do not say, too: pure functions of listings.
//!
//! A compaction is known from what it was made of, as long as all of that is still there (§4.7, §4.8).

use std::collections::{BTreeMap, HashSet};

use crate::epoch::{EpochListing, Selection, epoch_number, epoch_range, session_epoch};
use crate::ids::BlobId;
use crate::index_blob::CompactionLog;

/// Returns those `bad` blobs of the epoch set that `selection`, chosen without them and read whole, makes up for.
///
/// A range is known when each of its epochs is in another compaction; an epoch's compaction also while `is_young`: the
/// blobs that it was made of are not removed so soon.
pub fn covered_epochs(
    bad: &HashSet<BlobId>,
    listing: &EpochListing,
    selection: &Selection,
    is_young: impl Fn(u64) -> bool,
) -> HashSet<BlobId> {
    let good = |blob: &&BlobId| !bad.contains(*blob);
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for blob in selection.blobs.iter().filter(good) {
        match blob.as_str().get(..2) {
            Some("xr") => spans.extend(epoch_range(blob)),
            Some("xs") => spans.extend(epoch_number(blob).map(|epoch| (epoch, epoch))),
            _ => {}
        }
    }
    spans.sort_unstable();
    let mut sessions: BTreeMap<u64, bool> = BTreeMap::new();
    for blob in &listing.sessions {
        if let Some(epoch) = session_epoch(blob) {
            *sessions.entry(epoch).or_insert(true) &= !bad.contains(blob);
        }
    }
    let is_covered = |blob: &&BlobId| match blob.as_str().get(..2) {
        Some("xr") => epoch_range(blob).is_some_and(|(lo, hi)| is_spanned(&spans, lo, hi)),
        Some("xs") => epoch_number(blob).is_some_and(|epoch| {
            let has_sessions = sessions.get(&epoch).copied().unwrap_or(false);
            is_spanned(&spans, epoch, epoch) || has_sessions && is_young(epoch)
        }),
        _ => false,
    };
    bad.iter().filter(is_covered).cloned().collect()
}

/// Whether sorted `spans` leave out nothing of `lo..=hi`.
fn is_spanned(spans: &[(u64, u64)], lo: u64, hi: u64) -> bool {
    let mut next = lo;
    for (start, end) in spans {
        if *start > next {
            return false;
        }
        if *end >= hi {
            return lo <= hi;
        }
        next = next.max(end.saturating_add(1));
    }
    false
}

/// Returns those `bad` blobs of the legacy set whose compaction's inputs are all listed and readable, or known in turn.
pub fn covered_legacy(bad: &HashSet<BlobId>, listed: &[BlobId], logs: &[CompactionLog]) -> HashSet<BlobId> {
    let listed: HashSet<&str> = listed.iter().map(BlobId::as_str).collect();
    let mut unknown: HashSet<&str> = bad.iter().map(BlobId::as_str).collect();
    loop {
        let is_known = |name: &String| listed.contains(name.as_str()) && !unknown.contains(name.as_str());
        let known = logs.iter().filter(|log| !log.inputs.is_empty() && log.inputs.iter().all(is_known));
        let outputs: HashSet<&str> = known.flat_map(|log| log.outputs.iter().map(String::as_str)).collect();
        let before = unknown.len();
        unknown.retain(|name| !outputs.contains(name));
        if unknown.len() == before {
            return bad.iter().filter(|blob| !unknown.contains(blob.as_str())).cloned().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::select;

    fn blobs(names: &[&str]) -> Vec<BlobId> {
        names.iter().map(|name| BlobId::parse(name).unwrap()).collect()
    }

    /// Chooses without what is bad; returns what is known all the same.
    fn epochs(listed: &[&str], bad: &[&str], young: bool) -> Vec<String> {
        let bad: HashSet<BlobId> = blobs(bad).into_iter().collect();
        let listing = EpochListing::from_blobs(blobs(listed));
        let selection = select(&listing.without_compactions(&bad));
        let mut covered: Vec<String> = covered_epochs(&bad, &listing, &selection, |_| young)
            .iter()
            .map(|blob| blob.as_str().to_owned())
            .collect();
        covered.sort();
        covered
    }

    #[test]
    fn a_range_is_known_from_its_epochs_or_another_range() {
        let all = ["xe9", "xr0_2_a-s1-c1", "xs0_a-s1-c1", "xs1_a-s2-c1", "xs2_a-s3-c1", "xn3_a-s1-c1"];
        assert_eq!(epochs(&all, &["xr0_2_a-s1-c1"], false), ["xr0_2_a-s1-c1"]);
        let gap = ["xe9", "xr0_2_a-s1-c1", "xs0_a-s1-c1", "xs2_a-s3-c1"];
        assert!(epochs(&gap, &["xr0_2_a-s1-c1"], true).is_empty());
        let half = ["xe9", "xr0_2_a-s1-c1", "xs0_a-s1-c1", "xs1_a-s2-c2", "xs2_a-s3-c1"];
        assert!(epochs(&half, &["xr0_2_a-s1-c1"], true).is_empty(), "half a set");
        let twice = ["xe9", "xr0_2_a-s1-c1", "xr0_2_b-s2-c1"];
        assert_eq!(epochs(&twice, &["xr0_2_a-s1-c1"], false), ["xr0_2_a-s1-c1"]);
        let narrower = ["xe9", "xr0_9_a-s1-c1", "xr0_4_b-s2-c1", "xr5_9_b-s2-c1"];
        assert_eq!(epochs(&narrower, &["xr0_9_a-s1-c1"], false), ["xr0_9_a-s1-c1"]);
        let both = ["xr0_2_a-s1-c1", "xs1_a-s2-c1"];
        assert!(epochs(&all, &both, false).is_empty(), "one of its epochs is bad, too");
        let huge = format!("xr0_{}_a-s1-c1", i64::MAX);
        assert!(epochs(&["xe9", &huge, "xs0_a-s1-c1"], &[&huge], true).is_empty());
    }

    #[test]
    fn an_epoch_is_known_from_its_sessions_while_it_is_young() {
        let all = ["xe9", "xs0_a-s1-c1", "xn0_a-s1-c1", "xn0_b-s2-c1"];
        let bad = ["xs0_a-s1-c1"];
        assert_eq!(epochs(&all, &bad, true), bad);
        assert!(epochs(&all, &bad, false).is_empty());
        assert!(epochs(&["xe9", "xs0_a-s1-c1"], &bad, true).is_empty(), "they are gone");
        assert!(epochs(&all, &["xs0_a-s1-c1", "xn0_b-s2-c1"], true).is_empty());
        let copy = ["xe9", "xs0_a-s1-c1", "xs0_z-s9-c1"];
        assert_eq!(epochs(&copy, &bad, false), bad);
        assert!(epochs(&all, &["xn0_a-s1-c1"], true).is_empty(), "nobody else has a session's");
    }

    #[test]
    fn a_legacy_compaction_is_known_from_its_inputs() {
        let log = |inputs: &[&str], outputs: &[&str]| CompactionLog {
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: outputs.iter().map(ToString::to_string).collect(),
        };
        let covered = |listed: &[&str], logs: &[CompactionLog], bad: &[&str]| {
            let bad: HashSet<BlobId> = blobs(bad).into_iter().collect();
            let mut names: Vec<String> = covered_legacy(&bad, &blobs(listed), logs)
                .iter()
                .map(|blob| blob.as_str().to_owned())
                .collect();
            names.sort();
            names
        };
        let logs = [log(&["n1", "n2"], &["n3"]), log(&["n3", "n4"], &["n5"])];
        let all = ["n1", "n2", "n3", "n4", "n5"];
        assert_eq!(covered(&all, &logs, &["n5"]), ["n5"]);
        assert_eq!(covered(&all, &logs, &["n3", "n5"]), ["n3", "n5"]);
        assert!(covered(&all, &logs, &["n1", "n3", "n5"]).is_empty());
        assert!(covered(&["n1", "n3", "n4", "n5"], &logs, &["n3"]).is_empty(), "an input is gone");
        assert!(covered(&all, &logs, &["n4"]).is_empty());
        assert!(covered(&all, &[log(&[], &["n5"])], &["n5"]).is_empty(), "made of nothing");
        assert!(covered(&all, &[log(&["n5"], &["n5"])], &["n5"]).is_empty(), "made of itself");
    }
}
