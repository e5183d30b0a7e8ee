//! Finds why a claim is Pending after its restore (cluster-objects §4.4).

use serde_json::json;

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::Phase;
use super::remedies::{patch, trigger, until_trigger};
use super::scenario::Scenario;
use super::snapshot::{no_controller, snapshot_error};
use super::storage::is_unready_snapshot;
use super::text::{bytes_of, is_conflict};
use crate::objects::{Claim, Destination, Image, Object, Snapshot};

/// The longest name of a claim: the operator makes a label of it.
const LONGEST_NAME: usize = 63;
/// The age below which it means nothing that the restore of a claim is not there.
const YOUNG_SECONDS: i64 = 10;
/// Seconds that a snapshot may take before that is worth a word.
const SNAPSHOT_SECONDS: i64 = 15;
/// Seconds that a claim may take to go before that means something.
const DELETION_SECONDS: i64 = 60;
const SOURCE_FINALIZER: &str = "snapshot.storage.kubernetes.io/pvc-as-source-protection";

/// Finds that the claim names a restore that is not there.
pub(super) fn no_destination(case: &Case<'_, '_>) -> Option<Finding> {
    let (claim, wanted) = (case.app.claim?, case.app.wanted?);
    let view = case.index.view;
    let namespace = &claim.metadata.namespace;
    let evidence = Evidence::of(claim, "spec.dataSourceRef.name", wanted, claim.metadata.creation_timestamp);
    if !view.has_group(Destination::KIND.group) {
        let cause = "VolSync is not installed: the cluster knows no ReplicationDestinations";
        let remedy =
            Remedy::say("install VolSync (the fork with Kopia) first, and let the application depend on it");
        let finding = Finding::broken(Scenario::NoVolsync, cause).with([evidence]).to_do([remedy]);
        return Some(finding.then(
            "as soon as it is installed, and the ReplicationDestination is applied, the restore begins",
        ));
    }
    // Objects of one template come one after the other.
    let age = case.age(claim.metadata.creation_timestamp)?;
    if !view.sees(Destination::KIND) || age < YOUNG_SECONDS {
        return None;
    }
    let cause =
        format!("the claim waits for the ReplicationDestination {wanted}, which is not in its namespace");
    Some(
        Finding::broken(Scenario::NoDestination, cause)
            .with([evidence])
            .to_do([
                Remedy::run(
                    "see which there are",
                    format!("kubectl -n {namespace} get replicationdestinations"),
                ),
                Remedy::say(format!(
                    "apply {wanted}; or make the claim again with the right name in spec.dataSourceRef"
                )),
            ])
            .then("as soon as it is there the restore begins"),
    )
}

/// Finds that the cluster knows no ReplicationDestinations any more, and a claim names one.
pub(super) fn no_volsync(case: &Case<'_, '_>) -> Option<Finding> {
    let (claim, wanted) = (case.app.claim?, case.app.wanted?);
    let is_gone = case.app.destination.is_none() && !case.index.view.has_group(Destination::KIND.group);
    if !is_gone || case.phase == Phase::NoDestination {
        return None;
    }
    let cause =
        "VolSync is not installed: what is restored stays, and nothing is restored or backed up any more";
    Some(
        Finding::broken(Scenario::NoVolsync, cause)
            .with([Evidence::of(claim, "spec.dataSourceRef.name", wanted, claim.metadata.creation_timestamp)])
            .to_do([Remedy::say("install VolSync (the fork with Kopia)")])
            .then("nothing, until it is installed"),
    )
}

/// Finds that everything is restored, and there is no claim to fill.
pub(super) fn unclaimed(case: &Case<'_, '_>) -> Option<Finding> {
    let destination = case.app.destination?;
    let status = destination.status.as_ref()?;
    let image = status.latest_image.as_ref()?;
    let name = &destination.metadata.name;
    Some(
        Finding::waits(
            Scenario::NoClaim,
            format!("{name} has restored, and no claim names it in spec.dataSourceRef"),
        )
        .with([Evidence::of(
            destination,
            "status.latestImage.name",
            image.name.as_str(),
            status.last_sync_time,
        )])
        .to_do([Remedy::say("apply the claim; or delete the restore, if nobody needs it any more")])
        .then("as soon as a claim names it that is filled"),
    )
}

/// Finds what is wrong while the claim's volume is being made of the snapshot.
pub(super) fn look(case: &Case<'_, '_>) -> Option<Finding> {
    let (claim, destination) = (case.app.claim?, case.app.destination?);
    let image = destination.status.as_ref()?.latest_image.as_ref()?;
    if claim.status.phase == "Lost" {
        return Some(lost(claim));
    }
    if claim.metadata.name.len() > LONGEST_NAME {
        return Some(long_name(claim));
    }
    if image.kind == "PersistentVolumeClaim" {
        return Some(direct(destination, image));
    }
    class_of_claim(case, claim)
        .or_else(|| late(case, claim))
        .or_else(|| of_snapshot(case, destination, image))
        .or_else(|| of_prime(case, claim))
        .or_else(|| case.no_volume(claim, Scenario::NoClassApp, Scenario::ProvisionFails))
}

