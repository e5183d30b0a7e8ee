//! Defines what brings an application from Git and its Secret from elsewhere: Flux, External Secrets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::meta::{Condition, Meta, condition, nullable, object};

/// A Kustomization of Flux.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Kustomization {
    /// The name of the Kustomization.
    pub metadata: Meta,
    /// The spec: what is to be applied.
    pub spec: KustomizationSpec,
    /// The status: what became of it.
    #[serde(deserialize_with = "nullable")]
    pub status: KustomizationStatus,
}
object!(
    Kustomization,
    "Kustomization",
    "kustomization",
    "kustomizations",
    "kustomize.toolkit.fluxcd.io",
    "v1",
    true
);

/// The spec of a Kustomization.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizationSpec {
    /// Whether the Kustomization is held.
    pub suspend: bool,
    /// The path in the source.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
    /// Parts that several applications share.
    #[serde(deserialize_with = "nullable")]
    pub components: Vec<String>,
    /// The namespace of the objects, unless they say it themselves.
    #[serde(deserialize_with = "nullable")]
    pub target_namespace: String,
    /// The variables.
    #[serde(deserialize_with = "nullable")]
    pub post_build: PostBuild,
    /// The source that the Kustomization comes from.
    #[serde(deserialize_with = "nullable")]
    pub source_ref: Reference,
    /// The Kustomizations that must be ready before.
    #[serde(deserialize_with = "nullable")]
    pub depends_on: Vec<Reference>,
}

/// The variables of a Kustomization.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PostBuild {
    /// The variables by name.
    #[serde(deserialize_with = "nullable")]
    pub substitute: BTreeMap<String, String>,
}

/// A reference to another object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// The kind of the object, where it is not clear.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// The name of the object.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// The namespace of the object; empty: the same namespace.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
}

/// The status of a Kustomization.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizationStatus {
    /// The conditions: `Ready`, `Reconciling`, `Healthy`.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// The objects that the Kustomization has applied.
    #[serde(deserialize_with = "nullable")]
    pub inventory: Inventory,
}

/// The objects that a Kustomization has applied.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// The entries, one for each object.
    #[serde(deserialize_with = "nullable")]
    pub entries: Vec<Entry>,
}

/// An object that a Kustomization has applied.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The ID of the object: `NAMESPACE_NAME_GROUP_KIND`.
    pub id: String,
}

impl Kustomization {
    /// Returns the condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        condition(&self.status.conditions, "Ready")
    }

    /// Returns a variable's value.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.spec.post_build.substitute.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A Git repository of Flux.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct GitRepository {
    /// The name of the repository.
    pub metadata: Meta,
    /// The conditions, which say whether the repository was fetched.
    #[serde(deserialize_with = "nullable")]
    pub status: super::core::Conditions,
}
object!(
    GitRepository,
    "GitRepository",
    "gitrepository",
    "gitrepositories",
    "source.toolkit.fluxcd.io",
    "v1",
    true
);

/// An `ExternalSecret`: a Secret that comes from elsewhere.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExternalSecret {
    /// The name of the `ExternalSecret`.
    pub metadata: Meta,
    /// The spec: what is made.
    pub spec: ExternalSecretSpec,
    /// The conditions, which say whether the Secret could be made.
    #[serde(deserialize_with = "nullable")]
    pub status: super::core::Conditions,
}
object!(
    ExternalSecret,
    "ExternalSecret",
    "externalsecret",
    "externalsecrets",
    "external-secrets.io",
    "v1",
    true
);

/// The spec of an `ExternalSecret`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExternalSecretSpec {
    /// The Secret that is made; none: of the `ExternalSecret`'s own name.
    #[serde(deserialize_with = "nullable")]
    pub target: Reference,
}

impl ExternalSecret {
    /// Returns the Secret that the `ExternalSecret` makes.
    #[must_use]
    pub fn secret(&self) -> &str {
        if self.spec.target.name.is_empty() { &self.metadata.name } else { &self.spec.target.name }
    }
}
