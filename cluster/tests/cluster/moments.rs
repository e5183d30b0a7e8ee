//! Between the stages: every change that was watched, one after the other.

use std::collections::BTreeSet;

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::{Weight, diagnose};
use rekopia_cluster::view::View;
use rekopia_testkit::cluster::Scenario;
use serde_json::Value;

use crate::seen::view;

/// What the recording watched; everything else stays as it is at the first stage.
const WATCHED: [&str; 9] = [
    "ReplicationDestination",
    "ReplicationSource",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "Job",
    "Pod",
    "VolumeSnapshot",
    "VolumeSnapshotContent",
    "Event",
];

/// Runs in which nothing goes wrong, and that nobody has to help.
const GOOD: [&str; 6] = ["media", "new-application", "observability", "two-runs", "recreated", "late"];

/// Shows each moment of a scenario: after each change, what is found.
fn each_moment(scenario: &Scenario, mut show: impl FnMut(&View, &str)) {
    let first = &scenario.stages[0];
    let mut seen = view(scenario, first);
    for object in first.objects.iter().filter(|object| is_watched(object) && is_own(scenario, object)) {
        seen.remove_json(object);
    }
    for line in scenario.watch().iter().filter(|line| line.event != "BOOKMARK") {
        let mut object = line.object.clone();
        object["kind"] = line.kind.as_str().into();
        seen.now = line.received.parse().unwrap();
        match line.event.as_str() {
            "DELETED" => seen.remove_json(&object),
            _ => seen.put_json(&object).unwrap(),
        }
        show(&seen, &line.received);
    }
}

fn is_watched(object: &Value) -> bool {
    WATCHED.iter().any(|kind| object["kind"] == *kind)
}

fn is_own(scenario: &Scenario, object: &Value) -> bool {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    namespace.is_empty() || scenario.namespaces.iter().any(|own| own == namespace && own != "volsync-system")
}

#[test]
fn a_good_run_is_never_called_broken() {
    let mut moments = 0;
    for name in GOOD {
        each_moment(&Scenario::load(name), |seen, at| {
            moments += 1;
            for one in diagnose(&Index::new(seen)) {
                let broken = one.findings.iter().find(|finding| finding.weight == Weight::Broken);
                // The objects of an application come one after the other.
                let is_coming = broken.is_some_and(|finding| finding.scenario.name() == "no-destination");
                assert!(broken.is_none() || is_coming, "{name} at {at}: {} {broken:#?}", one.phase.name());
            }
        });
    }
    assert!(moments > 1000, "{moments}");
}

/// On its way to its end a scenario is never taken for another one.
#[test]
fn a_bad_run_is_never_taken_for_another() {
    for name in Scenario::names() {
        let scenario = Scenario::load(&name);
        let mut known: BTreeSet<&str> = BTreeSet::from(["no-destination"]);
        for stage in &scenario.stages {
            let seen = view(&scenario, stage);
            known.extend(
                diagnose(&Index::new(&seen)).iter().flat_map(|one| &one.findings).map(|f| f.scenario.name()),
            );
        }
        // With its only node the cluster loses its operator, too, and takes no pod.
        if name == "node-gone" {
            known.extend(["operator", "app-unschedulable"]);
        }
        each_moment(&scenario, |seen, at| {
            for one in diagnose(&Index::new(seen)) {
                for finding in one.findings.iter().filter(|finding| finding.weight == Weight::Broken) {
                    let found = finding.scenario.name();
                    assert!(
                        known.contains(found),
                        "{name} at {at}: {found} in {}: {finding:#?}",
                        one.phase.name()
                    );
                }
            }
        });
    }
}
