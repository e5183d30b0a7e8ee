//! Defines VolSync's objects (cluster-objects §2, §5).

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::meta::{Condition, Meta, condition, nullable, object};

/// A `ReplicationDestination`: a restore.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// Names and owners.
    pub metadata: Meta,
    /// The spec: what was asked for.
    pub spec: DestinationSpec,
    /// The status; none as long as the operator has not seen the restore.
    pub status: Option<DestinationStatus>,
}
object!(
    Destination,
    "ReplicationDestination",
    "replicationdestination",
    "replicationdestinations",
    "volsync.backube",
    "v1alpha1",
    true
);

/// The spec of a restore.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DestinationSpec {
    /// The trigger: when the restore is to run.
    #[serde(deserialize_with = "nullable")]
    pub trigger: Trigger,
    /// Whether the restore is held.
    pub paused: bool,
    /// The method: from a Kopia repository.
    pub kopia: Option<KopiaSpec>,
}

/// The trigger of a restore or a backup: when it is to run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Trigger {
    /// The manual trigger: the restore runs again when it changes.
    pub manual: Option<String>,
    /// The schedule: a cron line.
    pub schedule: Option<String>,
}

/// The method of a restore: from which repository into which volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct KopiaSpec {
    /// The Secret that names the repository.
    pub repository: String,
    /// The user whose snapshots are restored; together with `hostname` or not at all.
    pub username: Option<String>,
    /// The host whose snapshots are restored.
    pub hostname: Option<String>,
    /// The class of the volume's snapshot.
    pub volume_snapshot_class_name: Option<String>,
    /// The volume's size, as a quantity.
    pub capacity: Option<String>,
    /// The copy method: `Snapshot` or `Direct`.
    pub copy_method: Option<String>,
    /// The whole object, for the mover's own reading.
    pub raw: Value,
}

impl TryFrom<Value> for KopiaSpec {
    type Error = String;

    fn try_from(raw: Value) -> Result<Self, String> {
        let text = |field: &str| raw[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if !raw.is_object() {
            return Err("spec.kopia is no object".into());
        }
        Ok(KopiaSpec {
            repository: text("repository").unwrap_or_default(),
            username: text("username"),
            hostname: text("hostname"),
            volume_snapshot_class_name: text("volumeSnapshotClassName"),
            capacity: text("capacity").or_else(|| raw["capacity"].as_u64().map(|bytes| bytes.to_string())),
            copy_method: text("copyMethod"),
            raw,
        })
    }
}

/// The status of a restore.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DestinationStatus {
    /// The conditions: only `Synchronizing`.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// The time when the restore began; set as long as one is going on.
    pub last_sync_start_time: Option<Timestamp>,
    /// The end of the last restore that counted as done.
    pub last_sync_time: Option<Timestamp>,
    /// The trigger of the last restore that counted as done.
    pub last_manual_sync: Option<String>,
    /// The snapshot that claims are filled from.
    pub latest_image: Option<Image>,
    /// The status of the last Job that ended.
    #[serde(deserialize_with = "nullable")]
    pub latest_mover_status: MoverStatus,
    /// The knowledge of the operator about Kopia.
    #[serde(deserialize_with = "nullable")]
    pub kopia: KopiaStatus,
}

/// The knowledge of the operator about Kopia.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KopiaStatus {
    /// The identity that the Job was made for: `user@host`.
    #[serde(deserialize_with = "nullable")]
    pub requested_identity: String,
}

/// The image of a restore: a snapshot, or with `copyMethod: Direct` a claim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// The kind: `VolumeSnapshot` or `PersistentVolumeClaim`.
    pub kind: String,
    /// The name, in the same namespace.
    pub name: String,
}

/// The status that the last mover left.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MoverStatus {
    /// The result: `Successful` or `Failed`.
    #[serde(deserialize_with = "nullable")]
    pub result: String,
    /// The end of the mover's log.
    #[serde(deserialize_with = "nullable")]
    pub logs: String,
}

impl Destination {
    /// Returns the condition `Synchronizing`.
    #[must_use]
    pub fn synchronizing(&self) -> Option<&Condition> {
        condition(&self.status.as_ref()?.conditions, "Synchronizing")
    }

    /// Returns the size of the volume that the mover fills, as a quantity.
    #[must_use]
    pub fn capacity(&self) -> Option<&str> {
        self.spec.kopia.as_ref()?.capacity.as_deref()
    }

    /// Whether the trigger has run.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let Some(status) = &self.status else { return false };
        match (&self.spec.trigger.manual, &status.last_manual_sync) {
            (Some(wanted), done) => done.as_ref() == Some(wanted),
            (None, _) => status.last_sync_time.is_some() && status.last_sync_start_time.is_none(),
        }
    }
}

/// A `ReplicationSource`: backups.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Names and owners.
    pub metadata: Meta,
    /// The spec: what was asked for.
    pub spec: SourceSpec,
}
object!(
    Source,
    "ReplicationSource",
    "replicationsource",
    "replicationsources",
    "volsync.backube",
    "v1alpha1",
    true
);

/// The spec of backups.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SourceSpec {
    /// The claim that is backed up.
    #[serde(rename = "sourcePVC", deserialize_with = "nullable")]
    pub source_pvc: String,
    /// The trigger: when the backups are to run.
    #[serde(deserialize_with = "nullable")]
    pub trigger: Trigger,
    /// Whether the backups are held.
    pub paused: bool,
    /// The repository that is backed up into, for the mover's own reading.
    pub kopia: Value,
}

impl Source {
    /// Whether the source backs up into a Kopia repository.
    #[must_use]
    pub fn is_kopia(&self) -> bool {
        self.spec.kopia.is_object()
    }
}
