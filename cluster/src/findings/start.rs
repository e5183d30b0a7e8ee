//! The restore does not start (cluster-objects §4.1).

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::Phase;
use super::remedies::trigger;
use super::scenario::Scenario;
use super::storage::is_young_pod;
use super::text::one_line;
use crate::objects::{Deployment, Object, Pod, Snapshot, condition};

/// How long the operator may take to look at a new object before that means something.
const OPERATOR_SECONDS: i64 = 60;

/// The operator has not seen the restore.
pub(super) fn operator(case: &Case<'_, '_>) -> Option<Finding> {
    let destination = case.app.destination?;
    let unseen = Evidence::of(
        destination,
        "status",
        "empty: the operator has never seen it",
        destination.metadata.creation_timestamp,
    );
    let finding = no_operator(case).or_else(|| crashing_operator(case));
    if let Some(mut finding) = finding {
        finding.evidence.insert(0, unseen);
        return Some(finding);
    }
    let created = destination.metadata.creation_timestamp?;
    let waits = case.index.view.now.duration_since(created).as_secs();
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

/// No Deployment of the operator, or none of its pods can be used.
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

/// The operator runs for two minutes, then ends: it waits for an API that is not installed.
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

/// Steps that the operator itself takes do not come while it does not run.
pub(super) fn operator_is_gone(case: &Case<'_, '_>) -> Option<Finding> {
    matches!(case.phase, Phase::Preparing | Phase::Snapshot | Phase::Populating)
        .then(|| no_operator(case))
        .flatten()
}

/// It was held while it had not restored anything, and counts as done.
pub(super) fn paused(case: &Case<'_, '_>) -> Option<Finding> {
    let destination = case.app.destination?;
    let status = destination.status.as_ref()?;
    let is_held = destination.spec.paused;
    let first = is_held.then(|| {
        let meta = &destination.metadata;
        let command = format!(
            "kubectl -n {} patch replicationdestination {} --type=merge -p '{{\"spec\":{{\"paused\":false}}}}'",
            meta.namespace, meta.name
        );
        Remedy::run("let it go on (take spec.paused away in Git)", command)
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
            .then("nothing, until the trigger changes"),
    )
}

/// The operator makes what the mover needs.
pub(super) fn preparing(case: &Case<'_, '_>) -> Option<Finding> {
    case.app.temporary.and_then(|claim| case.no_volume(claim, Scenario::NoClass, Scenario::CsiFails))
}

/// The Job gets no pod.
pub(super) fn pod_refused(case: &Case<'_, '_>) -> Option<Finding> {
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
    let evidence = Evidence::of(job, "event FailedCreate", one_line(&event.message, 700), event.time());
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
    let patch = "{\"spec\":{\"kopia\":{\"moverSecurityContext\":{\"runAsNonRoot\":true,\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}}}}";
    let patch = case.app.destination.map(|destination| {
        let command = format!(
            "kubectl -n {namespace} patch replicationdestination {} --type=merge -p '{patch}'",
            destination.metadata.name
        );
        Remedy::run("give the mover what the namespace asks for (moverSecurityContext in Git)", command)
    });
    Finding::broken(
        Scenario::Restricted,
        "the namespace enforces a Pod Security Standard that the mover's pod does not meet",
    )
    .with(label)
    .to_do(patch)
}

/// The mover's pod is there, and does not run.
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

/// The node has the pod, and cannot make its container: a key of a Secret that has gone meanwhile, a path, a command.
fn container(pod: &Pod) -> Option<Finding> {
    let waiting = pod.main()?.state.waiting.as_ref()?;
    if !waiting.reason.contains("Container") || waiting.reason == "ContainerCreating" {
        return None;
    }
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
            .with([Evidence::of(
                pod,
                &format!("event {}", event.reason),
                one_line(&event.message, 600),
                event.time(),
            )])
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
