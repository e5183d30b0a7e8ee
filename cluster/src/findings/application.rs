//! Finds why an application does not run although its claim has its volume (cluster-objects §4.5); or that the volume
//! was not restored.

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::is_of_image;
use super::restore::node_gone;
use super::scenario::Scenario;
use super::storage::is_young_pod;
use super::text::quoted;
use crate::objects::{Claim, ContainerStatus, Pod, condition};
use crate::text::one_line;

/// The age below which it means nothing that nothing fills a claim.
const YOUNG_SECONDS: i64 = 10;

/// Finds that the claim has a volume that does not come from the restore beside it.
pub(super) fn unrestored(case: &Case<'_, '_>) -> Option<Finding> {
    let (claim, destination) = (case.app.claim?, case.app.destination?);
    // By hand, the claim comes a moment before the Job that fills it.
    if case.age(claim.metadata.creation_timestamp)? < YOUNG_SECONDS {
        return None;
    }
    let (namespace, name) = (&claim.metadata.namespace, &claim.metadata.name);
    let workloads: Vec<&str> = case.app.workloads.iter().map(|w| w.metadata.name.as_str()).collect();
    let stop = workloads.first().map(|workload| {
        Remedy::run(
            "stop the application",
            format!("kubectl -n {namespace} scale deployment {workload} --replicas=0"),
        )
    });
    let cause = format!(
        "the claim was made without a restore, before one or by hand: the application runs on that volume, and {} \
         restores for nobody",
        destination.metadata.name
    );
    let volume = case.app.volume.map(|volume| {
        Evidence::of(
            volume,
            "metadata.annotations[volsync.backube/populated-from]",
            "missing: never filled from a restore",
            None,
        )
    });
    Some(
        Finding::broken(Scenario::Bound, cause)
            .with([Evidence::of(
                claim,
                "spec.dataSourceRef",
                "missing, and the claim is Bound",
                claim.metadata.creation_timestamp,
            )])
            .with(volume)
            .to_do([Remedy::run(
                "if what is on that volume is right, say so, and this is over; else:",
                format!("kubectl -n {namespace} annotate pvc {name} rekopia/filled=by-hand"),
            )])
            .to_do(stop)
            .to_do([
                Remedy::run(
                    "delete the claim (this deletes what is on it)",
                    format!("kubectl -n {namespace} delete pvc {name}"),
                ),
                Remedy::say("apply the application again: its claim names the restore, and is filled"),
            ])
            .then("nothing: a claim that has a volume is never filled"),
    )
}

/// Finds why the application's pod does not run.
pub(super) fn look(case: &Case<'_, '_>) -> Option<Finding> {
    let Some(pod) = case.app.newest_pod() else { return no_pod(case) };
    node_gone(case, pod)
        .or_else(|| unschedulable(case, pod))
        .or_else(|| sandbox(case, pod))
        .or_else(|| container(pod))
}

/// Finds a Deployment that wants a pod, and gets none.
fn no_pod(case: &Case<'_, '_>) -> Option<Finding> {
    let workload = case.app.workloads.iter().find(|workload| !workload.is_scaled_to_nothing())?;
    let said =
        condition(&workload.status.conditions, "ReplicaFailure").filter(|said| said.status == "True")?;
    let (namespace, name) = (&workload.metadata.namespace, &workload.metadata.name);
    let text = one_line(&format!("{}: {}", said.reason, said.message), 600);
    Some(
        Finding::broken(
            Scenario::AppRefused,
            "the claim is restored and bound; the cluster does not take the application's pod",
        )
        .with([Evidence::of(
            *workload,
            "status.conditions[ReplicaFailure].message",
            text,
            said.last_transition_time,
        )])
        .to_do([Remedy::run(
            "correct what the message names (a quota, a policy, a service account)",
            format!("kubectl -n {namespace} describe deployment {name}"),
        )])
        .then("it is tried again by itself, with growing pauses"),
    )
}

fn unschedulable(case: &Case<'_, '_>, pod: &Pod) -> Option<Finding> {
    let said = condition(&pod.status.conditions, "PodScheduled").filter(|said| said.status == "False")?;
    let message = said.message.as_str();
    let evidence = Evidence::of(
        pod,
        "status.conditions[PodScheduled].message",
        one_line(message, 400),
        said.last_transition_time,
    );
    let missing = message.contains("persistentvolumeclaim \"").then(|| quoted(message)).flatten();
    let unbound = message.contains("unbound immediate").then(|| other_claim(case, pod)).flatten();
    if let Some(other) = missing.or(unbound.map(|claim| claim.metadata.name.as_str())) {
        return Some(waits_for_claim(case, other, missing.is_some()).with([evidence]));
    }
    if message.contains("unbound immediate") {
        // The claim was bound a moment ago, and the scheduler has not looked again.
        return None;
    }
    let cause = "the claim is restored and bound; no node is one that the application's pod may run on";
    Some(
        Finding::broken(Scenario::AppUnschedulable, cause)
            .with([evidence])
            .to_do([Remedy::say(
                "correct the application's node selector, affinity, tolerations or requests; or the nodes",
            )])
            .then("as soon as a node fits the pod is given to it by itself"),
    )
}

