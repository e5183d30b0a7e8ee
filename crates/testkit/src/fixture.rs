//! Loads genuine repositories with what a correct restore of them gives (see `testdata/README.md`).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::tree::Tree;

/// A genuine repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fixture {
    /// The folder of the fixture.
    #[serde(skip)]
    pub dir: PathBuf,
    /// The name of the fixture's folder.
    pub name: String,
    /// The right password.
    pub password: String,
    /// A password that must be refused.
    pub wrong_password: Option<String>,
    /// Whether opening must fail.
    #[serde(default)]
    pub expect_open_error: bool,
    /// The snapshots of the repository.
    pub snapshots: Vec<FixtureSnapshot>,
}

/// A snapshot of a fixture.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FixtureSnapshot {
    /// The ID of the snapshot.
    pub manifest_id: String,
    /// The user of the snapshot's source.
    pub user_name: String,
    /// The host of the snapshot's source.
    pub host: String,
    /// The path of the snapshot's source.
    pub path: String,
    /// The reason why the snapshot is incomplete; empty when it is complete.
    #[serde(default)]
    pub incomplete: String,
    /// The kind of the root: `d` or `f`.
    #[serde(default)]
    pub root_type: String,
    /// The file with the expected entries.
    pub expect: Option<String>,
    /// Whether the snapshot cannot be restored completely.
    #[serde(default)]
    pub expect_error: bool,
    /// The entries that fail.
    #[serde(default)]
    pub expect_failures: Option<Vec<String>>,
}

impl Fixture {
    /// Loads a fixture of `testdata`, by name.
    pub fn load(name: &str) -> Fixture {
        Self::at(&testdata().join(name))
    }

    /// Loads all fixtures of `testdata`, by name.
    pub fn all() -> Vec<Fixture> {
        let entries = std::fs::read_dir(testdata()).expect("testdata is part of the project");
        let mut dirs: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
        // The folders there that are no repository.
        dirs.retain(|dir| !dir.ends_with("cluster") && !dir.ends_with("git"));
        dirs.sort();
        dirs.iter().map(|dir| Self::at(dir)).collect()
    }

    fn at(dir: &Path) -> Fixture {
        let path = dir.join("fixture.json");
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let fixture: Fixture =
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Fixture { dir: dir.to_owned(), ..fixture }
    }

    /// Returns the repository's directory.
    pub fn repo(&self) -> PathBuf {
        self.dir.join("repo")
    }

    /// Returns the tree that the snapshot restores to.
    pub fn expected(&self, snapshot: &FixtureSnapshot) -> Option<Tree> {
        snapshot.expect.as_ref().map(|file| Tree::from_jsonl(&self.dir.join(file)))
    }

    /// Returns what Kopia itself says of the repository.
    pub fn kopia_cli(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.dir.join("kopia-cli.json")).unwrap()).unwrap()
    }
}

/// Returns the folder of genuine repositories.
pub fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").canonicalize().expect("testdata exists")
}

/// Copies a directory, so that a test can damage it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