fn class_of_claim(case: &Case<'_, '_>, claim: &Claim) -> Option<Finding> {
    // The claim lives as long as the view that it was found in.
    let claim = case.app.claim.filter(|own| own.metadata.uid == claim.metadata.uid)?;
    case.missing_class(claim)?;
    case.no_volume(claim, Scenario::NoClassApp, Scenario::ProvisionFails)
}

fn lost(claim: &Claim) -> Finding {
    let name = &claim.metadata.name;
    Finding::broken(
        Scenario::Lost,
        format!("the volume of the claim {name} is gone; what was on it is lost, too"),
    )
    .with([Evidence::of(claim, "status.phase", "Lost", None)])
    .to_do([Remedy::run(
        "make the claim again: it is filled from the restore once more",
        format!("kubectl -n {} delete pvc {name}", claim.metadata.namespace),
    )])
}

fn long_name(claim: &Claim) -> Finding {
    let length = claim.metadata.name.len();
    Finding::broken(Scenario::Names, format!("the claim's name has {length} letters; with more than 63 the operator cannot fill it, and says so only in its log"))
        .with([Evidence::of(claim, "metadata.name", format!("{length} letters"), claim.metadata.creation_timestamp)])
        .to_do([Remedy::say("give the claim a shorter name (VOLSYNC_CLAIM)")])
        .then("nothing: this claim is never filled")
}

fn direct(destination: &Destination, image: &Image) -> Finding {
    let cause = "with copyMethod: Direct the restore leaves a claim and no snapshot, and a claim cannot be filled from that";
    Finding::broken(Scenario::Direct, cause)
        .with([
            Evidence::of(destination, "status.latestImage", format!("{}/{}", image.kind, image.name), None),
            Evidence::of(
                destination,
                "spec.kopia.copyMethod",
                destination.spec.kopia.as_ref().and_then(|k| k.copy_method.as_deref()).unwrap_or("Direct"),
                None,
            ),
        ])
        .to_do([
            Remedy::run(
                "set copyMethod: Snapshot (in Git)",
                patch(destination, &json!({ "kopia": { "copyMethod": "Snapshot" } })),
            ),
            trigger(destination),
        ])
        .then(until_trigger(destination))
}

/// Finds a class that waits for a pod, and no pod that is on its way.
fn late(case: &Case<'_, '_>, claim: &Claim) -> Option<Finding> {
    let class = case.index.view.storage_classes.get("", claim.spec.storage_class_name.as_deref()?);
    let said = case.index.event(&claim.metadata.uid, &["WaitForFirstConsumer"]);
    let waits = class.map_or(said.is_some(), |class| class.volume_binding_mode == "WaitForFirstConsumer");
    let is_chosen = claim.metadata.annotations.contains_key("volume.kubernetes.io/selected-node");
    let is_used = case.app.pods.iter().any(|pod| pod.is_active());
    if !waits || is_chosen || is_used {
        return None;
    }
    let namespace = &claim.metadata.namespace;
    let remedy = match case.app.workloads.iter().find(|workload| workload.is_scaled_to_nothing()) {
        Some(workload) => Remedy::run(
            "start the application",
            format!("kubectl -n {namespace} scale deployment {} --replicas=1", workload.metadata.name),
        ),
        None => Remedy::say("start the application: a pod that mounts the claim"),
    };
    Some(
        Finding::waits(Scenario::Late, "everything is restored; the storage class makes the claim's volume when a pod uses it, and none does")
            .with([Evidence::of(claim, "status.phase", "Pending, no node was chosen", claim.metadata.creation_timestamp)])
            .to_do([remedy])
            .then("within seconds after the pod is there the claim is filled"),
    )
}

fn of_snapshot(case: &Case<'_, '_>, destination: &Destination, image: &Image) -> Option<Finding> {
    let view = case.index.view;
    let Some(snapshot) = case.app.snapshot else {
        let is_gone = view.sees(Snapshot::KIND) && view.has_group(Snapshot::KIND.group);
        let cause = format!(
            "the restore names the snapshot {}, which somebody has deleted; nobody says so",
            image.name
        );
        let finding = Finding::broken(Scenario::SnapshotGone, cause)
            .with([Evidence::of(destination, "status.latestImage.name", image.name.as_str(), None)])
            .to_do([trigger(destination)])
            .then(until_trigger(destination));
        return is_gone.then_some(finding);
    };
    if snapshot.status.is_none() {
        return no_controller(case, snapshot);
    }
    if snapshot.is_ready() {
        return None;
    }
    if let Some(finding) = snapshot_error(destination, snapshot) {
        return Some(finding);
    }
    if case.age(snapshot.metadata.creation_timestamp)? < SNAPSHOT_SECONDS {
        return None;
    }
    Some(
        Finding::waits(Scenario::SnapshotSlow, "the storage takes its time for the snapshot of the restored volume; some copy it to an object store first")
            .with([Evidence::of(snapshot, "status.readyToUse", "false, without an error", snapshot.metadata.creation_timestamp)])
            .to_do([Remedy::say("wait")])
            .then("as soon as it is ready the claim is filled"),
    )
}

