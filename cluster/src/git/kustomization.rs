//! Builds a folder as `kustomize build` does, as far as volumes and applications need it.
//!
//! A folder's objects come from its `resources`, then `components` add to them and change them, then generators, then the
//! folder's own changes in kustomize's order: patches, namespace, prefix and suffix, JSON patches of the old form.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::changes::Changes;
use super::files::{Files, MOST_DEPTH, OUTSIDE};
use super::generator;
use super::object::{self, Item, Origin};
use super::rendered::Note;

/// The building of one folder.
pub(super) struct Work<'a> {
    files: &'a Files,
    pub(super) notes: Vec<Note>,
    /// Whether something was left out that another program may know.
    is_short: bool,
    /// Whether the folder names what lies elsewhere, or too much: no other program is let loose on it.
    is_unsafe: bool,
    /// Folders from the first one to the present one.
    open: Vec<PathBuf>,
    entered: usize,
}

impl<'a> Work<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        Work { files, notes: Vec::new(), is_short: false, is_unsafe: false, open: Vec::new(), entered: 0 }
    }

    /// Whether another program could, and may, do better.
    pub(super) fn could_be_better(&self) -> bool {
        self.is_short && !self.is_unsafe
    }

    /// Builds a folder. `more` holds fields that are set or appended in its kustomization file first.
    pub(super) fn build(&mut self, folder: &Path, more: &Map<String, Value>) -> Vec<Item> {
        let mut items = Vec::new();
        if let Some(mut body) = self.body_or_all(folder) {
            edit(&mut body, more);
            self.folder(folder, &body, &mut items);
        }
        items
    }

    /// Lays fields over what another program has built of a folder. Components come into the folder's namespace.
    pub(super) fn lay_over(&mut self, folder: &Path, more: &Map<String, Value>, items: &mut Vec<Item>) {
        let mut over = Value::Object(Map::new());
        if more.contains_key("components")
            && let Some(body) = self.files.kustomization(folder).and_then(|file| self.body(&file))
        {
            over["namespace"] = body["namespace"].clone();
        }
        edit(&mut over, more);
        self.folder(folder, &over, items);
    }

    /// Returns the kustomization of a folder; of one that has none the one that Flux makes: every folder below that has
    /// one, and all manifests elsewhere.
    fn body_or_all(&mut self, folder: &Path) -> Option<Value> {
        if let Some(file) = self.files.kustomization(folder) {
            return self.body(&file);
        }
        let below = match self.files.below(folder) {
            Ok(below) => below,
            Err(why) => {
                self.note(folder, why.to_string());
                return None;
            }
        };
        let mut names: Vec<PathBuf> = Vec::new();
        for path in below.kustomizations {
            // Sorted: a folder comes before those in it.
            if !names.last().is_some_and(|last| path.starts_with(last)) {
                names.push(path);
            }
        }
        let is_covered =
            |path: &PathBuf| path.ancestors().any(|folder| names.binary_search(&folder.into()).is_ok());
        let files = below.files.iter().filter(|path| !is_covered(path));
        let files = files.filter(|path| path.extension().is_some_and(|of| of != "json"));
        let all: Vec<_> = files.chain(&names).map(|path| Value::from(path.to_string_lossy())).collect();
        Some(Value::Object(Map::from_iter([("resources".to_owned(), Value::Array(all))])))
    }

    /// Returns the one object in a kustomization file.
    fn body(&mut self, file: &Path) -> Option<Value> {
        let parsed = match self.files.parsed(file) {
            Ok(parsed) => parsed,
            Err(why) => {
                self.note(file, why);
                return None;
            }
        };
        match (&parsed.documents[..], &parsed.faults[..]) {
            ([body], []) if body.is_object() => Some(body.clone()),
            (_, [fault, ..]) => {
                self.note(file, fault.clone());
                None
            }
            _ => {
                self.note(file, "it does not hold one object".to_owned());
                None
            }
        }
    }

    /// Adds a folder's objects, and changes all that are there then.
    fn folder(&mut self, folder: &Path, body: &Value, items: &mut Vec<Item>) {
        if !self.enter(folder) {
            return;
        }
        let file = self.files.kustomization(folder).unwrap_or_else(|| folder.to_owned());
        for name in strings(body, "bases").chain(strings(body, "resources")) {
            self.resource(folder, &file, name, items);
        }
        for name in strings(body, "components") {
            self.component(folder, &file, name, items);
        }
        for (field, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
            for entry in body[field].as_array().into_iter().flatten() {
                if let Err(why) = generator::generate(self.files, folder, kind, body, entry, items) {
                    self.fault(&file, format!("{field}: {why}"));
                }
            }
        }
        let mut changes = Changes::new(self.files, folder);
        changes.apply(body, items);
        self.is_short |= changes.is_short;
        self.is_unsafe |= changes.is_unsafe;
        for fault in changes.faults {
            self.note(&file, fault);
        }
        for (key, _) in body.as_object().into_iter().flatten() {
            if !KNOWN.contains(&key.as_str()) {
                self.is_short = true;
                self.note(&file, format!("{key} is not rendered here"));
            }
        }
        self.open.pop();
    }

    /// Whether a folder may be built inside of the open ones.
    fn enter(&mut self, folder: &Path) -> bool {
        self.entered += 1;
        let file = self.files.kustomization(folder).unwrap_or_else(|| folder.to_owned());
        let why = if self.open.iter().any(|open| open == folder) {
            let mut names: Vec<_> =
                self.open.iter().skip_while(|open| *open != folder).map(|open| self.shown(open)).collect();
            names.push(self.shown(folder));
            format!("folders that contain each other: {}", names.join(" → "))
        } else if self.open.len() >= MOST_DEPTH {
            format!("more than {MOST_DEPTH} folders inside each other")
        } else if self.entered > MOST_FOLDERS || !self.files.spend(0) {
            TOO_MUCH.to_owned()
        } else {
            self.open.push(folder.to_owned());
            return true;
        };
        self.is_unsafe = true;
        self.note(&file, why);
        false
    }

    fn resource(&mut self, folder: &Path, file: &Path, name: &str, items: &mut Vec<Item>) {
        let Some(path) = self.resolved(folder, file, name) else { return };
        if path.is_dir() {
            let Some(file) = self.files.kustomization(&path) else {
                return self.note(file, format!("{name} has no kustomization.yaml"));
            };
            if let Some(body) = self.body(&file) {
                let mut inner = Vec::new();
                self.folder(&path, &body, &mut inner);
                items.append(&mut inner);
            }
            return;
        }
        let parsed = match self.files.parsed(&path) {
            Ok(parsed) => parsed,
            Err(why) => return self.note(&path, why),
        };
        for fault in &parsed.faults {
            self.note(&path, fault.clone());
        }
        if !self.files.spend(parsed.bytes) {
            self.is_unsafe = true;
            return self.note(&path, TOO_MUCH.to_owned());
        }
        let shared: Rc<Path> = path.as_path().into();
        for (index, value) in parsed.documents.iter().enumerate() {
            if object::is_object(value) && !object::is_kustomize_file(value) {
                let origin = Origin { file: Rc::clone(&shared), index };
                items.push(Item::new(value.clone(), Some(origin)));
            } else if file != folder {
                self.note(&path, "a document without kind and apiVersion is named as a resource".to_owned());
            }
        }
    }

    fn component(&mut self, folder: &Path, file: &Path, name: &str, items: &mut Vec<Item>) {
        let Some(path) = self.resolved(folder, file, name) else { return };
        let Some(own) = self.files.kustomization(&path) else {
            return self.note(file, format!("{name} has no kustomization.yaml"));
        };
        if let Some(body) = self.body(&own) {
            if object::kind(&body) != "Component" {
                self.note(&own, "it is named as a component, and its kind is not Component".to_owned());
            }
            self.folder(&path, &body, items);
        }
    }

    /// Returns where a name in a kustomization file leads, or makes a note.
    fn resolved(&mut self, folder: &Path, file: &Path, name: &str) -> Option<PathBuf> {
        if self.files.is_remote(name) {
            self.is_unsafe = true;
            self.note(file, format!("{name} is fetched from elsewhere, and not rendered here"));
            return None;
        }
        match self.files.resolve(folder, name) {
            Ok(path) => Some(path),
            Err(why) => {
                self.is_unsafe |= why.ends_with(OUTSIDE);
                self.note(file, why);
                None
            }
        }
    }

    /// Makes a note of something that a program may be able to do.
    fn fault(&mut self, file: &Path, sentence: String) {
        self.is_short = true;
        self.note(file, sentence);
    }

    fn note(&mut self, file: &Path, sentence: String) {
        self.notes.push(Note { file: self.files.shown(file), sentence, kind: None });
    }

    fn shown(&self, path: &Path) -> String {
        self.files.shown(path).display().to_string()
    }
}

/// Sets and appends fields as Flux does before it builds.
fn edit(body: &mut Value, more: &Map<String, Value>) {
    let Some(fields) = body.as_object_mut() else { return };
    for (key, value) in more {
        match (fields.get_mut(key).and_then(Value::as_array_mut), value.as_array()) {
            (Some(old), Some(new)) => old.extend(new.iter().cloned()),
            _ => {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
}

fn strings<'a>(body: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    body[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}

const TOO_MUCH: &str = "the folders name too many resources: the rest is left out";
/// Folders that one build may enter at most, each as often as it is named.
const MOST_FOLDERS: usize = 4096;
/// Keys that are done here, or change nothing in volumes, claims and their schedules.
const KNOWN: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "bases",
    "resources",
    "components",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    // From here on they change nothing.
    "buildMetadata",
    "configurations",
    "crds",
    "images",
    "imageTags",
    "openapi",
    "replicas",
    "sortOptions",
];
