//! Builds all Flux Kustomizations of a tree, each as its parent has made it.
//!
//! A Kustomization in a file is only what its author wrote: the one that Flux sees has its parent's namespace, patches and
//! variables. So builds begin with those nearest to the root; each Kustomization that a build gives is built next, and the
//! file it came from is covered. What a file says counts only where no build covers it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use serde_json::Value;

use super::builder::{Builder, Built};
use super::files::{Files, MOST_DEPTH};
use super::flux;
use super::object::{self, Item, Origin};
use super::rendered::{Note, Renderer};
use super::scan::{Scan, source_of};
use super::variables::{Given, Givers};

/// The namespace, name and path of a Kustomization: clusters in one tree have Kustomizations of the same name.
type Key = (String, String, String);

/// A Kustomization that is built.
struct Applied {
    kustomization: Value,
    given: Given,
    built: Built,
    children: Vec<Key>,
    /// The file's Kustomization that it comes from, directly or through others.
    root: usize,
    tries: usize,
}

/// A Kustomization that is to be built.
struct Wanted {
    item: Item,
    root: usize,
    depth: usize,
}

/// All Kustomizations of a tree, built with what is known of their variables.
pub(super) struct Pass<'a> {
    files: &'a Files,
    scan: &'a Scan,
    builder: Builder<'a>,
    main: (String, String),
    applied: BTreeMap<Key, Applied>,
    /// Files' Kustomizations that a build gives, with the roots that gave them.
    covered: HashMap<Origin, HashSet<usize>>,
    /// Roots in order, with their keys.
    roots: Vec<(usize, Key)>,
    notes: Vec<Note>,
    builds: usize,
}

impl<'a> Pass<'a> {
    /// Builds all Kustomizations, with the variables that are known.
    pub(super) fn new(files: &'a Files, scan: &'a Scan, givers: &Givers, how: Renderer) -> Self {
        files.begin();
        let mut pass = Pass {
            files,
            scan,
            builder: Builder::new(files, how),
            main: scan.main_source(),
            applied: BTreeMap::new(),
            covered: HashMap::new(),
            roots: Vec::new(),
            notes: Vec::new(),
            builds: 0,
        };
        for (root, (origin, value)) in scan.kustomizations.iter().enumerate() {
            if !pass.covered.contains_key(origin) {
                let mut value = value.clone();
                if object::namespace(&value).is_empty() {
                    object::set_meta(&mut value, "namespace", FLUX_NAMESPACE);
                }
                pass.roots.push((root, key_of(&value)));
                let item = Item::new(value, Some(origin.clone()));
                pass.build_all(Wanted { item, root, depth: 0 }, givers);
            }
        }
        pass
    }

    /// Builds a Kustomization and all that come of it.
    fn build_all(&mut self, first: Wanted, givers: &Givers) {
        let mut open = vec![first];
        while let Some(wanted) = open.pop() {
            let key = key_of(&wanted.item.value);
            let known = self.applied.get(&key);
            let tries = known.map_or(0, |known| known.tries);
            if known.is_some_and(|known| known.kustomization == wanted.item.value) {
                continue;
            }
            if tries >= MOST_TRIES || wanted.depth > MOST_DEPTH || self.builds >= MOST_BUILDS {
                let sentence = format!(
                    "{}: too many Kustomizations come of each other",
                    object::shown(&wanted.item.value)
                );
                self.notes.push(Note { file: self.file_of(&wanted.item), sentence, kind: None });
                continue;
            }
            self.builds += 1;
            let mut applied = self.apply(&wanted, tries + 1, givers);
            for item in applied.built.items.iter().filter(|item| object::is_flux_kustomization(&item.value)) {
                for origin in self.scan.written_as(item) {
                    self.covered.entry(origin).or_default().insert(wanted.root);
                }
                applied.children.push(key_of(&item.value));
                open.push(Wanted { item: item.clone(), root: wanted.root, depth: wanted.depth + 1 });
            }
            self.applied.insert(key, applied);
        }
    }

