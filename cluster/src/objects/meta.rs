//! Defines what all objects have: names, ages, owners, conditions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// Reads a missing or null value as the empty one: Go writes lists and texts without content as null.
///
/// # Errors
/// The value is of another type.
pub fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// Metadata of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// The object's name, unique for its kind in its namespace.
    pub name: String,
    /// The namespace; empty for what belongs to the whole cluster.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
    /// The unique ID, unique for all time: a name comes back, this does not.
    #[serde(deserialize_with = "nullable")]
    pub uid: String,
    /// The time when the object was made.
    pub creation_timestamp: Option<Timestamp>,
    /// The time when the object was asked to go; it stays until its finalizers are gone.
    pub deletion_timestamp: Option<Timestamp>,
    /// Labels by key.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// The annotations by key that a diagnosis reads; `kubectl apply` stores whole objects in others.
    #[serde(deserialize_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
    /// The finalizers, which keep the object from going.
    #[serde(deserialize_with = "nullable")]
    pub finalizers: Vec<String>,
    /// The owners, with which the object goes.
    #[serde(deserialize_with = "nullable")]
    pub owner_references: Vec<Owner>,
}

impl Meta {
    /// Returns the owner of this kind, where there is one.
    #[must_use]
    pub fn owner(&self, kind: &str) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.kind == kind)
    }

    /// Whether the object belongs to VolSync's operator.
    #[must_use]
    pub fn is_of_operator(&self) -> bool {
        self.labels.get("app.kubernetes.io/name").is_some_and(|name| name == "volsync")
    }

    /// Whether the object with this unique ID owns this one.
    #[must_use]
    pub fn is_owned_by(&self, uid: &str) -> bool {
        !uid.is_empty() && self.owner_references.iter().any(|owner| owner.uid == uid)
    }
}

/// Reads annotations without those that hold whole objects.
fn annotations<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut all: BTreeMap<String, String> = nullable(from)?;
    let read = ["vol", "rekopia/"];
    all.retain(|key, value| read.iter().any(|start| key.starts_with(start)) && value.len() <= 1024);
    Ok(all)
}

/// A reference to an owner.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// The kind of the owner: `Job`, `ReplicationDestination`, …
    pub kind: String,
    /// The name of the owner.
    pub name: String,
    /// The unique ID of the owner.
    pub uid: String,
}

/// An entry of `status.conditions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// The type of the condition: `Ready`, `Synchronizing`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The status: `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason, in one word.
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// The message, in a sentence.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// The time since when it is so.
    pub last_transition_time: Option<Timestamp>,
}

/// Returns the condition of this type.
#[must_use]
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// The place of a kind of objects in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// The name that objects use: `PersistentVolumeClaim`.
    pub name: &'static str,
    /// The name that `kubectl` takes: `pvc`.
    pub short: &'static str,
    /// The name that roles and paths use: `persistentvolumeclaims`.
    pub plural: &'static str,
    /// The API group, `snapshot.storage.k8s.io`; empty for the core.
    pub group: &'static str,
    /// The API version: `v1`.
    pub version: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// Returns the path of a list, of one namespace or of all.
    #[must_use]
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api/".to_owned() } else { format!("/apis/{}/", self.group) };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}{}/namespaces/{namespace}/{}", self.version, self.plural),
            None => format!("{root}{}/{}", self.version, self.plural),
        }
    }
}

/// An object of the cluster.
pub trait Object: for<'de> Deserialize<'de> + Clone + Send + Sync + 'static {
    /// The kind of the object.
    const KIND: Kind;

    /// Returns the object's metadata.
    fn meta(&self) -> &Meta;

    /// Whether a diagnosis could read the object: what is not kept costs no memory.
    fn is_kept(&self) -> bool {
        true
    }
}

/// Says of a type with a field `metadata` which kind of object it is.
macro_rules! object {
    ($type:ident, $name:literal, $short:literal, $plural:literal, $group:literal, $version:literal, $namespaced:literal $(, $kept:expr)?) => {
        impl $crate::objects::meta::Object for $type {
            const KIND: $crate::objects::meta::Kind = $crate::objects::meta::Kind {
                name: $name,
                short: $short,
                plural: $plural,
                group: $group,
                version: $version,
                namespaced: $namespaced,
            };

            fn meta(&self) -> &$crate::objects::meta::Meta {
                &self.metadata
            }

            $(fn is_kept(&self) -> bool {
                $kept(self)
            })?
        }
    };
}
pub(super) use object;
