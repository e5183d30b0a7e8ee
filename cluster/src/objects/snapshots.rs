//! Snapshots of volumes, and their classes.

use jiff::Timestamp;
use serde::Deserialize;

use super::meta::{Meta, nullable, object};

/// A snapshot of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Names and owners.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: SnapshotSpec,
    /// None as long as no snapshot controller has seen it.
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

/// What a snapshot was asked to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// Its class.
    pub volume_snapshot_class_name: Option<String>,
}

/// How a snapshot is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Whether a volume can be made of it.
    pub ready_to_use: Option<bool>,
    /// The content that it is bound to.
    pub bound_volume_snapshot_content_name: Option<String>,
    /// The smallest volume that it fits into, as a quantity.
    pub restore_size: Option<String>,
    /// What went wrong.
    pub error: Option<SnapshotError>,
}

/// What went wrong with a snapshot.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SnapshotError {
    /// A sentence.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// When.
    pub time: Option<Timestamp>,
}

impl Snapshot {
    /// Whether a volume can be made of it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.ready_to_use == Some(true))
    }
}

/// A class of snapshots.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SnapshotClass {
    /// Its name.
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
