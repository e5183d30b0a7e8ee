//! Holds what a cluster holds at one version, and how it came from what it held before.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::{Kinds, Resource};
use super::object::Object;

/// The objects of one resource: `namespace/name`, or `name` alone, → object. This is also the order of lists.
pub(super) type Objects = BTreeMap<String, Arc<Object>>;

/// All objects at one version.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents(BTreeMap<Arc<Resource>, Arc<Objects>>);

/// A change of an object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: String,
    pub(super) old: Option<Arc<Object>>,
    pub(super) new: Option<Arc<Object>>,
}

/// Returns the key of an object.
pub(super) fn key(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// Returns the keys of a namespace, or all; from `start` on, if there is one.
pub(super) fn keys(namespace: Option<&str>, start: Option<String>) -> (Bound<String>, Bound<String>) {
    let Some(namespace) = namespace else {
        return (start.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded);
    };
    let first = format!("{namespace}/");
    // The character after the slash ends the namespace; no key may be asked for that lies outside of it.
    let end = format!("{namespace}0");
    let start = start.filter(|start| *start > first && *start < end).unwrap_or(first);
    (Bound::Included(start), Bound::Excluded(end))
}

impl Contents {
    /// Returns the objects of a resource.
    pub(super) fn of(&self, resource: &Resource) -> Arc<Objects> {
        self.0.get(resource).map(Arc::clone).unwrap_or_default()
    }

    /// Returns the contents that consist of these objects, unchanged ones as they were, and all that changed: resource
    /// → changes. Each change makes a version; `version` is the newest so far.
    pub(super) fn replaced(
        &self,
        objects: &[Value],
        kinds: &mut Kinds,
        version: &mut u64,
    ) -> (Contents, BTreeMap<Arc<Resource>, Vec<Change>>) {
        let mut all = sorted(objects, kinds);
        let resources: BTreeSet<Arc<Resource>> = self.0.keys().chain(all.keys()).map(Arc::clone).collect();
        let mut contents = Contents::default();
        let mut changes = BTreeMap::new();
        for resource in resources {
            let new = all.remove(&resource).unwrap_or_default();
            let (objects, changed) = difference(&self.of(&resource), new, version);
            if !objects.is_empty() {
                contents.0.insert(Arc::clone(&resource), Arc::new(objects));
            }
            changes.insert(resource, changed);
        }
        (contents, changes)
    }
}

/// Returns the objects by resource and key.
///
/// # Panics
/// When one has no kind, version or name.
fn sorted(objects: &[Value], kinds: &mut Kinds) -> BTreeMap<Arc<Resource>, BTreeMap<String, Object>> {
    let mut all: BTreeMap<_, BTreeMap<String, Object>> = BTreeMap::new();
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(api_version), Some(kind), Some(name)) =
            (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            panic!("an object needs apiVersion, kind and metadata.name: {object}");
        };
        let namespace = text("/metadata/namespace");
        let resource = kinds.of_object(api_version, kind, namespace.is_some());
        let object = Object::new(object.as_object().expect("it has fields"), &resource);
        all.entry(resource).or_default().insert(key(namespace, name), object);
    }
    all
}

fn difference(old: &Objects, new: BTreeMap<String, Object>, version: &mut u64) -> (Objects, Vec<Change>) {
    let (mut objects, mut changes) = (Objects::new(), Vec::new());
    let mut change = |key: &str, old: Option<&Arc<Object>>, new: Option<Object>| {
        *version += 1;
        let new = new.map(|object| Arc::new(object.at(*version)));
        let (key, old) = (key.to_owned(), old.map(Arc::clone));
        changes.push(Change { version: *version, key, old, new: new.clone() });
        new
    };
    for (key, object) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        change(key, Some(object), None);
    }
    for (key, object) in new {
        let before = old.get(&key);
        let after = match before {
            Some(before) if before.same(&object) => Some(Arc::clone(before)),
            Some(before) if before.uid == object.uid => change(&key, Some(before), Some(object)),
            // An object that was made again under the same name is another one.
            Some(before) => {
                change(&key, Some(before), None);
                change(&key, None, Some(object))
            }
            None => change(&key, None, Some(object)),
        };
        objects.extend(after.map(|object| (key, object)));
    }
    (objects, changes)
}
