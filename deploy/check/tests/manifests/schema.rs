//! Checks a manifest against the fields that its kind has (`data/fields.txt`).

use std::collections::BTreeMap;

use serde_json::Value;

/// Kind → path → type.
pub(crate) struct Fields(BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>);

impl Fields {
    pub(crate) fn load() -> Self {
        let mut kinds: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for line in include_str!("../../data/fields.txt").lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(path), Some(kind_of_value)) = (words.next(), words.next(), words.next())
            else {
                panic!("fields.txt: {line:?}");
            };
            kinds.entry(kind).or_default().insert(path, kind_of_value);
        }
        Self(kinds)
    }

    /// Returns what is wrong with an object; nothing when all is well.
    pub(crate) fn faults(&self, object: &Value) -> Vec<String> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let (Some(fields), Some(version)) = (self.0.get(kind), object["apiVersion"].as_str()) else {
            return vec![format!("an object of unknown kind {kind:?}")];
        };
        let mut faults = Vec::new();
        if api_version(kind) != version {
            faults.push(format!("{kind}: apiVersion {version}"));
        }
        if object["metadata"]["name"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{kind}: no name"));
        }
        for (key, value) in object.as_object().into_iter().flatten() {
            match key.as_str() {
                "apiVersion" | "kind" => {}
                "metadata" => metadata(kind, value, &mut faults),
                key => check(fields, kind, key, value, &mut faults),
            }
        }
        faults
    }
}

fn metadata(kind: &str, value: &Value, faults: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let good = match key.as_str() {
            "name" | "namespace" => value.is_string(),
            "labels" | "annotations" => {
                value.as_object().is_some_and(|map| map.values().all(Value::is_string))
            }
            _ => false,
        };
        if !good {
            faults.push(format!("{kind}: metadata.{key:?}: {value:?}"));
        }
    }
}

fn check(fields: &BTreeMap<&str, &str>, kind: &str, path: &str, value: &Value, faults: &mut Vec<String>) {
    let Some(expected) = fields.get(path) else {
        faults.push(format!("{kind}: no field {path}"));
        return;
    };
    let good = match *expected {
        "any" => return,
        "object" => value.is_object(),
        "list" => value.is_array(),
        "string" => value.as_str().is_some_and(|text| !text.is_empty() || path.ends_with("apiGroups[]")),
        "int" => value.is_i64() || value.is_u64(),
        "bool" => value.is_boolean(),
        "quantity" => value.as_str().is_some_and(is_quantity) || value.is_u64(),
        other => panic!("fields.txt: type {other}"),
    };
    if !good {
        faults.push(format!("{kind}: {path} is not of type {expected}: {value:?}"));
    }
    for (key, below) in value.as_object().into_iter().flatten() {
        check(fields, kind, &format!("{path}.{}", key.as_str()), below, faults);
    }
    for below in value.as_array().into_iter().flatten() {
        check(fields, kind, &format!("{path}[]"), below, faults);
    }
}

fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T', 'P', 'E', 'i']);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "ReplicationDestination" | "ReplicationSource" | "KopiaMaintenance" => "volsync.backube/v1alpha1",
        "PersistentVolumeClaim" | "Secret" => "v1",
        "Job" | "CronJob" => "batch/v1",
        "ExternalSecret" => "external-secrets.io/v1",
        "ClusterPolicy" => "kyverno.io/v1",
        "MutatingAdmissionPolicy" | "MutatingAdmissionPolicyBinding" => {
            "admissionregistration.k8s.io/v1beta1"
        }
        _ => "",
    }
}
