//! What a rendering gives, and how it is asked for.

use std::path::PathBuf;

use serde_json::Value;

/// What a tree or rendered manifests configure. It may hold values of Secrets, and so is not shown for debugging.
#[derive(Clone, Default)]
pub struct Rendered {
    /// Every object, by namespace, kind and name, with its namespace set and its variables replaced.
    pub objects: Vec<Value>,
    /// What could not be rendered exactly, by file.
    pub notes: Vec<Note>,
    /// How much was read for it.
    pub reads: Reads,
}

/// Something that could not be rendered exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The file or folder, from the tree's root on.
    pub file: PathBuf,
    /// What is wrong with it, in one line.
    pub sentence: String,
    /// The kind of the object that it is about; none: it is about the file.
    pub kind: Option<String>,
}

/// How many files were read, and how many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Each time a file was read.
    pub files: u64,
    /// The bytes of all of them.
    pub bytes: u64,
}

/// Who builds the folders of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Renderer {
    /// This program; where it cannot build a folder exactly, an installed `kustomize` or `kubectl`, if that succeeds.
    #[default]
    Auto,
    /// This program alone: nothing is started.
    Own,
    /// An installed `kustomize`, or else `kubectl`, for every folder. They may fetch what a folder names elsewhere.
    Kustomize,
}

/// Where an object without a namespace goes.
pub(super) const DEFAULT_NAMESPACE: &str = "default";