    fn apply(&mut self, wanted: &Wanted, tries: usize, givers: &Givers) -> Applied {
        let kustomization = wanted.item.value.clone();
        let given = givers.given(&kustomization);
        let built = if self.scan.is_from_elsewhere(&kustomization, &self.main) {
            let (kind, name) = source_of(&kustomization);
            let sentence = format!(
                "{}: it comes from the {kind} {name}, not from this tree",
                object::shown(&kustomization)
            );
            Built {
                items: Vec::new(),
                notes: vec![Note { file: self.file_of(&wanted.item), sentence, kind: None }],
            }
        } else {
            let file = wanted.item.origin.as_ref().map(|origin| origin.file.to_path_buf());
            flux::apply(self.files, &self.builder, &kustomization, &given, file)
        };
        Applied { kustomization, given, built, children: Vec::new(), root: wanted.root, tries }
    }

    fn file_of(&self, item: &Item) -> PathBuf {
        item.origin.as_ref().map_or_else(|| ".".into(), |origin| self.files.shown(&origin.file))
    }

    /// Returns the Kustomizations that count: the roots that nothing else gave, and what comes of them.
    fn alive(&self) -> Vec<Key> {
        let is_root = |root: usize| {
            let covered = self.covered.get(&self.scan.kustomizations[root].0);
            covered.is_none_or(|by| by.iter().all(|of| *of == root))
        };
        let roots = self.roots.iter().rev().filter(|(root, _)| is_root(*root));
        let mut open: Vec<Key> = roots.map(|(_, key)| key.clone()).collect();
        let (mut seen, mut alive) = (HashSet::new(), Vec::new());
        while let Some(key) = open.pop() {
            if let Some(applied) = self.applied.get(&key).filter(|_| seen.insert(key.clone())) {
                open.extend(applied.children.iter().rev().cloned());
                alive.push(key);
            }
        }
        alive
    }

    /// Tells of the ConfigMaps and Secrets that were built; returns whether any variable would be another then.
    pub(super) fn teach(&self, givers: &mut Givers) -> bool {
        let mut is_news = false;
        for item in self.applied.values().flat_map(|applied| &applied.built.items) {
            is_news |= givers.build(&item.value);
        }
        is_news && self.applied.values().any(|applied| givers.given(&applied.kustomization) != applied.given)
    }

    /// Returns all objects that count, and the notes of their builds.
    pub(super) fn finish(mut self) -> (Vec<Value>, Vec<Note>) {
        let (mut own, mut objects, mut paths) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut notes = std::mem::take(&mut self.notes);
        for key in self.alive() {
            let Some(applied) = self.applied.remove(&key) else { continue };
            let other = paths.insert((key.0.clone(), key.1.clone()), key.2.clone());
            if let Some(other) = other.filter(|path| *path != key.2) {
                let sentence = format!(
                    "{} is there with the paths {other} and {}: the tree holds several clusters, name the folder of one",
                    object::shown(&applied.kustomization),
                    key.2
                );
                notes.push(Note { file: ".".into(), sentence, kind: None });
            }
            if self.roots.iter().any(|(root, of)| *root == applied.root && *of == key) {
                // Before all that is built: where a parent gives it too, that one counts.
                own.push(applied.kustomization);
            }
            objects.extend(applied.built.items.into_iter().map(|item| item.value));
            notes.extend(applied.built.notes);
        }
        own.extend(objects);
        (own, notes)
    }
}

fn key_of(kustomization: &Value) -> Key {
    let path = kustomization["spec"]["path"].as_str().unwrap_or_default();
    let own = |text: &str| text.to_owned();
    (own(object::namespace(kustomization)), own(object::name(kustomization)), own(path))
}

/// The namespace of Flux's own objects when nothing says otherwise.
const FLUX_NAMESPACE: &str = "flux-system";
/// Number of times that one Kustomization is built again as its parents turn out different.
const MOST_TRIES: usize = 4;
/// Number of builds of one pass.
const MOST_BUILDS: usize = 20_000;
