//! Holds an object on its way through a build.

use std::path::Path;
use std::rc::Rc;

use serde_json::{Value, json};

/// The document that an object was read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) file: Rc<Path>,
    /// The number of the document in the file, from 0.
    pub(super) index: usize,
}

/// An object, and what is remembered of it while it is built.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) value: Value,
    /// The document that the object was read from; none for what a program or a generator has made.
    pub(super) origin: Option<Origin>,
    /// The object's names before prefixes and suffixes came to it: patches and references may still use them.
    pub(super) former_names: Vec<String>,
}

impl Item {
    pub(super) fn new(value: Value, origin: Option<Origin>) -> Self {
        Item { value, origin, former_names: Vec::new() }
    }

    /// Whether the object has this name, or had it.
    pub(super) fn is_named(&self, is: impl Fn(&str) -> bool) -> bool {
        is(name(&self.value)) || self.former_names.iter().any(|name| is(name))
    }
}

/// Returns the text at `metadata.FIELD`; empty where there is none.
fn meta<'a>(value: &'a Value, field: &str) -> &'a str {
    value["metadata"][field].as_str().unwrap_or_default()
}

pub(super) fn name(value: &Value) -> &str {
    meta(value, "name")
}

pub(super) fn namespace(value: &Value) -> &str {
    meta(value, "namespace")
}

pub(super) fn kind(value: &Value) -> &str {
    value["kind"].as_str().unwrap_or_default()
}

/// Returns the group of an object's API; empty for the core.
pub(super) fn group(value: &Value) -> &str {
    value["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

/// Whether a document is an object of Kubernetes at all.
pub(super) fn is_object(value: &Value) -> bool {
    !kind(value).is_empty() && value["apiVersion"].is_string()
}

/// Returns `KIND NAMESPACE/NAME`, as notes call an object.
pub(super) fn shown(value: &Value) -> String {
    match namespace(value) {
        "" => format!("{} {}", kind(value), name(value)),
        namespace => format!("{} {namespace}/{}", kind(value), name(value)),
    }
}

/// Whether the object is a Kustomization of Flux, not of kustomize.
pub(super) fn is_flux_kustomization(value: &Value) -> bool {
    kind(value) == "Kustomization" && group(value) == FLUX_GROUP
}

/// Whether the document is a file for kustomize, which is no object.
pub(super) fn is_kustomize_file(value: &Value) -> bool {
    group(value) == "kustomize.config.k8s.io"
}

/// Whether objects of this kind belong to the whole cluster. Kinds that nobody here knows belong to a namespace, as
/// kustomize takes them.
pub(super) fn is_of_cluster(value: &Value) -> bool {
    CLUSTER_KINDS.contains(&kind(value))
}

/// Sets `metadata.FIELD`, and replaces the text that stood there.
pub(super) fn set_meta(value: &mut Value, field: &str, text: &str) {
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    value["metadata"][field] = Value::from(text);
}

/// Sets one of the `labels` or `annotations`, as `field` says.
pub(super) fn set_mark(value: &mut Value, field: &str, key: &str, text: &str) {
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    let meta = &mut value["metadata"];
    if !meta[field].is_object() {
        meta[field] = json!({});
    }
    meta[field][key] = Value::from(text);
}

/// Sets all texts of a map as `labels` or `annotations`.
pub(super) fn set_marks(value: &mut Value, field: &str, marks: &Value) {
    for (key, text) in marks.as_object().into_iter().flatten() {
        set_mark(value, field, key, text.as_str().unwrap_or_default());
    }
}

/// The API group of Flux's Kustomizations.
pub(super) const FLUX_GROUP: &str = "kustomize.toolkit.fluxcd.io";

const CLUSTER_KINDS: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "ClusterExternalSecret",
    "ClusterIssuer",
    "ClusterPolicy",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterSecretStore",
    "CustomResourceDefinition",
    "FlowSchema",
    "GatewayClass",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeSnapshotClass",
    "VolumeSnapshotContent",
];
