//! Renders what one Flux Kustomization applies.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::builder::{Builder, Built};
use super::files::Files;
use super::object::{self, Item};
use super::rendered::{DEFAULT_NAMESPACE, Note};
use super::substitute::{Unresolved, substitute_within};
use super::variables::Given;

/// Renders the objects of a Kustomization with these variables, with the labels that Flux sets. `file` is where it was
/// found.
pub(super) fn apply(
    files: &Files,
    builder: &Builder<'_>,
    kustomization: &Value,
    given: &Given,
    file: Option<PathBuf>,
) -> Built {
    let shown = object::shown(kustomization);
    let file = file.map_or_else(|| PathBuf::from("."), |file| files.shown(&file));
    let path = kustomization["spec"]["path"].as_str().unwrap_or("./");
    let Some(folder) = files.find_path(path) else {
        let sentence = format!("{shown}: its path {path} is not in this tree");
        return Built { items: Vec::new(), notes: vec![Note { file, sentence, kind: None }] };
    };
    let mut built = builder.build(&folder, &more(kustomization));
    for (giver, why) in &given.missing {
        let note = match giver {
            Some(giver) => Note { file: files.shown(giver), sentence: why.clone(), kind: None },
            None => Note { file: file.clone(), sentence: format!("{shown}: {why}"), kind: None },
        };
        built.notes.push(note);
    }
    let by = [(LABEL_NAME, object::name(kustomization)), (LABEL_NAMESPACE, object::namespace(kustomization))];
    for item in &mut built.items {
        if given.is_asked {
            let left = substitute_within(&mut item.value, &given.variables, &files.growth);
            built.notes.extend(notes(files, item, &file, &left));
        }
        if !object::is_of_cluster(&item.value) && object::namespace(&item.value).is_empty() {
            object::set_meta(&mut item.value, "namespace", DEFAULT_NAMESPACE);
        }
        for (label, text) in by {
            object::set_mark(&mut item.value, "labels", label, text);
        }
    }
    built
}

/// Makes notes of what stayed as it is written in an object, at the file that it was read from.
fn notes(files: &Files, item: &Item, file: &Path, left: &[Unresolved]) -> Vec<Note> {
    let note = |left: &Unresolved| {
        let file = item.origin.as_ref().map_or_else(|| file.to_owned(), |origin| files.shown(&origin.file));
        let shown = object::shown(&item.value);
        let kind = item.value["kind"].as_str().map(str::to_owned);
        let sentence = format!("{} of {shown}: {} stays: {}", left.field, left.expression, left.why);
        Note { file, sentence, kind }
    };
    left.iter().map(note).collect()
}

/// Returns what Flux writes into the folder's kustomization file before it builds.
fn more(kustomization: &Value) -> Map<String, Value> {
    let spec = &kustomization["spec"];
    let mut more = Map::new();
    for (from, to) in
        [("targetNamespace", "namespace"), ("namePrefix", "namePrefix"), ("nameSuffix", "nameSuffix")]
    {
        if let Some(text) = spec[from].as_str().filter(|text| !text.is_empty()) {
            more.insert(to.to_owned(), Value::from(text));
        }
    }
    for field in ["components", "patches", "patchesStrategicMerge", "patchesJson6902"] {
        if let Some(values) = spec[field].as_array().filter(|values| !values.is_empty()) {
            more.insert(field.to_owned(), json!(values));
        }
    }
    more
}

/// Labels that name the Kustomization which applies an object.
const LABEL_NAME: &str = "kustomize.toolkit.fluxcd.io/name";
const LABEL_NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";
