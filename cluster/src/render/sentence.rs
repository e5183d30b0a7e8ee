//! Says everything in one sentence; and what cannot be judged without a right.

use std::collections::BTreeMap;

use crate::findings::{Diagnosis, Phase, Verdict, is_blind};
use crate::view::{OF_OPERATOR, View};

/// Names that are listed before the rest is only counted.
const NAMED: usize = 3;

/// Writes the summary: `22 of 25 run on restored data, 2 restore (3 min), 1 refused: paperless`.
#[must_use]
pub fn summary(view: &View, all: &[Diagnosis<'_>]) -> String {
    let restores = || all.iter().filter(|one| one.phase != Phase::BackupOnly);
    let total = restores().count();
    if total == 0 {
        let nothing = if is_blind(view, all) {
            "rights are missing without which nothing can be said"
        } else {
            "no claim here is filled by a restore"
        };
        return nothing.into();
    }
    let fine = restores().filter(|one| one.verdict() == Verdict::Fine);
    let (empty, full): (Vec<_>, Vec<_>) = fine.partition(|one| one.app.began_empty());
    let mut parts = vec![format!("{} of {total} run on restored data", full.len())];
    if !empty.is_empty() {
        parts.push(format!("{} began empty", empty.len()));
    }
    let going: Vec<_> = restores().filter(|one| one.verdict() == Verdict::GoesOn).collect();
    let (unseen, going): (Vec<_>, Vec<_>) = going.into_iter().partition(|one| one.phase == Phase::Unseen);
    let (starting, going): (Vec<_>, Vec<_>) = going.into_iter().partition(|one| one.phase.is_restored());
    let (unclaimed, going): (Vec<_>, Vec<_>) =
        going.into_iter().partition(|one| one.phase == Phase::Unclaimed);
    if !going.is_empty() {
        let eta = going.iter().filter_map(|one| one.app.progress()?.eta_seconds).max();
        let eta = eta.map(|seconds| format!(" ({})", minutes(seconds))).unwrap_or_default();
        let verb = if going.len() == 1 { "restores" } else { "restore" };
        parts.push(format!("{} {verb}{eta}", going.len()));
    }
    if !starting.is_empty() {
        parts.push(format!("{} start", starting.len()));
    }
    if !unclaimed.is_empty() {
        parts.push(format!("{} without a claim", unclaimed.len()));
    }
    let mut broken: BTreeMap<(Phase, &str), Vec<&str>> = BTreeMap::new();
    for one in restores().filter(|one| one.verdict() == Verdict::Broken) {
        let word = word(one);
        let first = broken.keys().find(|(_, known)| *known == word).copied();
        broken.entry(first.unwrap_or((one.phase, word))).or_default().push(&one.app.name);
    }
    parts.extend(broken.iter().map(|((_, word), names)| format!("{} {word}: {}", names.len(), list(names))));
    if !unseen.is_empty() {
        parts.push(format!("{} cannot be judged", unseen.len()));
    }
    parts.join(", ")
}

/// Returns what is wrong with an application that is broken.
fn word(one: &Diagnosis<'_>) -> &'static str {
    if one.findings.first().is_some_and(|finding| finding.scenario.is_failure()) {
        return "failing";
    }
    match one.phase {
        Phase::Git => "not applied",
        Phase::NoDestination => "without a restore",
        Phase::Deleting => "being deleted",
        Phase::Operator => "not seen by VolSync",
        Phase::Refused => "refused",
        Phase::Paused => "held",
        Phase::Restoring | Phase::Pausing => "failing",
        Phase::Done => "running, with a new restore that is broken",
        Phase::Application => "restored and not running",
        Phase::Unrestored => "not restored",
        _ => "stuck",
    }
}

fn list(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut text = names[..names.len().min(NAMED)].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Writes seconds for people, rounded up to whole minutes from two on.
pub(super) fn minutes(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// Returns what cannot be judged as long as a resource cannot be seen.
#[must_use]
pub fn judged_without(resource: &str) -> &'static str {
    let kind = resource.split([' ', '/']).next().unwrap_or_default();
    match (kind, resource) {
        (_, "pods/log") => "how far a restore is, and what the operator's log says",
        (_, resource) if resource.ends_with(OF_OPERATOR) => "whether VolSync's operator runs",
        ("pods", _) => "whether movers and applications run, and why a restore fails",
        ("persistentvolumeclaims", _) => "which applications there are, and whether their claims are filled",
        ("replicationdestinations", _) => "where a restore stands",
        ("replicationsources", _) => "which claims are backed up, and what holds a claim that is deleted",
        ("jobs", _) => "whether a restore has a mover, and how often it has failed",
        ("deployments", _) => "whether VolSync's operator runs, and who stopped an application",
        ("volumesnapshots", _) => "whether the restored volume was frozen, and why not",
        ("volumesnapshotclasses" | "storageclasses" | "csidrivers", _) => {
            "whether a class or a driver is missing"
        }
        ("events", _) => "why a volume is not made or mounted, or a pod is refused",
        ("persistentvolumes", _) => "whether a volume comes from a restore",
        ("nodes", _) => "whether a node answers",
        ("namespaces", _) => "which pods a namespace lets in",
        ("kustomizations" | "gitrepositories", _) => "what keeps objects in Git from the cluster",
        ("externalsecrets", _) => "why a Secret does not come from its store",
        _ => "a part of the chain",
    }
}
