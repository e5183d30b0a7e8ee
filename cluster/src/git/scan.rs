//! Looks through a tree for what Flux starts from: its Kustomizations, sources, ConfigMaps and Secrets.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use serde_json::Value;

use super::files::{Below, Files};
use super::object::{self, Item, Origin};
use super::rendered::Note;
use super::variables::Givers;

/// The objects of a tree that Flux starts from.
pub(super) struct Scan {
    /// Flux Kustomizations as they are written; those nearest to the root first, since they lead to the others.
    pub(super) kustomizations: Vec<(Origin, Value)>,
    pub(super) givers: Givers,
    pub(super) notes: Vec<Note>,
    sources: Sources,
}

/// Repositories by kind and name, with their addresses.
type Sources = HashMap<(String, String), String>;

impl Scan {
    /// Reads the manifests of a tree. Only what matters here is parsed; the others are read when a build names them.
    pub(super) fn new(files: &Files, below: &Below) -> Self {
        let mut scan = Scan {
            kustomizations: Vec::new(),
            givers: Givers::default(),
            notes: Vec::new(),
            sources: Sources::new(),
        };
        for folder in &below.unread {
            scan.notes.push(Note {
                file: files.shown(folder),
                sentence: "the folder cannot be read".to_owned(),
                kind: None,
            });
        }
        for path in &below.files {
            if let Err(why) = scan.file(files, path) {
                scan.notes.push(Note { file: files.shown(path), sentence: why, kind: None });
            }
        }
        scan.kustomizations.sort_by_key(|(origin, _)| origin.file.components().count());
        scan
    }

    fn file(&mut self, files: &Files, path: &Path) -> Result<(), String> {
        let Ok(text) = files.text(path) else { return Ok(()) };
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if !has(&["toolkit.fluxcd.io", "ConfigMap", "Secret"]) {
            return Ok(());
        }
        let (parsed, shared) = (files.keep(path, &text), Rc::from(path));
        for (index, value) in parsed.documents.iter().enumerate() {
            self.givers.write(&parsed, index, path);
            if object::is_flux_kustomization(value) {
                let origin = Origin { file: Rc::clone(&shared), index };
                self.kustomizations.push((origin, value.clone()));
            } else if object::group(value) == "source.toolkit.fluxcd.io" {
                let url = value["spec"]["url"].as_str().unwrap_or_default();
                let key = (object::kind(value).to_owned(), object::name(value).to_owned());
                self.sources.insert(key, url.trim_end_matches(".git").to_owned());
            }
        }
        if parsed.documents.is_empty() && has(&["kind: Kustomization"]) {
            return parsed.faults.first().map_or(Ok(()), |fault| Err(fault.clone()));
        }
        Ok(())
    }

    /// Returns which documents a built Kustomization comes from. A program does not say: those of its name and path,
    /// then.
    pub(super) fn written_as(&self, item: &Item) -> Vec<Origin> {
        if let Some(origin) = &item.origin {
            return vec![origin.clone()];
        }
        let is_it = |value: &Value| {
            item.is_named(|name| name == object::name(value))
                && value["spec"]["path"] == item.value["spec"]["path"]
        };
        let alike = self.kustomizations.iter().filter(|(_, value)| is_it(value));
        alike.map(|(origin, _)| origin.clone()).collect()
    }

    /// Returns the source that most Kustomizations come from: this tree, as far as can be known.
    pub(super) fn main_source(&self) -> (String, String) {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (_, kustomization) in &self.kustomizations {
            *counts.entry(source_of(kustomization)).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(source, _)| source).unwrap_or_default()
    }

    /// Whether a Kustomization comes from another repository than `main`. Two names may mean one repository.
    pub(super) fn is_from_elsewhere(&self, kustomization: &Value, main: &(String, String)) -> bool {
        let source = source_of(kustomization);
        if source == *main || source.1.is_empty() {
            return false;
        }
        let differ = |(url, of_main): (&String, &String)| url != of_main;
        source.0 != main.0 || self.sources.get(&source).zip(self.sources.get(main)).is_some_and(differ)
    }
}

/// Returns kind and name of a Kustomization's source.
pub(super) fn source_of(kustomization: &Value) -> (String, String) {
    let text =
        |field: &str| kustomization["spec"]["sourceRef"][field].as_str().unwrap_or_default().to_owned();
    (text("kind"), text("name"))
}
