//! Defines snapshots of volumes, and their classes.

use jiff::Timestamp;
use serde::Deserialize;

use super::meta::{Meta, nullable, object};

/// A snapshot of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Names and owners.
    pub metadata: Meta,
    /// The spec: what was asked for.
    pub spec: SnapshotSpec,
    /// The status; none as long as no snapshot controller has seen the snapshot.
    pub status: Option<SnapshotStatus>,
}
object!(
    Snapshot,
    "VolumeSnapshot",
    "volumesnapshot",
    "volumesnapshots",
    "snapshot.storage.k8s.io",
    "v1",
    true
);

/// The spec of a snapshot.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// The class of the snapshot.
    pub volume_snapshot_class_name: Option<String>,
}

/// The status of a snapshot.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Whether a volume can be made of the snapshot.
    pub ready_to_use: Option<bool>,
    /// The content that the snapshot is bound to.
    pub bound_volume_snapshot_content_name: Option<String>,
    /// The smallest volume that the snapshot fits into, as a quantity.
    pub restore_size: Option<String>,
    /// The error, where something went wrong.
    pub error: Option<SnapshotError>,
}

/// The error of a snapshot.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SnapshotError {
    /// The message, in a sentence.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// The time of the error.
    pub time: Option<Timestamp>,
}

impl Snapshot {
    /// Whether a volume can be made of the snapshot.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.ready_to_use == Some(true))
    }
}

/// A class of snapshots.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SnapshotClass {
    /// The name of the class.
    pub metadata: Meta,
}
object!(
    SnapshotClass,
    "VolumeSnapshotClass",
    "volumesnapshotclass",
    "volumesnapshotclasses",
    "snapshot.storage.k8s.io",
    "v1",
    false
);
