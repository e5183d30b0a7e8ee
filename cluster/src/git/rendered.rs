//! Holds what a rendering gives, and how it is asked for.

use std::path::PathBuf;

use serde_json::Value;

/// The objects that a tree or rendered manifests configure. It may hold values of Secrets, and so is not shown for
/// debugging.
#[derive(Clone, Default)]
pub struct Rendered {
    /// The objects, by namespace, kind and name, with their namespaces set and their variables replaced.
    pub objects: Vec<Value>,
    /// Notes on what could not be rendered exactly, by file.
    pub notes: Vec<Note>,
    /// The files and bytes that were read for it.
    pub reads: Reads,
}

/// A note on something that could not be rendered exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The file or folder, from the tree's root on.
    pub file: PathBuf,
    /// The reason, in one line.
    pub sentence: String,
    /// The kind of the object that the note is about; none: it is about the file.
    pub kind: Option<String>,
}

/// The numbers of files and bytes that were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Number of times that a file was read.
    pub files: u64,
    /// Number of bytes of all files.
    pub bytes: u64,
}

/// The program that builds the folders of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Renderer {
    /// This program builds; where it cannot build a folder exactly, an installed `kustomize` or `kubectl`, if that
    /// succeeds.
    #[default]
    Auto,
    /// This program alone builds: nothing is started.
    Own,
    /// An installed `kustomize`, or else `kubectl`, builds every folder. They may fetch what a folder names elsewhere.
    Kustomize,
}

/// The namespace of an object that names none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";
