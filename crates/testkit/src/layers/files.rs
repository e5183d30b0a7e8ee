//! Reads the source files below a folder.

use std::path::{Path, PathBuf};

/// Returns each source below `src`, by the path of its module.
pub(super) fn read(src: &Path) -> Vec<(String, String)> {
    let read = |file: &PathBuf| std::fs::read_to_string(file).expect("a source file");
    sources(src).iter().map(|file| (module_of(file.strip_prefix(src).unwrap()), read(file))).collect()
}

/// Returns the source files below a folder, in order.
pub(super) fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns a module's path for messages.
pub(super) fn shown(module: &str) -> &str {
    if module.is_empty() { "the root" } else { module }
}

/// Returns the path of a file's module; the root's is empty, whether it is a library's or a program's.
fn module_of(file: &Path) -> String {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_root = parts == ["lib"] || parts == ["main"];
    if is_root || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts.join("::")
}
