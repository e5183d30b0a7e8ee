//! Makes ConfigMaps and Secrets that a kustomization file makes from texts and files, under their plain names.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::files::{Files, name_of};
use super::object::{self, Item};

/// Adds what one entry of `configMapGenerator` or `secretGenerator` in a file's body makes; with `behavior: merge` it goes into the one
/// that is there.
///
/// # Errors
/// One line: a file of it cannot be read.
pub(super) fn generate(
    files: &Files,
    folder: &Path,
    kind: &str,
    body: &Value,
    entry: &Value,
    items: &mut Vec<Item>,
) -> Result<(), String> {
    let name = entry["name"].as_str().ok_or("a generator has no name")?;
    let data = data(files, folder, entry)?;
    let field = if kind == "Secret" { "stringData" } else { "data" };
    let old = items
        .iter_mut()
        .find(|item| object::kind(&item.value) == kind && item.is_named(|named| named == name));
    match (old, entry["behavior"].as_str()) {
        (Some(old), Some("merge")) => {
            if let Some(fields) = old.value[field].as_object_mut() {
                fields.extend(data);
            } else {
                old.value[field] = Value::Object(data);
            }
        }
        (Some(old), Some("replace")) => old.value[field] = Value::Object(data),
        _ => {
            let mut made = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data});
            if let Some(namespace) = entry["namespace"].as_str() {
                object::set_meta(&mut made, "namespace", namespace);
            }
            for options in [&body["generatorOptions"], &entry["options"]] {
                object::set_marks(&mut made, "labels", &options["labels"]);
                object::set_marks(&mut made, "annotations", &options["annotations"]);
            }
            items.push(Item::new(made, None));
        }
    }
    Ok(())
}

fn data(files: &Files, folder: &Path, entry: &Value) -> Result<Map<String, Value>, String> {
    let strings = |field: &str| -> Vec<&str> {
        entry[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let mut data = Map::new();
    for named in strings("files") {
        let (key, path) = named.split_once('=').unwrap_or(("", named));
        let path = files.resolve(folder, path)?;
        let key = if key.is_empty() { name_of(&path) } else { key.to_owned() };
        let bytes = files.bytes(&path).map_err(|why| format!("{named}: {why}"))?;
        // What is no text is of no use as a variable, but the key is there.
        let text = String::from_utf8(bytes).unwrap_or_else(|no_text| STANDARD.encode(no_text.as_bytes()));
        data.insert(key, Value::from(text));
    }
    for named in strings("envs").into_iter().chain(entry["env"].as_str()) {
        let path = files.resolve(folder, named)?;
        let text = files.text(&path).map_err(|why| format!("{named}: {why}"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        data.extend(
            lines
                .filter_map(|line| line.split_once('='))
                .map(|(key, text)| (key.to_owned(), Value::from(text))),
        );
    }
    for literal in strings("literals") {
        let (key, text) = literal.split_once('=').ok_or("a literal has no =")?;
        let bare = [('"', '"'), ('\'', '\'')]
            .iter()
            .find_map(|(open, close)| text.strip_prefix(*open).and_then(|text| text.strip_suffix(*close)));
        data.insert(key.to_owned(), Value::from(bare.unwrap_or(text)));
    }
    Ok(data)
}
