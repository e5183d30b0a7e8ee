//! Defines objects of the core beside pods: claims, volumes, namespaces, nodes, Secrets.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::meta::{Condition, Meta, nullable, object};

/// A claim of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// Names and owners.
    pub metadata: Meta,
    /// The spec: what was asked for.
    pub spec: ClaimSpec,
    /// The status: what became of the claim.
    #[serde(deserialize_with = "nullable")]
    pub status: PhaseStatus,
}
object!(Claim, "PersistentVolumeClaim", "pvc", "persistentvolumeclaims", "", "v1", true);

/// The spec of a claim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSpec {
    /// The class; none: the cluster's default.
    pub storage_class_name: Option<String>,
    /// The volume that the claim has.
    #[serde(deserialize_with = "nullable")]
    pub volume_name: String,
    /// The object that fills the claim.
    pub data_source_ref: Option<DataSource>,
    /// The sizes that are asked for.
    pub resources: Resources,
}

/// The sizes that a claim asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// The quantities by resource, such as `storage`.
    #[serde(deserialize_with = "quantities")]
    pub requests: BTreeMap<String, String>,
}

/// Quantities by name; in manifests that people write they may be numbers.
fn quantities<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values: BTreeMap<String, serde_json::Value> = nullable(from)?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        value => value.to_string(),
    };
    Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// The object that fills a claim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataSource {
    /// The API group: `volsync.backube`, `snapshot.storage.k8s.io`, …
    #[serde(deserialize_with = "nullable")]
    pub api_group: String,
    /// The kind: `ReplicationDestination`, `VolumeSnapshot`, …
    pub kind: String,
    /// The name, in the claim's namespace.
    pub name: String,
}

/// A status that is mostly one word.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PhaseStatus {
    /// The phase: `Pending`, `Bound`, `Lost`; `Active`, `Terminating`.
    #[serde(deserialize_with = "nullable")]
    pub phase: String,
}

impl Claim {
    /// Whether the claim has its volume.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.status.phase == "Bound"
    }

    /// Returns the `ReplicationDestination` that is to fill the claim.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        let from = self.spec.data_source_ref.as_ref()?;
        (from.api_group == "volsync.backube" && from.kind == "ReplicationDestination")
            .then_some(from.name.as_str())
    }

    /// Returns the size that the claim asks for, as it was written.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.spec.resources.requests.get("storage").map(String::as_str)
    }
}

/// A volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Names and annotations.
    pub metadata: Meta,
}
object!(Volume, "PersistentVolume", "pv", "persistentvolumes", "", "v1", false);

impl Volume {
    /// Returns the snapshot that the volume was filled from, as `NAMESPACE/NAME`: the lasting proof of a restore.
    #[must_use]
    pub fn populated_from(&self) -> Option<&str> {
        self.metadata.annotations.get("volsync.backube/populated-from").map(String::as_str)
    }
}

/// A namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// The name and labels, which say which pods the namespace lets in.
    pub metadata: Meta,
}
object!(Namespace, "Namespace", "ns", "namespaces", "", "v1", false);

/// A node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// The name of the node.
    pub metadata: Meta,
    /// The conditions, which say whether the node answers.
    pub status: Conditions,
}
object!(Node, "Node", "node", "nodes", "", "v1", false);

/// A status of which only the conditions are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// The conditions by type.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
}

/// A Secret; its values are wiped when it goes, and are never shown.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// The kind `Secret`, in manifests that people write.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// The name of the Secret.
    pub metadata: Meta,
    /// Values in Base64, by key.
    #[serde(deserialize_with = "nullable")]
    pub data: BTreeMap<String, Zeroizing<String>>,
    /// Values as they are, by key, in manifests that people write.
    #[serde(rename = "stringData", deserialize_with = "nullable")]
    pub string_data: BTreeMap<String, Zeroizing<String>>,
}
object!(Secret, "Secret", "secret", "secrets", "", "v1", true);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}
