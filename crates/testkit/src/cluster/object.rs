//! Holds an object, serialised once, in the forms that an API server gives it in.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::kinds::Resource;

const FIELDS_OF_PODS: &[&str] = &["spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"];
const FIELDS_OF_EVENTS: &[&str] = &[
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// Returns the fields of a resource, besides name and namespace, that a field selector may name.
pub(super) fn selectable(resource: &Resource) -> &'static [&'static str] {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => FIELDS_OF_PODS,
        ("", "events") => FIELDS_OF_EVENTS,
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        _ => &[],
    }
}

/// An object without `kind` and `apiVersion`, which depend on how it is asked for.
#[derive(Debug)]
pub(super) struct Object {
    /// The text `{"metadata":{…},…}` without the version, so that the same object at another version is the same text.
    body: String,
    /// The offset in the body where the metadata end.
    metadata_end: usize,
    pub(super) version: u64,
    pub(super) uid: String,
    pub(super) labels: BTreeMap<String, String>,
    /// The fields that a field selector may name, with their values.
    fields: Vec<(&'static str, String)>,
}

/// The form in which objects are written.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// The text before the metadata: `"kind":"Pod","apiVersion":"v1",`, or nothing.
    head: String,
    metadata_only: bool,
}

const METADATA: &str = "{\"metadata\":";

impl Object {
    /// Makes an object as it was recorded; its version is not set yet.
    pub(super) fn new(object: &Map<String, Value>, resource: &Resource) -> Self {
        let empty = Map::new();
        let metadata = object.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut body = METADATA.to_owned();
        body.push('{');
        push_fields(&mut body, metadata, &["resourceVersion"]);
        body.push('}');
        let metadata_end = body.len();
        body.push(',');
        push_fields(&mut body, object, &["apiVersion", "kind", "metadata"]);
        if body.ends_with(',') {
            body.pop();
        }
        body.push('}');
        let labels = metadata.get("labels").and_then(Value::as_object).into_iter().flatten();
        let mut fields: Vec<(&'static str, String)> =
            selectable(resource).iter().map(|field| (*field, at(object, field))).collect();
        fields.push(("metadata.name", text(metadata.get("name"))));
        fields.push(("metadata.namespace", text(metadata.get("namespace"))));
        Object {
            body,
            metadata_end,
            version: 0,
            uid: text(metadata.get("uid")),
            labels: labels.map(|(key, value)| (key.clone(), text(Some(value)))).collect(),
            fields,
        }
    }

    /// Sets the version of the object.
    pub(super) fn at(self, version: u64) -> Self {
        Object { version, ..self }
    }

    /// Returns the value of a field that a selector may name; `None`: it may not.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }

    /// Whether nothing but the version differs.
    pub(super) fn same(&self, other: &Object) -> bool {
        self.body == other.body
    }

    /// Writes the object as it is at `version`.
    pub(super) fn write(&self, out: &mut Vec<u8>, form: &Form, version: u64) {
        let metadata = &self.body[METADATA.len() + 1..self.metadata_end];
        let comma = if metadata == "}" { "" } else { "," };
        let version = format!("{{{}\"metadata\":{{\"resourceVersion\":\"{version}\"{comma}", form.head);
        out.extend_from_slice(version.as_bytes());
        if form.metadata_only {
            out.extend_from_slice(metadata.as_bytes());
            out.push(b'}');
        } else {
            out.extend_from_slice(&self.body.as_bytes()[METADATA.len() + 1..]);
        }
    }
}

impl Form {
    /// Returns the form of an item of a list of a built-in kind: neither kind nor version.
    pub(super) fn bare() -> Self {
        Form { head: String::new(), metadata_only: false }
    }

    /// Returns the form of an object that is asked for by its name, or watched.
    pub(super) fn whole(kind: &str, api_version: &str) -> Self {
        let head = format!("\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",");
        Form { head, metadata_only: false }
    }

    /// Returns the form of whatever is asked for without its content.
    pub(super) fn metadata_only() -> Self {
        Form { metadata_only: true, ..Self::whole("PartialObjectMetadata", "meta.k8s.io/v1") }
    }

    /// Returns what stands before the metadata: `"kind":"Pod","apiVersion":"v1",`.
    pub(super) fn head(&self) -> &str {
        &self.head
    }
}

/// Writes the fields of an object of JSON, without some of them.
fn push_fields(out: &mut String, object: &Map<String, Value>, without: &[&str]) {
    let mut separator = "";
    for (name, value) in object.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        out.extend([separator, &json(name), ":", &json(value)]);
        separator = ",";
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("JSON was read from JSON")
}

/// Returns the value at a path with points, as selectors compare it: text, empty when it is not there.
fn at(object: &Map<String, Value>, path: &str) -> String {
    let mut steps = path.split('.');
    let first = steps.next().and_then(|step| object.get(step));
    match steps.try_fold(first, |value, step| value.map(|value| value.get(step))).flatten() {
        Some(Value::String(text)) => text.clone(),
        // An event's source is the component that it is from, which newer events have in another place.
        Some(Value::Object(source)) if path == "source" => {
            let component = source.get("component").or_else(|| object.get("reportingComponent"));
            component.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        _ => String::new(),
    }
}
