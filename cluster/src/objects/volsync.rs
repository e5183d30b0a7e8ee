//! VolSync's objects (cluster-objects §2, §5).

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
    /// What was asked for.
    pub spec: DestinationSpec,
    /// None as long as the operator has not seen it.
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

/// What a restore was asked to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DestinationSpec {
    /// When it is to run.
    #[serde(deserialize_with = "nullable")]
    pub trigger: Trigger,
    /// Whether it is held.
    pub paused: bool,
    /// The method: from a Kopia repository.
    pub kopia: Option<KopiaSpec>,
}

/// When a restore or a backup is to run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Trigger {
    /// Runs again when it changes.
    pub manual: Option<String>,
    /// A cron line.
    pub schedule: Option<String>,
}

/// From which repository into which volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct KopiaSpec {
    /// The Secret that names the repository.
    pub repository: String,
    /// Whose snapshots; together with `hostname` or not at all.
    pub username: Option<String>,
    /// Whose snapshots.
    pub hostname: Option<String>,
    /// The class of the volume's snapshot.
    pub volume_snapshot_class_name: Option<String>,
    /// The volume's size, as a quantity.
    pub capacity: Option<String>,
    /// `Snapshot` or `Direct`.
    pub copy_method: Option<String>,
    /// All of it, for the mover's own reading.
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

/// What became of a restore.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DestinationStatus {
    /// Only `Synchronizing`.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// Set as long as a restore is going on.
    pub last_sync_start_time: Option<Timestamp>,
    /// The end of the last one that counted as done.
    pub last_sync_time: Option<Timestamp>,
    /// The trigger of that one.
    pub last_manual_sync: Option<String>,
    /// The snapshot that claims are filled from.
    pub latest_image: Option<Image>,
    /// Of the last Job that ended.
    #[serde(deserialize_with = "nullable")]
    pub latest_mover_status: MoverStatus,
    /// What the operator knows of Kopia.
    #[serde(deserialize_with = "nullable")]
    pub kopia: KopiaStatus,
}

/// What the operator knows of Kopia.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KopiaStatus {
    /// `user@host` that the Job was made for.
    #[serde(deserialize_with = "nullable")]
    pub requested_identity: String,
}

/// A snapshot, or with `copyMethod: Direct` a claim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// `VolumeSnapshot` or `PersistentVolumeClaim`.
    pub kind: String,
    /// In the same namespace.
    pub name: String,
}

/// What the last mover left.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MoverStatus {
    /// `Successful` or `Failed`.
    #[serde(deserialize_with = "nullable")]
    pub result: String,
    /// The end of its log.
    #[serde(deserialize_with = "nullable")]
    pub logs: String,
}

impl Destination {
    /// The condition `Synchronizing`.
    #[must_use]
    pub fn synchronizing(&self) -> Option<&Condition> {
        condition(&self.status.as_ref()?.conditions, "Synchronizing")
    }

    /// The size of the volume that the mover fills, as a quantity.
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
    /// What was asked for.
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

/// What backups were asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SourceSpec {
    /// The claim that is backed up.
    #[serde(rename = "sourcePVC", deserialize_with = "nullable")]
    pub source_pvc: String,
    /// When they are to run.
    #[serde(deserialize_with = "nullable")]
    pub trigger: Trigger,
    /// Whether they are held.
    pub paused: bool,
    /// Into which repository, for the mover's own reading.
    pub kopia: Value,
}

impl Source {
    /// Whether it backs up into a Kopia repository.
    #[must_use]
    pub fn is_kopia(&self) -> bool {
        self.spec.kopia.is_object()
    }
}
