//! What brings an application from Git and its Secret from elsewhere: Flux, External Secrets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::meta::{Condition, Meta, condition, nullable, object};

/// A Kustomization of Flux.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Kustomization {
    /// Its name.
    pub metadata: Meta,
    /// What is to be applied.
    pub spec: KustomizationSpec,
    /// What became of it.
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

/// What is to be applied.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizationSpec {
    /// Whether it is held.
    pub suspend: bool,
    /// In the source.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
    /// Parts that several applications share.
    #[serde(deserialize_with = "nullable")]
    pub components: Vec<String>,
    /// Where its objects go, unless they say it themselves.
    #[serde(deserialize_with = "nullable")]
    pub target_namespace: String,
    /// Variables.
    #[serde(deserialize_with = "nullable")]
    pub post_build: PostBuild,
    /// Where it comes from.
    #[serde(deserialize_with = "nullable")]
    pub source_ref: Reference,
    /// What must be ready before.
    #[serde(deserialize_with = "nullable")]
    pub depends_on: Vec<Reference>,
}

/// Variables of a Kustomization.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PostBuild {
    /// By name.
    #[serde(deserialize_with = "nullable")]
    pub substitute: BTreeMap<String, String>,
}

/// A reference to another object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// Its kind, where it is not clear.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// Its name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Empty: the same namespace.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
}

/// What became of a Kustomization.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizationStatus {
    /// `Ready`, `Reconciling`, `Healthy`.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// What it has applied.
    #[serde(deserialize_with = "nullable")]
    pub inventory: Inventory,
}

/// What a Kustomization has applied.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// One for each object.
    #[serde(deserialize_with = "nullable")]
    pub entries: Vec<Entry>,
}

/// An object that a Kustomization has applied.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// `NAMESPACE_NAME_GROUP_KIND`.
    pub id: String,
}

impl Kustomization {
    /// The condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        condition(&self.status.conditions, "Ready")
    }

    /// A variable's value.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.spec.post_build.substitute.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A Git repository of Flux.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct GitRepository {
    /// Its name.
    pub metadata: Meta,
    /// Whether it was fetched.
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

/// A Secret that comes from elsewhere.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExternalSecret {
    /// Its name.
    pub metadata: Meta,
    /// What it makes.
    pub spec: ExternalSecretSpec,
    /// Whether it could.
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

/// What an `ExternalSecret` makes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExternalSecretSpec {
    /// The Secret; none: of its own name.
    #[serde(deserialize_with = "nullable")]
    pub target: Reference,
}

impl ExternalSecret {
    /// The Secret that it makes.
    #[must_use]
    pub fn secret(&self) -> &str {
        if self.spec.target.name.is_empty() { &self.metadata.name } else { &self.spec.target.name }
    }
}