/// Finds what happens to the volume itself, which is said at the claim through which it is made.
fn of_prime(case: &Case<'_, '_>, claim: &Claim) -> Option<Finding> {
    let sizes = too_small(claim, case.app.snapshot);
    let sizes = sizes.map(Vec::from);
    let said = case.app.prime.and_then(|prime| case.provisioning_failed(prime));
    // The driver says it, too, where the snapshot itself cannot be seen.
    let is_said = said.as_ref().is_some_and(|said| said.text.contains("is less than the size"));
    if sizes.is_some() || is_said {
        let cause = "the claim asks for less than the snapshot of the restored volume needs";
        let (namespace, name) = (&claim.metadata.namespace, &claim.metadata.name);
        return Some(
            Finding::broken(Scenario::CsiFull, cause)
                .with(sizes.unwrap_or_default())
                .with(said)
                .to_do([
                    Remedy::say("let the claim ask for at least spec.kopia.capacity (VOLSYNC_CAPACITY)"),
                    Remedy::run(
                        "make the claim again: the size of a Pending claim cannot be changed (if it hangs: doctor says what holds it)",
                        format!("kubectl -n {namespace} delete pvc {name} --wait=false"),
                    ),
                ])
                .then("the driver is asked again by itself, and refuses each time"),
        );
    }
    let is_noise =
        |text: &str| is_unready_snapshot(text) || is_conflict(text) || text.contains("bound incorrectly");
    let said = said.filter(|evidence| !is_noise(&evidence.text))?;
    Some(
        Finding::broken(Scenario::PopulateFails, "the storage's driver says why it cannot make a volume of the snapshot")
            .with([said])
            .to_do([Remedy::say("look at the storage: room, the driver's own pods and logs; or use a class that can restore snapshots")])
            .then("the driver is asked again by itself, with pauses of up to 5 minutes"),
    )
}

fn too_small(claim: &Claim, snapshot: Option<&Snapshot>) -> Option<[Evidence; 2]> {
    let snapshot = snapshot?;
    let needs = snapshot.status.as_ref()?.restore_size.as_deref()?;
    let asks = claim.request()?;
    (bytes_of(asks)? < bytes_of(needs)?).then(|| {
        [
            Evidence::of(claim, "spec.resources.requests.storage", asks, claim.metadata.creation_timestamp),
            Evidence::of(snapshot, "status.restoreSize", needs, None),
        ]
    })
}

/// Finds that the claim is to go, and something holds it.
pub(super) fn deleting(case: &Case<'_, '_>) -> Option<Finding> {
    let claim = case.app.claim?;
    let meta = &claim.metadata;
    let users: Vec<&str> =
        case.app.pods.iter().filter(|pod| pod.is_active()).map(|pod| pod.metadata.name.as_str()).collect();
    let evidence =
        Evidence::of(claim, "metadata.finalizers", meta.finalizers.join(", "), meta.deletion_timestamp);
    // The snapshot of a bound claim is taken in the end, and the claim goes.
    let is_held = meta.finalizers.iter().any(|finalizer| finalizer == SOURCE_FINALIZER) && !claim.is_bound();
    if let (true, Some(source)) = (is_held, case.app.source) {
        let name = &source.metadata.name;
        let cause = format!(
            "the ReplicationSource {name} holds the claim: it has asked for a snapshot of it that can never be taken"
        );
        return Some(
            Finding::broken(Scenario::Deleting, cause)
                .with([evidence])
                .to_do([Remedy::run(
                    "delete the ReplicationSource (no backup is deleted; Flux makes it again when it goes on)",
                    format!("kubectl -n {} delete replicationsource {name}", meta.namespace),
                )])
                .then("the claim goes within a second after that; without it never"),
        );
    }
    if case.age(meta.deletion_timestamp)? < DELETION_SECONDS {
        return None;
    }
    let remedy = [Remedy::say("stop what uses it; see the finalizers")];
    let next = "the claim goes as soon as nothing holds it";
    let finding = if users.is_empty() {
        let cause = "the claim is being deleted, and its finalizers do not go";
        Finding::broken(Scenario::Deleting, cause)
    } else {
        let cause = format!("the claim is being deleted, and these pods still use it: {}", users.join(", "));
        Finding::waits(Scenario::Deleting, cause)
    };
    Some(finding.with([evidence]).to_do(remedy).then(next))
}
