//! Finds where a restore stands (cluster-objects §2): the first step that has not been taken.

use jiff::Timestamp;

use super::text::is_conflict;
use crate::chain::{Application, Index};
use crate::objects::{Claim, Condition, Destination, Job, Object, Pod, Snapshot, condition};
use crate::view::View;

/// The step at which a restore stands, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The restore's objects have not come from Git.
    Git,
    /// The claim names a restore that is not there.
    NoDestination,
    /// The claim is being deleted.
    Deleting,
    /// The operator has not seen the restore.
    Operator,
    /// The operator says why it does nothing.
    Refused,
    /// The restore was held, and counts as done.
    Paused,
    /// The operator makes what the mover needs.
    Preparing,
    /// The Job gets no pod.
    PodRefused,
    /// The mover's pod waits for a node.
    Scheduling,
    /// The mover's pod waits for its image.
    Image,
    /// The mover's pod waits for its volumes.
    Mount,
    /// The mover runs.
    Restoring,
    /// A mover has failed; the next one comes after a pause.
    Pausing,
    /// The restored volume is being frozen in a snapshot.
    Snapshot,
    /// The claim's volume is being made of the snapshot.
    Populating,
    /// The claim has its volume; the application does not run yet.
    Application,
    /// The claim has a volume that does not come from the restore beside it.
    Unrestored,
    /// The restore is done, and no claim asks for it.
    Unclaimed,
    /// The restore is done, and its data is used where somebody wants to use it.
    Done,
    /// The claim is backed up, and nothing restores it.
    BackupOnly,
    /// A right is missing without which nothing can be said.
    Unseen,
}

impl Phase {
    /// Returns the phase's name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Git => "git",
            Phase::NoDestination => "no-destination",
            Phase::Deleting => "deleting",
            Phase::Operator => "operator",
            Phase::Refused => "refused",
            Phase::Paused => "paused",
            Phase::Preparing => "preparing",
            Phase::PodRefused => "pod-refused",
            Phase::Scheduling => "scheduling",
            Phase::Image => "image",
            Phase::Mount => "mount",
            Phase::Restoring => "restoring",
            Phase::Pausing => "pausing",
            Phase::Snapshot => "snapshot",
            Phase::Populating => "populating",
            Phase::Application => "application",
            Phase::Unrestored => "unrestored",
            Phase::Unclaimed => "unclaimed",
            Phase::Done => "done",
            Phase::BackupOnly => "backup-only",
            Phase::Unseen => "unseen",
        }
    }

    /// Returns what a restore in this phase waits for, in about five words.
    #[must_use]
    pub fn waits_for(self) -> &'static str {
        match self {
            Phase::Git => "its objects from Git",
            Phase::NoDestination => "its restore",
            Phase::Deleting => "the claim to go",
            Phase::Operator => "VolSync's operator",
            Phase::Refused => "what is asked for",
            Phase::Paused => "a new trigger",
            Phase::Preparing => "its temporary volume",
            Phase::PodRefused => "leave to make a pod",
            Phase::Scheduling => "a node for the mover",
            Phase::Image => "the mover's image",
            Phase::Mount => "the mover's volumes",
            Phase::Restoring => "the mover",
            Phase::Pausing => "the next try",
            Phase::Snapshot => "the volume's snapshot",
            Phase::Populating => "its volume",
            Phase::Application => "the app's pod",
            Phase::Unrestored => "a claim made anew",
            Phase::Unclaimed => "a claim",
            Phase::Done | Phase::BackupOnly => "",
            Phase::Unseen => "a right to see it",
        }
    }

    /// Whether nothing more is going to happen by itself, and nothing has to.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Phase::Done | Phase::BackupOnly)
    }

    /// Whether the claim has the data that was to be restored.
    #[must_use]
    pub fn is_restored(self) -> bool {
        matches!(self, Phase::Application | Phase::Done)
    }
}

/// Returns the phase of an application, and since when it lasts. Nothing counts as absent that could not be seen.
#[must_use]
pub fn phase(index: &Index<'_>, app: &Application<'_>) -> (Phase, Option<Timestamp>) {
    let view = index.view;
    if let Some(claim) = app.claim {
        let meta = &claim.metadata;
        if meta.deletion_timestamp.is_some() {
            return (Phase::Deleting, meta.deletion_timestamp);
        }
        if claim.is_bound() {
            return bound(view, app, claim);
        }
        if app.destination.is_none() && app.wanted.is_some() {
            let is_seen = view.sees(Destination::KIND);
            let phase = if is_seen { Phase::NoDestination } else { Phase::Unseen };
            return (phase, meta.creation_timestamp);
        }
    }
    match (app.destination, app.claim) {
        (Some(destination), _) => restore(view, app, destination),
        (None, Some(claim)) => (Phase::BackupOnly, claim.metadata.creation_timestamp),
        (None, None) => (Phase::Git, git_since(app)),
    }
}

/// Whether a condition says that the operator refuses. Three kinds of message mean nothing, and are gone within a second.
pub(super) fn is_refusal(said: &Condition) -> bool {
    let is_noise = is_conflict(&said.message)
        || said.message.contains("unable to update object. Deleting object so it can be recreated")
        || (said.message.contains("persistentvolumeclaims \"volsync-")
            && said.message.ends_with("not found"));
    said.status == "False" && said.reason == "Error" && !is_noise
}

