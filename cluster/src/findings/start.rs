//! Finds why the restore does not start (cluster-objects §4.1).

use serde_json::json;

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::Phase;
use super::remedies::{patch, trigger, until_trigger};
use super::scenario::Scenario;
use crate::objects::{Deployment, Object, Pod, Snapshot};
use crate::text::one_line;

/// Seconds that an operator may take to start.
const STARTING_SECONDS: i64 = 30;
/// Seconds that the operator may take to look at a new object before that means something.
const OPERATOR_SECONDS: i64 = 60;

/// Finds that the operator has not seen the restore.
pub(super) fn operator(case: &Case<'_, '_>) -> Option<Finding> {
    let destination = case.app.destination?;
    let unseen = Evidence::of(
        destination,
        "status",
        "empty: the operator has never seen it",
        destination.metadata.creation_timestamp,
    );
    let waits = case.age(destination.metadata.creation_timestamp)?;
    let finding = no_operator(case).or_else(|| crashing_operator(case));
    if let Some(mut finding) = finding {
        finding.evidence.insert(0, unseen);
        return Some(finding);
    }
    if waits < OPERATOR_SECONDS || !case.index.view.sees_operator() {
        return None;
    }
    let cause = "VolSync's operator runs, and has not looked at it: it still waits for its caches, is not the leader, or has no right to";
    Some(
        Finding::broken(Scenario::Operator, cause)
            .with([unseen])
            .to_do([Remedy::run("see its log", operator_log(case))])
            .then("as soon as it looks the restore begins"),
    )
}

/// Finds that there is no Deployment of the operator, or none of its pods can be used.
fn no_operator(case: &Case<'_, '_>) -> Option<Finding> {
    let view = case.index.view;
    if !view.sees_operator() {
        return None;
    }
    let Some(deployment) = deployment(case) else {
        let cause =
            "no Deployment of VolSync's operator (label app.kubernetes.io/name=volsync) is in this cluster";
        let remedy = Remedy::say("install VolSync (the fork with Kopia)");
        return Some(Finding::broken(Scenario::Operator, cause).to_do([remedy]));
    };
    if deployment.status.available_replicas.unwrap_or(0) > 0 || !crash(case).is_empty() {
        return None;
    }
    let (namespace, name) = (&deployment.metadata.namespace, &deployment.metadata.name);
    let is_off = deployment.is_scaled_to_nothing();
    let waits = case.age(case.app.destination?.metadata.creation_timestamp)?;
    if !is_off && waits < STARTING_SECONDS {
        return None;
    }
    let cause = if is_off {
        "VolSync's operator is scaled to nothing"
    } else {
        "VolSync's operator has no pod that can be used"
    };
    let remedy = if is_off {
        Remedy::run("scale it up", format!("kubectl -n {namespace} scale deployment {name} --replicas=1"))
    } else {
        Remedy::run(
            "see its pods",
            format!("kubectl -n {namespace} get pods -l app.kubernetes.io/name=volsync"),
        )
    };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    Some(
        Finding::broken(Scenario::Operator, cause)
            .with([Evidence::named(
                &format!("{namespace}/Deployment/{name}"),
                "status.availableReplicas",
                format!("0 of {wanted}"),
                None,
            )])
            .to_do([remedy])
            .then("as soon as it runs the restore begins"),
    )
}

