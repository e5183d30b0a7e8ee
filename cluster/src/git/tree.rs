//! Renders a whole tree: Flux's Kustomizations, or else its kustomize folders, or else its manifests.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::builder::{Builder, Built};
use super::error::GitError;
use super::files::{Below, Files};
use super::pass::Pass;
use super::rendered::{DEFAULT_NAMESPACE, Note, Rendered, Renderer};
use super::scan::Scan;
use super::{object, yaml};

/// Renders everything that a tree configures.
///
/// `root` is a checkout of Git, or a folder in one: paths of Flux count from the folder, or else from the checkout.
///
/// # Errors
/// The folder cannot be read, or holds too many files. What is wrong with single files is in the notes.
pub fn tree(root: &Path, how: Renderer) -> Result<Rendered, GitError> {
    let files = Files::new(root)?;
    let below = files.below(files.root())?;
    let mut scan = Scan::new(&files, &below);
    let mut notes = std::mem::take(&mut scan.notes);
    let (objects, more) = if !scan.kustomizations.is_empty() {
        flux(&files, scan, how)
    } else if !below.kustomizations.is_empty() {
        kustomize(&files, &below.kustomizations, how)
    } else {
        manifests(&files, &below)
    };
    notes.extend(more);
    Ok(finished(objects, notes, &files))
}

/// Reads rendered manifests: a file, or all files below a folder.
///
/// # Errors
/// The file or folder cannot be read. What is wrong with single documents is in the notes.
pub fn rendered(path: &Path) -> Result<Rendered, GitError> {
    if path.is_dir() {
        let files = Files::new(path)?;
        let below = files.below(files.root())?;
        let (objects, notes) = manifests(&files, &below);
        return Ok(finished(objects, notes, &files));
    }
    let whole = path.canonicalize().map_err(|why| GitError::unreadable(path, &why))?;
    let files = Files::new(whole.parent().unwrap_or(&whole))?;
    let text = files.text(&whole).map_err(|why| GitError::Unreadable(path.to_owned(), why))?;
    let mut found = rendered_text(&text, path);
    found.reads = files.reads();
    Ok(found)
}

/// Takes rendered manifests from a text, such as standard input; `name` stands for it in notes.
#[must_use]
pub fn rendered_text(text: &str, name: &Path) -> Rendered {
    let parsed = yaml::parse(text);
    let faults = parsed.faults.iter().map(|fault| on_one_line(fault));
    let notes = faults.map(|sentence| Note { file: name.to_owned(), sentence, kind: None }).collect();
    let objects = parsed.documents.into_iter().filter(is_wanted).collect();
    Rendered { objects: in_order(objects), notes, ..Rendered::default() }
}

/// Builds until the ConfigMaps that builds give change no variable any more.
fn flux(files: &Files, mut scan: Scan, how: Renderer) -> (Vec<Value>, Vec<Note>) {
    let mut givers = std::mem::take(&mut scan.givers);
    let mut pass = Pass::new(files, &scan, &givers, how);
    for _ in 1..MOST_PASSES {
        if !pass.teach(&mut givers) {
            break;
        }
        pass = Pass::new(files, &scan, &givers, how);
    }
    pass.finish()
}

/// Builds every folder that no other one names.
fn kustomize(files: &Files, folders: &[PathBuf], how: Renderer) -> (Vec<Value>, Vec<Note>) {
    let (mut named, mut parts) = (HashSet::new(), HashSet::new());
    for folder in folders {
        let Some(parsed) = files.kustomization(folder).and_then(|file| files.parsed(&file).ok()) else {
            continue;
        };
        for body in &parsed.documents {
            if object::kind(body) == "Component" {
                parts.insert(folder.clone());
            }
            let lists = ["resources", "bases", "components"].map(|field| body[field].as_array());
            let names = lists.into_iter().flatten().flatten().filter_map(Value::as_str);
            named.extend(
                names.filter_map(|name| files.resolve(folder, name).ok()).filter(|path| path != folder),
            );
        }
    }
    let own: Vec<_> = folders.iter().filter(|folder| !parts.contains(*folder)).collect();
    let mut roots: Vec<_> = own.iter().filter(|folder| !named.contains(**folder)).copied().collect();
    if roots.is_empty() {
        // The folders name each other in a circle: the build says so.
        roots = own;
    }
    let builder = Builder::new(files, how);
    let (mut objects, mut notes) = (Vec::new(), Vec::new());
    for folder in roots {
        let Built { items, notes: more } = builder.build(folder, &Map::new());
        objects.extend(items.into_iter().map(|item| item.value));
        notes.extend(more);
    }
    (objects, notes)
}

/// Takes the files as they are.
fn manifests(files: &Files, below: &Below) -> (Vec<Value>, Vec<Note>) {
    let (mut objects, mut notes) = (Vec::new(), Vec::new());
    for path in &below.files {
        let mut note = |sentence| notes.push(Note { file: files.shown(path), sentence, kind: None });
        let text = match files.text(path) {
            Ok(text) => text,
            Err(why) => {
                note(why);
                continue;
            }
        };
        // Other YAML, and other JSON, is none of our business, be it broken or not.
        if text.contains("apiVersion") && text.contains("kind") {
            let parsed = yaml::parse(&text);
            objects.extend(parsed.documents.into_iter().filter(is_wanted));
            parsed.faults.into_iter().for_each(note);
        }
    }
    (objects, notes)
}

fn is_wanted(value: &Value) -> bool {
    object::is_object(value) && !object::is_kustomize_file(value)
}

fn finished(objects: Vec<Value>, mut notes: Vec<Note>, files: &Files) -> Rendered {
    for note in &mut notes {
        note.sentence = on_one_line(&note.sentence);
    }
    notes.sort();
    notes.dedup();
    Rendered { objects: in_order(objects), notes, reads: files.reads() }
}

/// Puts a name on one line. Names of objects and files are foreign: they must neither move the cursor nor turn the
/// direction of a text.
fn on_one_line(text: &str) -> String {
    let is_harmful =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().take(MOST_LETTERS).map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// Sorts objects by namespace, kind and name; of several objects of one name the last stays.
fn in_order(objects: Vec<Value>) -> Vec<Value> {
    let mut sorted = BTreeMap::new();
    for mut object in objects {
        if !object::is_of_cluster(&object) && object::namespace(&object).is_empty() {
            object::set_meta(&mut object, "namespace", DEFAULT_NAMESPACE);
        }
        let own = |text: &str| text.to_owned();
        let key = (
            own(object::namespace(&object)),
            own(object::kind(&object)),
            own(object::name(&object)),
            own(object::group(&object)),
        );
        sorted.insert(key, object);
    }
    sorted.into_values().collect()
}

/// Number of passes until variables must have settled: a ConfigMap may be built with variables of another one.
const MOST_PASSES: usize = 4;
/// Letters of a note.
const MOST_LETTERS: usize = 1000;
