//! The compressed recordings of `testdata/cluster`, and recordings in a folder of the caller's.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::fixture::testdata;

const ENDING: &str = ".json.zst";

/// Returns the names of all packed recordings, sorted.
pub(super) fn packed_names() -> Vec<String> {
    let name = |path: PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(ENDING)?.to_owned());
    let mut names: Vec<String> = entries(&testdata().join("cluster")).into_iter().filter_map(name).collect();
    names.retain(|name| name != "api");
    names.sort();
    names
}

/// Returns the names of the folders below `dir` that hold a recording, sorted.
pub(super) fn folder_names(dir: &Path) -> Vec<String> {
    let holds_one = |path: &PathBuf| path.join("scenario.json").is_file();
    let name = |path: PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let mut names: Vec<String> = entries(dir).into_iter().filter(holds_one).filter_map(name).collect();
    names.sort();
    names
}

/// Returns the files of a packed recording: name → document; texts are strings.
pub(super) fn unpack(name: &str) -> Map<String, Value> {
    let path = testdata().join("cluster").join(format!("{name}{ENDING}"));
    let packed = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let files = zstd::decode_all(packed.as_slice()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&files).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Returns the files of a recording in a folder, in the form that [`unpack`] gives.
pub(super) fn read_folder(dir: &Path) -> Map<String, Value> {
    let mut files = Map::new();
    for path in entries(dir) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let read = || std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let document = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                serde_json::from_str(&read()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            }
            Some("jsonl") => Value::String(read()),
            _ => continue,
        };
        files.insert(name.to_owned(), document);
    }
    files
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}
