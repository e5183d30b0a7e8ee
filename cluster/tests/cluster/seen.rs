//! A stage of a recording as a view, without an API between.

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::diagnose;
use rekopia_cluster::view::View;
use rekopia_testkit::cluster::{Log, Scenario, Stage};

/// What one application of a stage is found to be: phase and scenarios of its findings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) app: String,
    pub(crate) phase: &'static str,
    pub(crate) findings: Vec<&'static str>,
}

/// Makes a view of everything that a stage holds.
pub(crate) fn view(scenario: &Scenario, stage: &Stage) -> View {
    let mut view = View { now: stage.taken.parse().unwrap(), ..View::default() };
    for object in &stage.objects {
        view.put_json(object).unwrap();
    }
    for (pod, containers) in &stage.logs {
        for log in containers.values() {
            if let Log::Text(text) = log {
                view.logs.insert(pod.clone(), text.clone());
            }
        }
    }
    // Recorded before its CRDs were there.
    if scenario.name == "no-snapshot-api" && stage.name.as_str() < "04" {
        view.missing_groups.insert("snapshot.storage.k8s.io".into());
    }
    view
}

/// Returns what is found in a stage.
pub(crate) fn found(scenario: &Scenario, stage: &Stage) -> Vec<Found> {
    found_in(&view(scenario, stage))
}

/// Returns what is found in a view.
pub(crate) fn found_in(view: &View) -> Vec<Found> {
    let index = Index::new(view);
    let all = diagnose(&index);
    let of = |one: &rekopia_cluster::findings::Diagnosis<'_>| Found {
        app: one.app.name.clone(),
        phase: one.phase.name(),
        findings: one.findings.iter().map(|finding| finding.scenario.name()).collect(),
    };
    all.iter().map(of).collect()
}