/// Finds an operator that runs for two minutes, then ends: it waits for an API that is not installed.
fn crashing_operator(case: &Case<'_, '_>) -> Option<Finding> {
    let view = case.index.view;
    let log = operator_pods(case).find_map(|pod| {
        let log = view.logs.get(&format!("{}/{}", pod.metadata.namespace, pod.metadata.name))?;
        let line = log.lines().rev().find(|l| l.contains("no matches for kind \"VolumeSnapshot"))?;
        Some(Evidence::of(pod, "log", one_line(line, 400), None))
    });
    let crashes = crash(case);
    if !view.has_group(Snapshot::KIND.group) || log.is_some() {
        let missing = Evidence::named("API group snapshot.storage.k8s.io", "", "not installed", None);
        let cause = "VolSync's operator waits for the snapshot API, which is not installed, and ends after two minutes";
        return Some(
            Finding::broken(Scenario::NoSnapshotApi, cause)
                .with([missing])
                .with(log)
                .with(crashes)
                .to_do([Remedy::say("install the CRDs of external-snapshotter, and its snapshot controller")])
                .then("the operator is started again by itself, with pauses of up to 5 minutes, and then begins"),
        );
    }
    if crashes.is_empty() {
        return None;
    }
    Some(
        Finding::broken(Scenario::Operator, "VolSync's operator ends again and again")
            .with(crashes)
            .to_do([Remedy::run("see why", format!("{} --previous", operator_log(case)))])
            .then("it is started again by itself, with pauses of up to 5 minutes"),
    )
}

fn crash(case: &Case<'_, '_>) -> Vec<Evidence> {
    let crashed = operator_pods(case).filter_map(|pod| {
        let status = pod.status.container_statuses.iter().find(|status| {
            status.state.waiting.as_ref().is_some_and(|waiting| waiting.reason == "CrashLoopBackOff")
        })?;
        let ended = status.last_state.terminated.as_ref();
        let text = format!("CrashLoopBackOff, exit {}", ended.map_or(1, |ended| ended.exit_code));
        Some(Evidence::of(pod, "status.containerStatuses", text, ended.and_then(|ended| ended.finished_at)))
    });
    crashed.collect()
}

fn deployment<'a>(case: &Case<'_, 'a>) -> Option<&'a Deployment> {
    case.index.view.deployments.all().find(|deployment| deployment.metadata.is_of_operator())
}

fn operator_pods<'a>(case: &Case<'_, 'a>) -> impl Iterator<Item = &'a Pod> {
    case.index.view.pods.all().filter(|pod| pod.metadata.is_of_operator())
}

fn operator_log(case: &Case<'_, '_>) -> String {
    let namespace = deployment(case).map_or("volsync-system", |found| found.metadata.namespace.as_str());
    format!("kubectl -n {namespace} logs -l app.kubernetes.io/name=volsync --all-containers --tail=50")
}

/// Finds that the operator does not run: steps that it takes do not come then.
pub(super) fn operator_is_gone(case: &Case<'_, '_>) -> Option<Finding> {
    matches!(case.phase, Phase::Preparing | Phase::Snapshot | Phase::Populating)
        .then(|| no_operator(case))
        .flatten()
}

/// Finds a restore that was held while it had not restored anything, and counts as done.
pub(super) fn paused(case: &Case<'_, '_>) -> Option<Finding> {
    let destination = case.app.destination?;
    let status = destination.status.as_ref()?;
    let is_held = destination.spec.paused;
    let first = is_held.then(|| {
        Remedy::run(
            "let it go on (take spec.paused away in Git)",
            patch(destination, &json!({ "paused": false })),
        )
    });
    let cause = "the restore was held with spec.paused before it had restored anything; the operator counts that as done, and \
                 does nothing more for this trigger";
    let evidence = Evidence::of(
        destination,
        "status.lastManualSync",
        format!(
            "{} (the trigger), and there is no latestImage",
            status.last_manual_sync.as_deref().unwrap_or("done")
        ),
        status.last_sync_time,
    );
    let held = is_held.then(|| Evidence::of(destination, "spec.paused", "true", None));
    Some(
        Finding::broken(Scenario::Paused, cause)
            .with([evidence])
            .with(held)
            .to_do(first)
            .to_do([trigger(destination)])
            .then(until_trigger(destination)),
    )
}

/// Finds what is wrong while the operator makes what the mover needs.
pub(super) fn preparing(case: &Case<'_, '_>) -> Option<Finding> {
    case.app.temporary.and_then(|claim| case.no_volume(claim, Scenario::NoClass, Scenario::CsiFails))
}
