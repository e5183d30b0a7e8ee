//! The captured repository, and what the stock mover made of it (see `tests/data/README.md`).

use std::path::{Path, PathBuf};

use rekopia_testkit::tree::{Tree, TreeEntry};
use serde_json::Value;

/// Returns the captured data.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Returns the captured repository; the password is `secret`.
pub(crate) fn repository() -> PathBuf {
    data().join("fixture/repo")
}

/// Returns a JSON document of the captured data.
pub(crate) fn document(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data().join(name)).unwrap()).unwrap()
}

/// Returns the ID of the snapshot that this restore of the stock mover chose.
pub(crate) fn snapshot(restore: &str) -> String {
    let document = document("fixture/expected.json");
    document["stockRestores"][restore]["snapshot"].as_str().unwrap().to_owned()
}

/// Returns the tree that this restore of the stock mover left. Without privileges everything belongs to the user who
/// runs the test.
pub(crate) fn tree(restore: &str) -> Tree {
    let document = document("fixture/expected.json");
    let target = &document["stockRestores"][restore]["target"];
    let entries = target["entries"].as_array().unwrap_or_else(|| panic!("no restore {restore}"));
    let root = std::iter::once((String::new(), entry(&target["root"])));
    let below = entries.iter().map(|e| (e["path"].as_str().unwrap().to_owned(), entry(e)));
    Tree { entries: root.chain(below).collect() }
}

fn entry(raw: &Value) -> TreeEntry {
    let kind = match raw["type"].as_str() {
        Some("f") => 'f',
        Some("l") => 's',
        _ => 'd',
    };
    let owner = |name: &str, own: u32| match rustix::process::geteuid().is_root() {
        true => u32::try_from(raw[name].as_u64().unwrap()).unwrap(),
        false => own,
    };
    TreeEntry {
        kind,
        mode: u32::from_str_radix(raw["mode"].as_str().unwrap(), 8).unwrap(),
        uid: owner("uid", rustix::process::geteuid().as_raw()),
        gid: owner("gid", rustix::process::getegid().as_raw()),
        size: raw["size"].as_u64().unwrap_or(0),
        // Kopia's own rules for the times of directories and links are not ours.
        mtime_ns: (kind == 'f').then(|| raw["mtimeNs"].as_i64().unwrap()),
        target: raw["target"].as_str().map(|t| t.as_bytes().to_vec()),
        sha256: raw["sha256"].as_str().map(str::to_owned),
    }
}