/// Returns another claim of the pod that has no volume.
fn other_claim<'a>(case: &Case<'_, 'a>, pod: &'a Pod) -> Option<&'a Claim> {
    let own = case.app.claim.map(|claim| claim.metadata.name.as_str());
    let others =
        pod.spec.volumes.iter().filter_map(|volume| volume.claim()).filter(|name| Some(*name) != own);
    let mut claims = others.filter_map(|name| case.index.view.claims.get(&pod.metadata.namespace, name));
    claims.find(|claim| !claim.is_bound())
}

fn waits_for_claim(case: &Case<'_, '_>, other: &str, is_missing: bool) -> Finding {
    let namespace = &case.app.namespace;
    let state = if is_missing { "which does not exist" } else { "which has no volume yet" };
    let cause = format!(
        "this claim is restored and bound; the application's pod also mounts the claim {other}, {state}"
    );
    Finding::broken(Scenario::OtherClaim, cause)
        .to_do([Remedy::run(
            format!("look at the claim {other}"),
            format!("kubectl -n {namespace} describe pvc {other}"),
        )])
        .then("as soon as that claim is bound the pod starts by itself")
}

/// Finds that the node has the pod, and cannot begin it.
fn sandbox(case: &Case<'_, '_>, pod: &Pod) -> Option<Finding> {
    let has_begun = pod.status.container_statuses.iter().any(|status| {
        status.state.running.is_some() || status.state.terminated.is_some() || status.restart_count > 0
    });
    if has_begun {
        return None;
    }
    let uid = &pod.metadata.uid;
    let event = case.index.event(uid, &["FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume"])?;
    if is_young_pod(&event.message) {
        return None;
    }
    let evidence = Evidence::event(pod, event, 600);
    let finding = if event.reason == "FailedCreatePodSandBox" {
        let cause = "the claim is restored and bound; the application's pod gets no network: an attachment or a plugin is missing";
        Finding::broken(Scenario::Multus, cause).to_do([Remedy::say(
            "make the network attachment that the message names (or look at the network plugin)",
        )])
    } else {
        let cause = format!("the node {} cannot mount a volume of the application", pod.spec.node_name);
        Finding::broken(Scenario::AppMount, cause).to_do([Remedy::say(
            "look at the storage driver's pod on that node; a volume may still be attached to another node",
        )])
    };
    Some(finding.with([evidence]).then("the node tries again by itself"))
}

fn container(pod: &Pod) -> Option<Finding> {
    let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    statuses
        .filter(|status| !status.ready)
        .find_map(|status| image(pod, status).or_else(|| crash(pod, status)))
}

fn image(pod: &Pod, status: &ContainerStatus) -> Option<Finding> {
    let waiting = status.state.waiting.as_ref().filter(|waiting| is_of_image(&waiting.reason))?;
    let text = one_line(&format!("{}: {}", waiting.reason, waiting.message), 400);
    Some(
        Finding::broken(
            Scenario::AppImage,
            "the claim is restored and bound; the application's own image cannot be pulled",
        )
        .with([Evidence::of(pod, "status.containerStatuses", text, pod.metadata.creation_timestamp)])
        .to_do([Remedy::say("correct the image or its registry's secret in the application")])
        .then("the pull is tried again by itself"),
    )
}

fn crash(pod: &Pod, status: &ContainerStatus) -> Option<Finding> {
    if let Some(waiting) = status.cannot_be_made() {
        let text = one_line(&format!("{}: {}", waiting.reason, waiting.message), 400);
        let cause =
            "the claim is restored and bound; the node says why it cannot make the application's container";
        let evidence = Evidence::of(
            pod,
            "status.containerStatuses[].state.waiting",
            text,
            pod.metadata.creation_timestamp,
        );
        return Some(
            Finding::broken(Scenario::AppFails, cause)
                .with([evidence])
                .to_do([Remedy::say("correct what the message names: mostly a Secret or one of its keys")])
                .then("the node tries again by itself"),
        );
    }
    let ended = status.last_state.terminated.as_ref().or(status.state.terminated.as_ref())?;
    if ended.exit_code == 0 && status.restart_count == 0 {
        return None;
    }
    let (namespace, name, container) = (&pod.metadata.namespace, &pod.metadata.name, &status.name);
    let text =
        format!("exit {}, {}, restarted {} times", ended.exit_code, ended.reason, status.restart_count);
    Some(
        Finding::broken(Scenario::AppFails, "the claim is restored and bound; the application itself ends, again and again")
            .with([Evidence::of(pod, "status.containerStatuses[].lastState.terminated", text, ended.finished_at)])
            .to_do([
                Remedy::run("see its own log", format!("kubectl -n {namespace} logs {name} -c {container} --previous")),
                Remedy::say("perhaps: the owner of the files (VOLSYNC_UID), or an older or an empty state than it expects"),
            ])
            .then("it is started again by itself, with pauses of up to 5 minutes"),
    )
}