fn git_since(app: &Application<'_>) -> Option<Timestamp> {
    let kustomization = app.kustomization?;
    let ready = kustomization.ready().and_then(|ready| ready.last_transition_time);
    ready.or(kustomization.metadata.creation_timestamp)
}

/// Returns the phase of a claim that has its volume: from the restore, by hand, or from nowhere.
fn bound(view: &View, app: &Application<'_>, claim: &Claim) -> (Phase, Option<Timestamp>) {
    let created = claim.metadata.creation_timestamp;
    let is_filled = app.is_populated() || app.wanted.is_some() || app.is_filled_by_hand();
    if let Some(pod) = app.by_hand.filter(|pod| !is_filled && pod.ended().is_none() && pod.is_active()) {
        return (Phase::Restoring, pod.running_since().or(pod.metadata.creation_timestamp));
    }
    if !is_filled && app.destination.is_some() {
        // Only its pod shows a restore by hand.
        return (if view.sees(Pod::KIND) { Phase::Unrestored } else { Phase::Unseen }, created);
    }
    if !is_filled {
        return (Phase::BackupOnly, created);
    }
    // Whether it was restored or began empty, only its restore knows.
    if app.wanted.is_some() && app.destination.is_none() && !view.sees(Destination::KIND) {
        return (Phase::Unseen, created);
    }
    if let Some(pod) = app.staying_pods().find(|pod| pod.is_ready()) {
        let since = condition(&pod.status.conditions, "Ready").and_then(|ready| ready.last_transition_time);
        return (Phase::Done, since);
    }
    let restored = app.destination.and_then(|rd| rd.status.as_ref()).and_then(|status| status.last_sync_time);
    match app.newest_pod() {
        Some(pod) => (Phase::Application, pod.metadata.creation_timestamp),
        None if !view.sees(Pod::KIND) => (Phase::Unseen, restored.or(created)),
        None if app.workloads.iter().any(|workload| !workload.is_scaled_to_nothing()) => {
            (Phase::Application, restored.or(created))
        }
        None => (Phase::Done, restored.or(created)),
    }
}

fn restore(view: &View, app: &Application<'_>, destination: &Destination) -> (Phase, Option<Timestamp>) {
    let created = destination.metadata.creation_timestamp;
    let Some(status) = &destination.status else { return (Phase::Operator, created) };
    if let Some(refusal) = destination.synchronizing().filter(|said| is_refusal(said)) {
        return (Phase::Refused, refusal.last_transition_time);
    }
    let is_idle = app.job.is_none() && app.movers.is_empty();
    let is_held = destination.is_done() || destination.spec.paused;
    if status.latest_image.is_none() && is_idle && is_held {
        let since = destination.synchronizing().and_then(|said| said.last_transition_time);
        return (Phase::Paused, status.last_sync_time.or(since));
    }
    // A new restore is under way while the image of the last one is gone: nothing can be made of that.
    let is_superseded =
        app.snapshot.is_none() && view.sees(Snapshot::KIND) && status.last_sync_start_time.is_some();
    if status.latest_image.is_some() && !is_superseded {
        let since = status.last_sync_time.max(app.claim.and_then(|claim| claim.metadata.creation_timestamp));
        let phase = match app.claim {
            Some(_) => Phase::Populating,
            None if view.sees(Claim::KIND) => Phase::Unclaimed,
            None => Phase::Unseen,
        };
        return (phase, since);
    }
    match app.job {
        Some(job) => of_job(view, app, job),
        None if !is_idle => app.mover().map_or((Phase::Snapshot, created), of_pod),
        None if !view.sees(Job::KIND) => (Phase::Unseen, status.last_sync_start_time),
        None => (Phase::Preparing, status.last_sync_start_time.or(created)),
    }
}

fn of_job(view: &View, app: &Application<'_>, job: &Job) -> (Phase, Option<Timestamp>) {
    let created = job.meta().creation_timestamp;
    if job.is_complete() || job.status.succeeded.is_some_and(|succeeded| succeeded > 0) {
        return (Phase::Snapshot, job.status.completion_time.or(created));
    }
    if let Some(pod) = app.mover() {
        return of_pod(pod);
    }
    if !view.sees(Pod::KIND) {
        return (Phase::Unseen, created);
    }
    let has_failed = job.status.failed.is_some_and(|failed| failed > 0) || job.is_failed();
    (if has_failed { Phase::Pausing } else { Phase::PodRefused }, created)
}

fn of_pod(pod: &Pod) -> (Phase, Option<Timestamp>) {
    let created = pod.metadata.creation_timestamp;
    if let Some(ended) = pod.ended() {
        let phase = if ended.exit_code == 0 { Phase::Snapshot } else { Phase::Pausing };
        return (phase, ended.finished_at.or(created));
    }
    if let Some(since) = pod.running_since() {
        return (Phase::Restoring, Some(since));
    }
    match pod.status.phase.as_str() {
        "Failed" => return (Phase::Pausing, created),
        "Succeeded" => return (Phase::Snapshot, created),
        _ => {}
    }
    let waiting = pod.main().and_then(|status| status.state.waiting.as_ref());
    if waiting.is_some_and(|waiting| is_of_image(&waiting.reason)) {
        return (Phase::Image, created);
    }
    (if pod.spec.node_name.is_empty() { Phase::Scheduling } else { Phase::Mount }, created)
}

/// Whether a container waits because its image does not come.
pub(super) fn is_of_image(reason: &str) -> bool {
    reason.contains("Image") || reason == "RegistryUnavailable"
}
