//! Finds why the mover's pod is refused, or is there and does not run (cluster-objects §4.1).

use serde_json::json;

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::Phase;
use super::remedies::patch;
use super::scenario::Scenario;
use super::storage::is_young_pod;
use crate::objects::{Pod, condition};
use crate::text::one_line;

/// Finds that the Job gets no pod.
pub(super) fn refused(case: &Case<'_, '_>) -> Option<Finding> {
    let job = case.app.job?;
    let event = case.index.event(&job.metadata.uid, &["FailedCreate"])?;
    let namespace = &job.metadata.namespace;
    let next = "the Job tries again by itself, with growing pauses";
    let finding = if event.message.contains("exceeded quota") {
        let see = Remedy::run("see the quota", format!("kubectl -n {namespace} describe resourcequota"));
        Finding::broken(
            Scenario::QuotaPods,
            "a ResourceQuota of the namespace leaves no room for the mover's pod",
        )
        .to_do([see, Remedy::say("raise it")])
    } else if event.message.contains("violates PodSecurity") {
        restricted(case)
    } else {
        Finding::broken(Scenario::PodRefused, "the cluster says why it does not take the mover's pod")
            .to_do([Remedy::say("correct what the message names")])
    };
    let evidence = Evidence::event(job, event, 700);
    let mut finding = finding.then(next);
    finding.evidence.insert(0, evidence);
    Some(finding)
}

fn restricted(case: &Case<'_, '_>) -> Finding {
    let namespace = &case.app.namespace;
    let label = case.index.view.namespaces.get("", namespace).and_then(|found| {
        let level = found.metadata.labels.get("pod-security.kubernetes.io/enforce")?;
        Some(Evidence::of(found, "metadata.labels[pod-security.kubernetes.io/enforce]", level.as_str(), None))
    });
    let context = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    let spec = json!({ "kopia": { "moverSecurityContext": context } });
    let remedy = case.app.destination.map(|destination| {
        let what = "give the mover what the namespace asks for (moverSecurityContext in Git)";
        Remedy::run(what, patch(destination, &spec))
    });
    Finding::broken(
        Scenario::Restricted,
        "the namespace enforces a Pod Security Standard that the mover's pod does not meet",
    )
    .with(label)
    .to_do(remedy)
}

/// Finds that the mover's pod is there, and does not run.
pub(super) fn pending(case: &Case<'_, '_>) -> Option<Finding> {
    let pod = case.app.mover()?;
    if let Some(finding) = image(case, pod) {
        return Some(finding);
    }
    let claims = case.app.temporary.into_iter().chain(case.app.caches.iter().copied());
    let mut without = claims.filter_map(|claim| case.no_volume(claim, Scenario::NoClass, Scenario::CsiFails));
    if let Some(finding) = without.next() {
        return Some(finding);
    }
    unschedulable(pod).or_else(|| container(pod)).or_else(|| mount(case, pod))
}

fn image(case: &Case<'_, '_>, pod: &Pod) -> Option<Finding> {
    let waiting = pod.main()?.state.waiting.as_ref().filter(|_| case.phase == Phase::Image)?;
    let image = pod.main_spec().map_or("", |container| container.image.as_str());
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let text = one_line(&format!("{}: {}", waiting.reason, waiting.message), 600);
    Some(
        Finding::broken(Scenario::Image, format!("the image {image} cannot be pulled"))
            .with([
                Evidence::of(pod, "status.containerStatuses[0].state.waiting", text, pod.metadata.creation_timestamp),
                Evidence::of(pod, "spec.containers[0].image", image, None),
            ])
            .to_do([
                Remedy::say("correct the image's name, its registry's secret or its policy (a correction does not reach a pod that waits)"),
                Remedy::run("then delete the pod; its Job makes another", format!("kubectl -n {namespace} delete pod {name}")),
            ])
            .then("the pull is tried again by itself, with pauses of up to 5 minutes, for ever"),
    )
}

fn unschedulable(pod: &Pod) -> Option<Finding> {
    let said = condition(&pod.status.conditions, "PodScheduled").filter(|said| said.status == "False")?;
    let message = said.message.as_str();
    // An echo of a claim without a volume, which has been looked at.
    if message.is_empty()
        || message.contains("unbound immediate")
        || message.contains("persistentvolumeclaim")
    {
        return None;
    }
    let (scenario, cause, remedy) = if message.contains("Insufficient") {
        (
            Scenario::Resources,
            "no node has as much free as the mover asks for",
            "ask for less in spec.kopia.moverResources, or make room on a node",
        )
    } else {
        (
            Scenario::Unschedulable,
            "no node is one that the mover may run on",
            "correct spec.kopia.moverAffinity, or the nodes' labels and taints",
        )
    };
    Some(
        Finding::broken(scenario, cause)
            .with([Evidence::of(
                pod,
                "status.conditions[PodScheduled].message",
                one_line(message, 400),
                said.last_transition_time.or(pod.metadata.creation_timestamp),
            )])
            .to_do([Remedy::say(remedy)])
            .then("as soon as a node fits the pod is given to it by itself"),
    )
}

/// Finds that the node has the pod, and cannot make its container: a key of a Secret that has gone meanwhile, a path, a
/// command.
fn container(pod: &Pod) -> Option<Finding> {
    let waiting = pod.main()?.cannot_be_made()?;
    let text = one_line(&format!("{}: {}", waiting.reason, waiting.message), 600);
    Some(
        Finding::broken(Scenario::PodRefused, "the node says why it cannot make the mover's container")
            .with([Evidence::of(
                pod,
                "status.containerStatuses[].state.waiting",
                text,
                pod.metadata.creation_timestamp,
            )])
            .to_do([Remedy::say("correct what the message names: mostly a Secret or one of its keys")])
            .then("the node tries again by itself"),
    )
}

fn mount(case: &Case<'_, '_>, pod: &Pod) -> Option<Finding> {
    let event = case.index.event(&pod.metadata.uid, &["FailedMount", "FailedAttachVolume"])?;
    if is_young_pod(&event.message) {
        return None;
    }
    let node = &pod.spec.node_name;
    Some(
        Finding::broken(Scenario::MountFails, format!("the node {node} cannot mount a volume of the mover"))
            .with([Evidence::event(pod, event, 600)])
            .to_do([
                Remedy::say(format!("look at the storage driver's pod on the node {node}")),
                Remedy::run(
                    "see the pod's events",
                    format!("kubectl -n {} describe pod {}", pod.metadata.namespace, pod.metadata.name),
                ),
            ])
            .then("the node tries again by itself, with pauses of up to 2 minutes"),
    )
}
