//! Reads the files of a tree: inside its root only, within limits, each parsed once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::error::GitError;
use super::rendered::Reads;
use super::yaml::{self, Parsed};

/// The files of a tree.
pub(super) struct Files {
    /// The folder that was named, with links resolved.
    root: PathBuf,
    /// The boundary of what may be read: the checkout that holds the folder, or the folder itself.
    boundary: PathBuf,
    parsed: RefCell<HashMap<PathBuf, Rc<Parsed>>>,
    resolved: RefCell<HashMap<(PathBuf, String), Result<PathBuf, String>>>,
    /// Kustomization files of folders.
    found: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
    reads: Cell<Reads>,
    /// Bytes of documents that were copied into builds.
    spent: Cell<usize>,
    /// Bytes that variables may still bring.
    pub(super) growth: Cell<usize>,
}

impl Files {
    /// Opens the tree of this folder.
    ///
    /// # Errors
    /// It is no folder that can be read.
    pub(super) fn new(folder: &Path) -> Result<Self, GitError> {
        let root = folder.canonicalize().map_err(|why| GitError::unreadable(folder, &why))?;
        std::fs::read_dir(&root).map_err(|why| GitError::unreadable(folder, &why))?;
        let checkout = root.ancestors().find(|parent| parent.join(".git").exists());
        let boundary = checkout.unwrap_or(&root).to_owned();
        Ok(Files {
            root,
            boundary,
            parsed: RefCell::default(),
            resolved: RefCell::default(),
            found: RefCell::default(),
            reads: Cell::default(),
            spent: Cell::new(0),
            growth: Cell::new(MOST_GROWTH),
        })
    }

    /// Returns the folder that was named.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns how much was read so far.
    pub(super) fn reads(&self) -> Reads {
        self.reads.get()
    }

    /// Counts what a build takes; false when all builds together have taken too much. Folders that name each other twice
    /// would otherwise double with every level.
    pub(super) fn spend(&self, bytes: usize) -> bool {
        self.spent.set(self.spent.get().saturating_add(bytes.max(LEAST_SPENT)));
        self.spent.get() <= MOST_SPENT
    }

    /// Forgets what earlier builds took: everything is built anew.
    pub(super) fn begin(&self) {
        self.spent.set(0);
        self.growth.set(MOST_GROWTH);
    }

    /// Returns a path as people know it: from the tree's root on.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix(&self.root).or_else(|_| path.strip_prefix(&self.boundary));
        match inside {
            Ok(inside) if inside.as_os_str().is_empty() => PathBuf::from("."),
            Ok(inside) => inside.to_owned(),
            Err(_) => path.to_owned(),
        }
    }

    /// Returns where a name leads from a folder, links resolved.
    ///
    /// # Errors
    /// One line: it is not there, or outside of the tree.
    pub(super) fn resolve(&self, folder: &Path, name: &str) -> Result<PathBuf, String> {
        // A component is named once for each application: its files are looked for once.
        let key = (folder.to_owned(), name.to_owned());
        if let Some(known) = self.resolved.borrow().get(&key) {
            return known.clone();
        }
        let found = self.look_for(folder, name);
        self.resolved.borrow_mut().insert(key, found.clone());
        found
    }

    fn look_for(&self, folder: &Path, name: &str) -> Result<PathBuf, String> {
        let path = folder.join(name).canonicalize().map_err(|why| format!("{name}: {}", reason(&why)))?;
        if path.starts_with(&self.boundary) { Ok(path) } else { Err(format!("{name} {OUTSIDE}")) }
    }

    /// Returns where a path of a Flux Kustomization leads: from the tree's root, from the checkout's, or from the
    /// folder above when the path begins with the tree's own name.
    pub(super) fn find_path(&self, path: &str) -> Option<PathBuf> {
        let path = &below_root(path);
        let name = self.root.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let below = path.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let tries = [
            self.resolve(&self.root, path),
            self.resolve(&self.boundary, path),
            self.resolve(&self.root, below.map_or(NOWHERE, |rest| rest.trim_start_matches('/'))),
        ];
        tries.into_iter().flatten().find(|found| found.is_dir())
    }

    /// Returns the documents of a file; the second time it is not read.
    ///
    /// # Errors
    /// One line: it cannot be read.
    pub(super) fn parsed(&self, path: &Path) -> Result<Rc<Parsed>, String> {
        if let Some(parsed) = self.parsed.borrow().get(path) {
            return Ok(Rc::clone(parsed));
        }
        let text = self.text(path)?;
        Ok(self.keep(path, &text))
    }

    /// Parses a text that was read from this file, and remembers it.
    pub(super) fn keep(&self, path: &Path, text: &str) -> Rc<Parsed> {
        let parsed = Rc::new(yaml::parse(text));
        self.parsed.borrow_mut().insert(path.to_owned(), Rc::clone(&parsed));
        parsed
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// One line: it cannot be read, is too large, or no text.
    pub(super) fn text(&self, path: &Path) -> Result<String, String> {
        let bytes = self.bytes(path)?;
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// One line: it cannot be read, or is too large.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        // Not opened before it is known to be a file: a pipe would wait for ever.
        let metadata = path.metadata().map_err(|why| reason(&why))?;
        if !metadata.is_file() {
            return Err("it is no file".to_owned());
        }
        let (mut bytes, mut reads) = (Vec::new(), self.reads.get());
        let file = std::fs::File::open(path).map_err(|why| reason(&why))?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|why| reason(&why))?;
        reads.files += 1;
        reads.bytes += bytes.len() as u64;
        self.reads.set(reads);
        if bytes.len() as u64 > MOST_BYTES {
            return Err(format!("it is larger than {} MiB", MOST_BYTES >> 20));
        }
        if reads.bytes > MOST_BYTES_OF_ALL {
            return Err(format!("more than {} MiB were read before it", MOST_BYTES_OF_ALL >> 20));
        }
        Ok(bytes)
    }

    /// Returns the manifests below a folder by name, sorted, with every folder that holds a kustomization file.
    ///
    /// # Errors
    /// The folder cannot be read, or holds too many files.
    pub(super) fn below(&self, folder: &Path) -> Result<Below, GitError> {
        let (mut below, mut open, mut count) = (Below::default(), vec![(folder.to_owned(), 0)], 0);
        while let Some((folder, depth)) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                below.unread.push(folder);
                continue;
            };
            for entry in entries.flatten() {
                count += 1;
                if count > MOST_FILES {
                    return Err(GitError::TooMany(self.root.clone(), MOST_FILES));
                }
                let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
                if kind.is_dir() {
                    if !SKIPPED.iter().any(|name| entry.file_name() == *name) && depth < MOST_DEPTH {
                        open.push((path, depth + 1));
                    }
                } else if is_manifest(&path) || is_kustomization(&path) {
                    // A link to a folder is not walked: it may lead to itself.
                    let target = if kind.is_symlink() {
                        self.look_for(&folder, &name_of(&path)).ok().filter(|target| target.is_file())
                    } else {
                        kind.is_file().then(|| path.clone())
                    };
                    if let Some(target) = target {
                        below.add(path, target);
                    }
                }
            }
        }
        below.files.sort();
        below.files.dedup();
        below.kustomizations.sort();
        below.kustomizations.dedup();
        Ok(below)
    }

    /// Returns the kustomization file of a folder, if it has one.
    pub(super) fn kustomization(&self, folder: &Path) -> Option<PathBuf> {
        if let Some(known) = self.found.borrow().get(folder) {
            return known.clone();
        }
        let found = KUSTOMIZATION_FILES.iter().find_map(|name| {
            let path = self.look_for(folder, name).ok()?;
            path.is_file().then_some(path)
        });
        self.found.borrow_mut().insert(folder.to_owned(), found.clone());
        found
    }

    /// Whether a name is not a path but an address, which is never fetched.
    pub(super) fn is_remote(&self, name: &str) -> bool {
        let begins = ["git@", "git::", "github.com/", "gitlab.com/", "bitbucket.org/"];
        let is_address = begins.iter().any(|begin| name.starts_with(begin));
        name.contains("://") || name.contains("?ref=") || is_address
    }
}

