//! What `kustomize build` does, as far as it is used here; anything else is an error.

use std::path::{Path, PathBuf};

use serde_yaml_ng::{Mapping, Value};

/// The resources of a folder, in the order of their files, before substitution.
pub(crate) fn build(folder: &Path) -> Result<Vec<Value>, String> {
    let mut resources = Vec::new();
    collect(folder, "Kustomization", &mut resources)?;
    Ok(resources)
}

/// The documents of a file, with line comments gone, as kustomize leaves them.
pub(crate) fn documents(file: &Path) -> Result<Vec<Value>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| {
            serde::Deserialize::deserialize(document)
                .map_err(|e: serde_yaml_ng::Error| format!("{}: {e}", file.display()))
        })
        .collect()
}

fn collect(folder: &Path, kind: &str, resources: &mut Vec<Value>) -> Result<(), String> {
    let file = folder.join("kustomization.yaml");
    let [Value::Mapping(body)] = &documents(&file)?[..] else {
        return Err(format!("{}: not one object", file.display()));
    };
    let version = if kind == "Component" { "v1alpha1" } else { "v1beta1" };
    if body["kind"] != *kind || body["apiVersion"] != *format!("kustomize.config.k8s.io/{version}") {
        return Err(format!("{}: not a {kind} of {version}", file.display()));
    }
    for name in strings(body, "resources")? {
        let path = inside(folder, &name)?;
        resources.extend(documents(&path)?);
    }
    for name in strings(body, "components")? {
        collect(&folder.join(name), "Component", resources)?;
    }
    for (key, value) in body {
        match key.as_str().unwrap_or_default() {
            "apiVersion" | "kind" | "resources" | "components" => {}
            "patches" => delete(value, resources)?,
            "namespace" => {
                for resource in resources.iter_mut() {
                    resource["metadata"]["namespace"] = value.clone();
                }
            }
            other => return Err(format!("{}: {other} is not built here", file.display())),
        }
    }
    Ok(())
}

/// Kustomize refuses files outside of the folder.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        Err(format!("{name}: outside of {}", folder.display()))
    } else {
        Ok(folder.join(name))
    }
}

/// Only patches that take one resource away.
fn delete(patches: &Value, resources: &mut Vec<Value>) -> Result<(), String> {
    for patch in patches.as_sequence().into_iter().flatten() {
        let text = patch["patch"].as_str().ok_or("a patch that is not text")?;
        let patch: Value = serde_yaml_ng::from_str(text).map_err(|e| e.to_string())?;
        if patch["$patch"] != "delete" {
            return Err(format!("a patch that does not delete: {text}"));
        }
        let before = resources.len();
        resources
            .retain(|r| r["kind"] != patch["kind"] || r["metadata"]["name"] != patch["metadata"]["name"]);
        if resources.len() + 1 != before {
            return Err(format!("a patch that does not find its resource: {text}"));
        }
    }
    Ok(())
}

fn strings(body: &Mapping, key: &str) -> Result<Vec<String>, String> {
    match body.get(key) {
        None => Ok(Vec::new()),
        Some(value) => serde_yaml_ng::from_value(value.clone()).map_err(|e| format!("{key}: {e}")),
    }
}
