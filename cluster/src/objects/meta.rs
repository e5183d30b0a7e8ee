//! What all objects have: names, ages, owners, conditions.

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
    /// Its name, unique for its kind in its namespace.
    pub name: String,
    /// Empty for what belongs to the whole cluster.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
    /// Unique for all time: a name comes back, this does not.
    #[serde(deserialize_with = "nullable")]
    pub uid: String,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// When it was asked to go; it stays until its finalizers are gone.
    pub deletion_timestamp: Option<Timestamp>,
    /// Labels by key.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// Those annotations by key that a diagnosis reads; `kubectl apply` stores whole objects in others.
    #[serde(deserialize_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
    /// What keeps it from going.
    #[serde(deserialize_with = "nullable")]
    pub finalizers: Vec<String>,
    /// What it goes with.
    #[serde(deserialize_with = "nullable")]
    pub owner_references: Vec<Owner>,
}

impl Meta {
    /// The owner of this kind, where there is one.
    #[must_use]
    pub fn owner(&self, kind: &str) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.kind == kind)
    }

    /// Whether it belongs to VolSync's operator.
    #[must_use]
    pub fn is_of_operator(&self) -> bool {
        self.labels.get("app.kubernetes.io/name").is_some_and(|name| name == "volsync")
    }

    /// Whether the object with this unique ID owns it.
    #[must_use]
    pub fn is_owned_by(&self, uid: &str) -> bool {
        !uid.is_empty() && self.owner_references.iter().any(|owner| owner.uid == uid)
    }
}

/// Annotations that hold whole objects are not kept.
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
    /// `Job`, `ReplicationDestination`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its unique ID.
    pub uid: String,
}

/// An entry of `status.conditions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Synchronizing`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// A sentence.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// Since when it is so.
    pub last_transition_time: Option<Timestamp>,
}

/// The condition of this type.
#[must_use]
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Where a kind of objects stands in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// As objects name it: `PersistentVolumeClaim`.
    pub name: &'static str,
    /// As `kubectl` takes it: `pvc`.
    pub short: &'static str,
    /// As roles and paths name it: `persistentvolumeclaims`.
    pub plural: &'static str,
    /// `snapshot.storage.k8s.io`; empty for the core.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// The path of a list, of one namespace or of all.
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
    /// What it is.
    const KIND: Kind;

    /// Its metadata.
    fn meta(&self) -> &Meta;

    /// Whether a diagnosis could read it: what is not kept costs no memory.
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
