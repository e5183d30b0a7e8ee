//! Changes objects as kustomize's patches say: strategic merge and JSON patches (RFC 6902).

use serde_json::{Map, Value, json};

use super::object::{self, Item};
use super::target::Selector;
use super::yaml;

/// A change of objects.
pub(super) enum Patch {
    /// An object that is laid over others.
    Merge(Value),
    /// A list of operations.
    Operations(Vec<Value>),
}

/// Reads the patches of a text: several documents, or one list of operations.
///
/// # Errors
/// One line: it is no patch.
pub(super) fn parse(text: &str) -> Result<Vec<Patch>, String> {
    let parsed = yaml::parse(text);
    match parsed.faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => parsed.documents.into_iter().map(of_value).collect(),
    }
}

/// Reads a patch that is written as a value.
///
/// # Errors
/// One line: it is no patch.
pub(super) fn of_value(value: Value) -> Result<Patch, String> {
    match value {
        Value::Array(operations) => Ok(Patch::Operations(operations)),
        Value::Object(_) => Ok(Patch::Merge(value)),
        _ => Err("a patch is neither an object nor a list of operations".to_owned()),
    }
}

impl Patch {
    /// Returns how long the patch is as text.
    pub(super) fn length(&self) -> usize {
        match self {
            Patch::Merge(value) => value.to_string().len(),
            Patch::Operations(values) => values.iter().map(|value| value.to_string().len()).sum(),
        }
    }

    /// Changes the objects that are meant: those of the selector, or the one whose kind and name the patch bears.
    ///
    /// # Errors
    /// One line: it fits none, or an operation is impossible.
    pub(super) fn apply(&self, items: &mut Vec<Item>, selector: Option<&Selector>) -> Result<(), String> {
        match (self, selector) {
            (Patch::Operations(_), None) => Err("a JSON patch has no target".to_owned()),
            (Patch::Operations(operations), Some(selector)) => {
                for item in items.iter_mut().filter(|item| selector.is_for(item)) {
                    // All or nothing: half a patch would be neither what was nor what is wanted.
                    let mut changed = item.value.clone();
                    for operation in operations {
                        operate(&mut changed, operation)
                            .map_err(|why| format!("a patch of {}: {why}", object::shown(&item.value)))?;
                    }
                    item.value = changed;
                }
                Ok(())
            }
            (Patch::Merge(patch), selector) => {
                let is_meant =
                    |item: &Item| selector.map_or_else(|| is_same(patch, item), |of| of.is_for(item));
                if selector.is_none() && !items.iter().any(is_meant) {
                    return Err(format!("a patch finds no {}", object::shown(patch)));
                }
                if patch["$patch"] == "delete" {
                    items.retain(|item| !is_meant(item));
                }
                let patch = without_identity(patch);
                for item in items.iter_mut().filter(|item| is_meant(item)) {
                    let is_of_kubernetes = is_of_kubernetes(&item.value);
                    merge(&mut item.value, &patch, is_of_kubernetes);
                }
                Ok(())
            }
        }
    }
}

/// Whether a patch without target is for this object.
fn is_same(patch: &Value, item: &Item) -> bool {
    let namespace = object::namespace(patch);
    object::kind(patch) == object::kind(&item.value)
        && object::group(patch) == object::group(&item.value)
        && item.is_named(|name| name == object::name(patch))
        && (namespace.is_empty() || namespace == object::namespace(&item.value))
}

/// Returns a patch without kind and name, which it changes neither; with a target it bears any.
fn without_identity(patch: &Value) -> Value {
    let mut patch = patch.clone();
    if let Some(fields) = patch.as_object_mut() {
        fields.retain(|field, _| field != "kind" && field != "apiVersion");
        if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.retain(|field, _| field != "name" && field != "namespace");
        }
    }
    patch
}

/// Whether kustomize knows the kind: then lists of named objects are merged by name; elsewhere they are replaced.
fn is_of_kubernetes(value: &Value) -> bool {
    let group = object::group(value);
    !group.contains('.') || group.ends_with(".k8s.io") && !group.contains("snapshot")
}

/// Lays a patch over a value. Its depth is that of a parsed document, which is bounded.
fn merge(value: &mut Value, patch: &Value, by_name: bool) {
    let Value::Object(fields) = patch else {
        *value = patch.clone();
        return;
    };
    if fields.get("$patch").is_some_and(|how| how == "replace") || !value.is_object() {
        *value = json!({});
    }
    let Value::Object(into) = value else { return };
    for (key, patch) in fields.iter().filter(|(key, _)| !key.starts_with('$')) {
        if patch.is_null() || patch["$patch"] == "delete" {
            into.remove(key);
            continue;
        }
        let old = into.entry(key.clone()).or_insert(Value::Null);
        match (old.as_array_mut(), patch.as_array()) {
            (Some(old), Some(new)) if by_name && are_named(old) && are_named(new) => merge_named(old, new),
            _ => merge(old, patch, by_name),
        }
    }
}

fn are_named(values: &[Value]) -> bool {
    !values.is_empty() && values.iter().all(|value| value["name"].is_string())
}

fn merge_named(old: &mut Vec<Value>, new: &[Value]) {
    for patch in new {
        let place = old.iter().position(|value| value["name"] == patch["name"]);
        match place {
            Some(place) if patch["$patch"] == "delete" => {
                old.remove(place);
            }
            Some(place) => merge(&mut old[place], patch, true),
            None => old.push(patch.clone()),
        }
    }
}

