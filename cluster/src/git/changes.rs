//! Makes the changes that a kustomization file makes to its objects: patches, namespace, names, labels and annotations.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::files::{Files, OUTSIDE};
use super::object::{self, Item};
use super::patch::{self, Patch};
use super::target::Selector;

/// The changes to the objects of one folder.
pub(super) struct Changes<'a> {
    files: &'a Files,
    folder: &'a Path,
    /// Sentences about what could not be done, one line each.
    pub(super) faults: Vec<String>,
    /// Whether something was left out that another program may know.
    pub(super) is_short: bool,
    /// Whether a patch lies outside of the tree.
    pub(super) is_unsafe: bool,
}

impl<'a> Changes<'a> {
    pub(super) fn new(files: &'a Files, folder: &'a Path) -> Self {
        Changes { files, folder, faults: Vec::new(), is_short: false, is_unsafe: false }
    }

    /// Changes all objects as the body of a kustomization file says.
    pub(super) fn apply(&mut self, body: &Value, items: &mut Vec<Item>) {
        for field in ["patchesStrategicMerge", "patches"] {
            self.patches(&body[field], items);
        }
        if let Some(namespace) = body["namespace"].as_str().filter(|namespace| !namespace.is_empty()) {
            items.iter_mut().for_each(|item| set_namespace(&mut item.value, namespace));
        }
        let text = |field: &str| body[field].as_str().unwrap_or_default();
        rename(items, text("namePrefix"), text("nameSuffix"));
        // Only on the objects themselves: selectors of pods are none of our business. But Flux looks at them.
        let lists = body["labels"].as_array().into_iter().flatten().map(|entry| ("labels", &entry["pairs"]));
        let common = [("labels", &body["commonLabels"]), ("annotations", &body["commonAnnotations"])];
        for (field, marks) in common.into_iter().chain(lists) {
            items.iter_mut().for_each(|item| object::set_marks(&mut item.value, field, marks));
        }
        self.patches(&body["patchesJson6902"], items);
    }

    fn patches(&mut self, list: &Value, items: &mut Vec<Item>) {
        for entry in list.as_array().into_iter().flatten() {
            if let Err(why) = self.patch(entry, items) {
                self.is_short = true;
                self.faults.push(why);
            }
        }
    }

    fn patch(&mut self, entry: &Value, items: &mut Vec<Item>) -> Result<(), String> {
        let selector = match &entry["target"] {
            Value::Null => None,
            target => Some(Selector::new(target)?),
        };
        for patch in self.read(entry)? {
            // Each object that is changed may take a copy of the patch.
            let copies = if selector.is_some() { items.len() } else { 1 };
            if !self.files.spend(patch.length().saturating_mul(copies)) {
                return Err("the patches are too long for so many objects".to_owned());
            }
            patch.apply(items, selector.as_ref())?;
        }
        Ok(())
    }

    fn read(&mut self, entry: &Value) -> Result<Vec<Patch>, String> {
        // A name of a file, or the patch itself: the old list holds both.
        if let Some(text) = entry.as_str() {
            return if text.contains('\n') { patch::parse(text) } else { self.read_file(text) };
        }
        match (&entry["patch"], entry["path"].as_str()) {
            (Value::String(text), _) => patch::parse(text),
            (Value::Null, Some(path)) => self.read_file(path),
            (Value::Null, None) if entry["target"].is_null() => {
                patch::of_value(entry.clone()).map(|one| vec![one])
            }
            (Value::Null, None) => Err("a patch has neither text nor path".to_owned()),
            (value, _) => patch::of_value(value.clone()).map(|one| vec![one]),
        }
    }

    fn read_file(&mut self, name: &str) -> Result<Vec<Patch>, String> {
        if self.files.is_remote(name) {
            return Err(format!("{name} is fetched from elsewhere, and not rendered here"));
        }
        let path = self
            .files
            .resolve(self.folder, name)
            .inspect_err(|why| self.is_unsafe |= why.ends_with(OUTSIDE))?;
        let text = self.files.text(&path).map_err(|why| format!("{name}: {why}"))?;
        patch::parse(&text).map_err(|why| format!("{name}: {why}"))
    }
}

/// Sets the namespace of an object. A Namespace takes the name: people write one for all their namespaces, under any
/// name.
fn set_namespace(value: &mut Value, namespace: &str) {
    if object::kind(value) == "Namespace" && object::group(value).is_empty() {
        object::set_meta(value, "name", namespace);
    } else if !object::is_of_cluster(value) {
        object::set_meta(value, "namespace", namespace);
    }
}

/// Renames objects, and the claims that pods mount with them.
fn rename(items: &mut [Item], prefix: &str, suffix: &str) {
    if prefix.is_empty() && suffix.is_empty() {
        return;
    }
    let mut claims = HashMap::new();
    for item in items.iter_mut().filter(|item| !is_never_renamed(&item.value)) {
        let old = object::name(&item.value).to_owned();
        let new = format!("{prefix}{old}{suffix}");
        object::set_meta(&mut item.value, "name", &new);
        item.former_names.push(old);
        if object::kind(&item.value) == "PersistentVolumeClaim" {
            claims.extend(item.former_names.iter().map(|former| (former.clone(), new.clone())));
        }
    }
    for item in items {
        for path in
            ["/spec/volumes", "/spec/template/spec/volumes", "/spec/jobTemplate/spec/template/spec/volumes"]
        {
            let volumes = item.value.pointer_mut(path).and_then(Value::as_array_mut);
            for volume in volumes.into_iter().flatten() {
                let Some(named) = volume.pointer_mut("/persistentVolumeClaim/claimName") else { continue };
                if let Some(new) = named.as_str().and_then(|name| claims.get(name)) {
                    *named = Value::from(new.as_str());
                }
            }
        }
    }
}

fn is_never_renamed(value: &Value) -> bool {
    ["CustomResourceDefinition", "Namespace", "APIService"].contains(&object::kind(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_keep_their_pods() {
        let pod = json!({"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}});
        let claim = json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}});
        let mut items = [pod, claim].map(|value| Item::new(value, None));
        rename(&mut items, "a-", "");
        rename(&mut items, "", "-b");
        assert_eq!(items[0].value["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "a-data-b");
        assert_eq!(items[1].value["metadata"]["name"], "a-data-b");
        assert!(items[1].is_named(|name| name == "data"));
    }

    #[test]
    fn a_namespace_takes_the_name() {
        let mut value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "any"}});
        set_namespace(&mut value, "media");
        assert_eq!(value["metadata"], json!({"name": "media"}));
    }
}
