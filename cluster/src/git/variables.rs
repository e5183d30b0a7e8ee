//! Finds where variables come from: `postBuild` of a Flux Kustomization, and the ConfigMaps and Secrets that it names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::object;
use super::substitute::Variables;
use super::yaml::Parsed;

/// ConfigMaps and Secrets that may give variables.
#[derive(Default)]
pub(super) struct Givers {
    /// Objects as they lie in the tree, by kind and name: their folders may still give them another namespace.
    written: HashMap<(String, String), Vec<Written>>,
    /// Objects as builds have made them, by kind, namespace and name.
    built: HashMap<(String, String, String), Value>,
}

struct Written {
    namespace: String,
    parsed: Rc<Parsed>,
    index: usize,
    file: PathBuf,
}

/// The variables of a Kustomization, and what could not be read of them.
#[derive(Default, PartialEq)]
pub(super) struct Given {
    pub(super) variables: Variables,
    /// The sentences about what could not be read, each with a file, where one is known.
    pub(super) missing: Vec<(Option<PathBuf>, String)>,
    /// Whether Flux substitutes at all: without `postBuild` everything stays as it is written.
    pub(super) is_asked: bool,
}

impl Givers {
    /// Remembers a document of a file when it is of such a kind.
    pub(super) fn write(&mut self, parsed: &Rc<Parsed>, index: usize, file: &std::path::Path) {
        let Some(value) = parsed.documents.get(index).filter(|value| is_giver(value)) else { return };
        let key = (object::kind(value).to_owned(), object::name(value).to_owned());
        let namespace = object::namespace(value).to_owned();
        let written = Written { namespace, parsed: Rc::clone(parsed), index, file: file.to_owned() };
        self.written.entry(key).or_default().push(written);
    }

    /// Remembers what a build has made, when it is of such a kind; returns whether that is news.
    pub(super) fn build(&mut self, value: &Value) -> bool {
        if !is_giver(value) {
            return false;
        }
        let own = |text: &str| text.to_owned();
        let key = (own(object::kind(value)), own(object::namespace(value)), own(object::name(value)));
        let is_known = self.built.get(&key).is_some_and(|known| data_of(known) == data_of(value));
        if !is_known {
            self.built.insert(key, value.clone());
        }
        !is_known
    }

    /// Returns the variables of a Kustomization. What it says itself wins over what it names; of those the last.
    pub(super) fn given(&self, kustomization: &Value) -> Given {
        let after = &kustomization["spec"]["postBuild"];
        let (own, named) = (after["substitute"].as_object(), after["substituteFrom"].as_array());
        let is_asked = own.is_some_and(|own| !own.is_empty()) || named.is_some_and(|named| !named.is_empty());
        let mut given = Given { is_asked, ..Given::default() };
        for reference in named.into_iter().flatten() {
            self.take(reference, object::namespace(kustomization), &mut given);
        }
        for (name, value) in own.into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            given.variables.insert(name.clone(), on_one_line(&text));
        }
        given
    }

    fn take(&self, reference: &Value, namespace: &str, given: &mut Given) {
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let (kind, name) = (text("kind"), text("name"));
        let left = "what only it gives stays as it is written";
        match self.find(kind, namespace, name) {
            Some((value, file)) if !value["sops"].is_null() => {
                given.missing.push((file, format!("the {kind} {name} is encrypted: {left}")));
            }
            Some((value, _)) => given.variables.extend(values(value)),
            None if reference["optional"] == true => {}
            None => given.missing.push((
                None,
                format!("the {kind} {name} that it takes variables from is not in this tree: {left}"),
            )),
        }
    }

    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<(&Value, Option<PathBuf>)> {
        let written = self.written.get(&(kind.to_owned(), name.to_owned()));
        let of = |wanted: &str| written?.iter().find(|of| of.namespace == wanted);
        let file = || of(namespace).or_else(|| of("")).map(|of| of.file.clone());
        let key = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        if let Some(value) = self.built.get(&key) {
            return Some((value, file()));
        }
        let found = of(namespace).or_else(|| of(""))?;
        Some((found.parsed.documents.get(found.index)?, Some(found.file.clone())))
    }
}

/// Returns what of an object counts for variables.
fn data_of(value: &Value) -> [&Value; 3] {
    [&value["data"], &value["stringData"], &value["sops"]]
}

fn is_giver(value: &Value) -> bool {
    matches!(object::kind(value), "ConfigMap" | "Secret") && object::group(value).is_empty()
}

fn values(value: &Value) -> Variables {
    let is_secret = object::kind(value) == "Secret";
    let mut variables = Variables::new();
    for (field, is_encoded) in [("data", is_secret), ("stringData", false)] {
        for (name, value) in value[field].as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let decoded = || String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok();
            if let Some(text) = if is_encoded { decoded() } else { Some(text.clone()) } {
                variables.insert(name.clone(), on_one_line(&text));
            }
        }
    }
    variables
}

/// Takes line ends out of a value, as Flux does.
fn on_one_line(text: &str) -> String {
    text.replace('\n', "")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::git::yaml;

    #[test]
    fn own_values_win_and_the_last_of_the_named() {
        let text = "
{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: flux-system}, data: {A: '1', B: '1', C: \"x\\ny\"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: b}, data: {A: Mg==, D: '*'}, stringData: {E: e}}
---
{apiVersion: v1, kind: Secret, metadata: {name: c, namespace: flux-system}, stringData: {F: ENC}, sops: {}}";
        let parsed = Rc::new(yaml::parse(text));
        let mut givers = Givers::default();
        (0..3).for_each(|index| givers.write(&parsed, index, Path::new("x.yaml")));
        let from = json!([{"kind": "ConfigMap", "name": "a"}, {"kind": "Secret", "name": "b"},
            {"kind": "Secret", "name": "c"}, {"kind": "Secret", "name": "d", "optional": true},
            {"kind": "Secret", "name": "e"}]);
        let kustomization = json!({"metadata": {"namespace": "flux-system"},
            "spec": {"postBuild": {"substituteFrom": from, "substitute": {"B": "own", "N": 5}}}});
        let given = givers.given(&kustomization);
        let expected = [("A", "2"), ("B", "own"), ("C", "xy"), ("E", "e"), ("N", "5")];
        assert_eq!(given.variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(given.missing.len(), 2);
        assert!(given.missing[0].1.contains("encrypted") && given.missing[1].1.contains("not in this tree"));
        assert!(!givers.given(&json!({"spec": {}})).is_asked);
    }
}