/// The files and folders that lie below a folder.
#[derive(Default)]
pub(super) struct Below {
    /// Manifests: `*.yaml`, `*.yml` and `*.json`, but no kustomization files; links give their targets.
    pub(super) files: Vec<PathBuf>,
    /// Folders with a kustomization file.
    pub(super) kustomizations: Vec<PathBuf>,
    /// Folders that could not be read.
    pub(super) unread: Vec<PathBuf>,
}

impl Below {
    fn add(&mut self, path: PathBuf, target: PathBuf) {
        if is_kustomization(&path) {
            self.kustomizations.extend(path.parent().map(Path::to_owned));
        } else {
            self.files.push(target);
        }
    }
}

/// Returns a path without what leads above its beginning: there is nothing above the root, as Flux sees it.
fn below_root(path: &str) -> String {
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps.join("/")
}

/// Returns the last part of a path.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|of| ["yaml", "yml", "json"].iter().any(|known| of == *known))
}

fn is_kustomization(path: &Path) -> bool {
    path.file_name().is_some_and(|name| KUSTOMIZATION_FILES.iter().any(|known| name == *known))
}

/// Returns the system's reason without its number.
fn reason(why: &std::io::Error) -> String {
    match why.kind() {
        std::io::ErrorKind::NotFound => "it is not there".to_owned(),
        _ => why.to_string(),
    }
}

/// The words behind the name of a file that may not be read.
pub(super) const OUTSIDE: &str = "lies outside of the tree, and is not read";

/// Names that kustomize knows, in its order.
const KUSTOMIZATION_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Folders that hold no manifests of their own.
const SKIPPED: [&str; 2] = [".git", "node_modules"];
/// A path that no file has.
const NOWHERE: &str = "/";
/// Bytes of a file at most: a larger one is no manifest.
const MOST_BYTES: u64 = 16 << 20;
const MOST_BYTES_OF_ALL: u64 = 512 << 20;
const MOST_FILES: usize = 100_000;
/// Bytes that a resource costs at least, be it ever so small, and what all may cost.
const LEAST_SPENT: usize = 2 << 10;
const MOST_SPENT: usize = 512 << 20;
/// Bytes that variables may bring to all objects together.
const MOST_GROWTH: usize = 64 << 20;
/// Levels of folders in folders at most.
pub(super) const MOST_DEPTH: usize = 64;