/// Does one operation of a JSON patch.
fn operate(value: &mut Value, operation: &Value) -> Result<(), String> {
    let path = operation["path"].as_str().ok_or("an operation has no path")?;
    let steps: Vec<String> =
        path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    if steps.len() > MOST_STEPS {
        return Err(format!("a path has more than {MOST_STEPS} steps"));
    }
    let Some((last, steps)) = steps.split_last() else {
        return Err("an operation is for the whole object".to_owned());
    };
    let mut parent = value;
    for step in steps {
        parent = child(parent, step).ok_or_else(|| format!("{path} is not there"))?;
    }
    let new = operation["value"].clone();
    let absent = || format!("{path} is not there");
    match operation["op"].as_str().unwrap_or_default() {
        "add" => add(parent, last, new).ok_or_else(absent),
        "replace" => child(parent, last).map(|old| *old = new).ok_or_else(absent),
        "remove" => remove(parent, last).ok_or_else(absent),
        "test" if child(parent, last).is_some_and(|old| *old == new) => Ok(()),
        "test" => Err(format!("{path} is not what the patch tests for")),
        other => Err(format!("the operation {other} is not done here")),
    }
}

fn child<'a>(parent: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match parent {
        Value::Object(fields) => fields.get_mut(step),
        Value::Array(values) => values.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn add(parent: &mut Value, step: &str, new: Value) -> Option<()> {
    match parent {
        Value::Object(fields) => {
            fields.insert(step.to_owned(), new);
        }
        Value::Array(values) if step == "-" => values.push(new),
        Value::Array(values) => {
            let place = step.parse::<usize>().ok().filter(|place| *place <= values.len())?;
            values.insert(place, new);
        }
        _ => return None,
    }
    Some(())
}

fn remove(parent: &mut Value, step: &str) -> Option<()> {
    match parent {
        Value::Object(fields) => drop(Map::remove(fields, step)?),
        Value::Array(values) => {
            let place = step.parse::<usize>().ok().filter(|place| *place < values.len())?;
            values.remove(place);
        }
        _ => return None,
    }
    Some(())
}

/// Steps of a path at most: patches would otherwise nest values without end.
const MOST_STEPS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let objects = [
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 1,
                "containers": [{"name": "x", "image": "1"}, {"name": "y"}]}}),
            json!({"apiVersion": "volsync.backube/v1alpha1", "kind": "ReplicationSource", "metadata": {"name": "b"},
                "spec": {"list": [{"name": "x"}], "trigger": {"schedule": "1"}}}),
        ];
        objects.map(|object| Item::new(object, None)).into()
    }

    fn patched(text: &str, target: Option<Value>) -> Result<Vec<Value>, String> {
        let (mut items, selector) = (items(), target.map(|target| Selector::new(&target)).transpose()?);
        for patch in parse(text)? {
            patch.apply(&mut items, selector.as_ref())?;
        }
        Ok(items.into_iter().map(|item| item.value).collect())
    }

    #[test]
    fn merges() -> Result<(), String> {
        let of_deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}";
        let text = format!(
            "{of_deployment}, spec: {{replicas: null, n: {{m: 1}}, containers: [{{name: x, image: '2'}}]}}}}"
        );
        let spec = &patched(&text, None)?[0]["spec"];
        assert_eq!(*spec, json!({"n": {"m": 1}, "containers": [{"name": "x", "image": "2"}, {"name": "y"}]}));
        assert_eq!(patched(&format!("{of_deployment}, $patch: delete}}"), None)?.len(), 1);
        let text = "{apiVersion: x, kind: any, metadata: {name: not-used}, spec: {list: [{name: z}]}}";
        let all = patched(text, Some(json!({"kind": "ReplicationSource"})))?;
        assert_eq!(all[1]["spec"], json!({"list": [{"name": "z"}], "trigger": {"schedule": "1"}}));
        assert_eq!(all[1]["metadata"]["name"], "b");
        assert_eq!(all[0], items()[0].value);
        let text = "{spec: {trigger: {$patch: delete}, list: {$patch: replace, q: 1}}}";
        assert_eq!(patched(text, Some(json!({"name": "b"})))?[1]["spec"], json!({"list": {"q": 1}}));
        assert!(patched("{apiVersion: v1, kind: Pod, metadata: {name: a}}", None).is_err());
        Ok(())
    }

    #[test]
    fn operations() -> Result<(), String> {
        let target = || Some(json!({"group": "volsync.backube", "kind": "Replication.*"}));
        let text = "
- {op: test, path: /spec/trigger/schedule, value: '1'}
- {op: replace, path: /spec/trigger/schedule, value: '2'}
- {op: add, path: /spec/list/-, value: {name: y}}
- {op: add, path: /spec/list/0, value: {name: w}}
- {op: remove, path: /spec/list/1}
- {op: add, path: /metadata/labels, value: {}}
- {op: add, path: /metadata/labels/a~1b, value: c}";
        let changed = &patched(text, target())?[1];
        assert_eq!(
            changed["spec"],
            json!({"list": [{"name": "w"}, {"name": "y"}], "trigger": {"schedule": "2"}})
        );
        assert_eq!(changed["metadata"]["labels"], json!({"a/b": "c"}));
        for bad in
            ["replace, path: /a/b", "remove, path: /a", "test, path: /a", "move, path: /a", "add, path: ''"]
        {
            assert!(patched(&format!("[{{op: {bad}}}]"), target()).is_err(), "{bad}");
        }
        assert!(patched("[{op: remove, path: /spec}]", None).is_err());
        Ok(())
    }
}
