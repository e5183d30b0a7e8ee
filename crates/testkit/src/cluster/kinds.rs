//! Knows which kinds there are, and under which paths their objects are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::answers::discovery;

/// A resource: the name of its group (empty for the core) and its plural, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) plural: String,
}

/// The facts about a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) namespaced: bool,
    pub(super) versions: Vec<String>,
}

/// All resources: those of the recorded discovery, and those of objects that were shown.
pub(super) struct Kinds {
    kinds: BTreeMap<Arc<Resource>, Kind>,
    /// The resource of an object by `apiVersion` and kind, as an object is found in no other way.
    of_objects: HashMap<(String, String), Arc<Resource>>,
}

impl Resource {
    /// Whether the resource is defined by a CustomResourceDefinition rather than built in.
    pub(super) fn is_custom(&self) -> bool {
        let built_in = !self.group.contains('.')
            || self.group.ends_with(".k8s.io") && !self.group.starts_with("snapshot.");
        !built_in
    }

    /// Returns the name with its group, as messages have it: `replicationdestinations.volsync.backube`.
    pub(super) fn with_group(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// Returns `GROUP/VERSION`, or the version alone for the core.
pub(super) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

impl Kinds {
    /// Returns the kinds of the recorded discovery.
    pub(super) fn recorded() -> Self {
        let mut kinds = Kinds { kinds: BTreeMap::new(), of_objects: HashMap::new() };
        for (path, document) in discovery().as_object().into_iter().flatten() {
            let Some(api_version) = path.strip_prefix("/apis/").or(path.strip_prefix("/api/")) else {
                continue;
            };
            for resource in document["resources"].as_array().into_iter().flatten() {
                kinds.add_recorded(api_version, resource);
            }
        }
        kinds
    }

    fn add_recorded(&mut self, api_version: &str, resource: &Value) {
        let text = |field: &str| resource[field].as_str().unwrap_or_default().to_owned();
        let listed = resource["verbs"].as_array().is_some_and(|verbs| verbs.contains(&Value::from("list")));
        // Subresources, and what can only be created, have no objects of their own.
        if listed && !text("name").contains('/') {
            self.add(api_version, text("name"), text("kind"), resource["namespaced"] == true);
        }
    }

    fn add(&mut self, api_version: &str, plural: String, kind: String, namespaced: bool) -> Arc<Resource> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = Arc::new(Resource { group: group.to_owned(), plural });
        self.of_objects.insert((api_version.to_owned(), kind.clone()), Arc::clone(&resource));
        let known = self.kinds.entry(Arc::clone(&resource));
        let known = known.or_insert_with(|| Kind { name: kind, namespaced, versions: Vec::new() });
        known.versions.push(version.to_owned());
        resource
    }

    /// Returns the resource of an object of this kind; one that discovery does not have is made known.
    pub(super) fn of_object(&mut self, api_version: &str, kind: &str, namespaced: bool) -> Arc<Resource> {
        let known = self.of_objects.get(&(api_version.to_owned(), kind.to_owned())).map(Arc::clone);
        known.unwrap_or_else(|| self.add(api_version, plural(kind), kind.to_owned(), namespaced))
    }

    /// Returns what is known about a resource, if this version of it is served.
    pub(super) fn get(&self, resource: &Resource, version: &str) -> Option<&Kind> {
        self.kinds.get(resource).filter(|kind| kind.versions.iter().any(|served| served == version))
    }
}

/// Returns the plural of a kind by the rules of English, which are Kubernetes' own for generated names.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    if ["s", "x", "ch", "sh"].iter().any(|end| kind.ends_with(end)) {
        return format!("{kind}es");
    }
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{kind}s"),
    }
}
