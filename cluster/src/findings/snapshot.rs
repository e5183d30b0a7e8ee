//! Finds what is wrong while the restored volume is being frozen in a snapshot (cluster-objects §4.1, §4.4).

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::scenario::Scenario;
use super::text::is_conflict;
use crate::objects::{Destination, Object, Snapshot, SnapshotClass};
use crate::text::one_line;

/// Seconds that a snapshot controller may take to look at a new snapshot.
const CONTROLLER_SECONDS: i64 = 10;

/// Finds what is wrong while the restored volume is being frozen in a snapshot.
pub(super) fn look(case: &Case<'_, '_>) -> Option<Finding> {
    let (destination, snapshot) = (case.app.destination?, case.app.snapshot?);
    if snapshot.status.is_none() {
        return no_controller(case, snapshot);
    }
    let has_content = snapshot.status.as_ref()?.bound_volume_snapshot_content_name.is_some();
    no_snapshot_class(case, destination, snapshot)
        .filter(|_| !has_content)
        .or_else(|| snapshot_error(destination, snapshot))
}

pub(super) fn no_controller(case: &Case<'_, '_>, snapshot: &Snapshot) -> Option<Finding> {
    let created = snapshot.metadata.creation_timestamp;
    let waits = case.age(created)?;
    let finding = Finding::broken(Scenario::NoSnapshotController, "no snapshot controller looks at the snapshot of the restored volume")
        .with([Evidence::of(snapshot, "status", "empty", created)])
        .to_do([Remedy::say("install (or look at) the snapshot controller of external-snapshotter: its Deployment is often in kube-system")])
        .then("within seconds after it runs the restore goes on");
    (waits >= CONTROLLER_SECONDS).then_some(finding)
}

fn no_snapshot_class(case: &Case<'_, '_>, destination: &Destination, snapshot: &Snapshot) -> Option<Finding> {
    let view = case.index.view;
    let class = snapshot.spec.volume_snapshot_class_name.as_deref();
    let class = class.or(destination.spec.kopia.as_ref()?.volume_snapshot_class_name.as_deref())?;
    let said = case.index.event(&snapshot.metadata.uid, &["GetSnapshotClassFailed"]);
    let is_missing = view.sees(SnapshotClass::KIND) && view.snapshot_classes.get("", class).is_none();
    if !is_missing && (said.is_none() || view.sees(SnapshotClass::KIND)) {
        return None;
    }
    let error = snapshot.status.as_ref().and_then(|status| status.error.as_ref());
    let error = error.map(|error| {
        Evidence::of(snapshot, "status.error.message", one_line(&error.message, 400), error.time)
    });
    let cause =
        format!("the snapshot of the restored volume asks for the class {class}, which does not exist");
    Some(
        Finding::broken(Scenario::NoSnapshotClass, cause)
            .with(error)
            .with([Evidence::of(destination, "spec.kopia.volumeSnapshotClassName", class, None)])
            .to_do([
                Remedy::run("see which classes there are", "kubectl get volumesnapshotclass"),
                Remedy::say(format!(
                    "make the class {class}, or name another (VOLSYNC_SNAPSHOTCLASS): that restores again"
                )),
            ])
            .then("as soon as the class is there the snapshot is taken by itself, within 5 minutes"),
    )
}

pub(super) fn snapshot_error(destination: &Destination, snapshot: &Snapshot) -> Option<Finding> {
    let error = snapshot.status.as_ref()?.error.as_ref()?;
    if is_conflict(&error.message) {
        return None;
    }
    let (namespace, name) = (&snapshot.metadata.namespace, &snapshot.metadata.name);
    let looks_done = destination.is_done().then(|| {
        Evidence::of(destination, "status.lastManualSync", "the restore counts as done; it is not", None)
    });
    Some(
        Finding::broken(
            Scenario::SnapshotFails,
            "the storage's driver cannot take the snapshot of the restored volume",
        )
        .with([Evidence::of(snapshot, "status.error.message", one_line(&error.message, 600), error.time)])
        .with(looks_done)
        .to_do([
            Remedy::say("look at the storage: room for snapshots, the driver's snapshotter, its logs"),
            Remedy::run("see what it says", format!("kubectl -n {namespace} describe volumesnapshot {name}")),
        ])
        .then("the controllers try again by themselves; the restored data are still in the temporary volume"),
    )
}
