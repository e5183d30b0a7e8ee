//! A broken repository at the command line: what is said, what is done, and how it ends.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::tree::Tree;

/// A copy of a fixture that may be broken.
struct Broken {
    fixture: Fixture,
    dir: tempfile::TempDir,
    repo: Damaged,
}

impl Broken {
    fn copy(name: &str) -> Self {
        let (fixture, dir) = (Fixture::load(name), tempfile::tempdir().unwrap());
        let repo = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
        Broken { fixture, dir, repo }
    }

    fn lose(&self, prefixes: &[&str]) {
        for blob in prefixes.iter().flat_map(|prefix| self.repo.blobs(prefix)) {
            self.repo.delete(&blob);
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        command.arg("--repo").arg(self.repo.root()).args(args).stdin(Stdio::null());
        command.env("KOPIA_PASSWORD", &self.fixture.password).env("HOME", "/proc/nonexistent");
        command.output().unwrap()
    }

    #[track_caller]
    fn says(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    }
}

fn expected(fixture: &Fixture, id: &str) -> Tree {
    let snapshot = fixture.snapshots.iter().find(|s| s.manifest_id == id).unwrap();
    fixture.expected(snapshot).unwrap()
}

#[test]
fn a_lost_index_is_named_and_salvaged() {
    let broken = Broken::copy("volsync");
    let id = broken.fixture.snapshots.last().unwrap().manifest_id.clone();
    assert!(broken.says(0, &["doctor", "--deep"]).contains("Nothing is wrong."));
    broken.lose(&["x"]);
    let refused = broken.says(14, &["snapshots"]);
    assert!(refused.contains("its index is lost") && refused.contains("--salvage does that"), "{refused}");
    let doctor = broken.says(14, &["doctor"]);
    assert!(
        doctor.contains("\nindex-lost\n") && doctor.contains("→ rekopia --salvage snapshots"),
        "{doctor}"
    );
    let document: serde_json::Value =
        serde_json::from_slice(&broken.run(&["--json", "doctor"]).stdout).unwrap();
    assert_eq!(
        (&document["findings"][0]["kind"], &document["healthy"]),
        (&"index-lost".into(), &false.into())
    );
    let listed = broken.says(0, &["--salvage", "snapshots"]);
    assert!(listed.contains(&id) && listed.contains("  salvaged"), "{listed}");
    let target = broken.dir.path().join("t");
    let said = broken.says(0, &["--salvage", "restore", &id, target.to_str().unwrap()]);
    assert!(said.contains(", salvaged."), "{said}");
    let diff = expected(&broken.fixture, &id).diff(&Tree::read(&target), &[]);
    assert!(diff.is_empty(), "{diff}");
    assert!(broken.says(0, &["--salvage", "verify", &id]).starts_with("warning: "));
}

#[test]
fn a_lost_format_blob_is_taken_from_a_copy() {
    let broken = Broken::copy("volsync");
    let format = broken.repo.path(&broken.repo.blobs("kopia.repository")[0]);
    let copy = broken.dir.path().join("copy");
    std::fs::rename(format, &copy).unwrap();
    let refused = broken.says(14, &["snapshots"]);
    assert!(refused.contains("--format-blob FILE takes such a copy"), "{refused}");
    // Here it would fail in the same way.
    assert!(!refused.contains("--salvage"), "{refused}");
    let doctor = broken.says(14, &["doctor"]);
    assert!(
        doctor.contains("format-blob-missing") && doctor.contains("→ rekopia --format-blob FILE"),
        "{doctor}"
    );
    let given =
        |path: &Path| broken.run(&["--format-blob", path.to_str().unwrap(), "snapshots"]).status.code();
    assert_eq!((given(&copy), given(Path::new("/dev/zero"))), (Some(0), Some(2)));
}

#[test]
fn trees_without_a_manifest_are_listed_and_restored_by_their_id() {
    let broken = Broken::copy("volsync");
    let snapshot = broken.fixture.snapshots.last().unwrap().clone();
    let listed = broken.says(0, &["--json", "snapshots"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let roots = listed.as_array().unwrap().iter().find(|s| s["id"] == snapshot.manifest_id.as_str()).unwrap();
    let root = roots["rootEntry"]["obj"].as_str().unwrap().to_owned();
    // All manifests are hidden: the packs that hold nothing but them.
    broken.lose(&["x"]);
    let salvaged = broken.says(0, &["--salvage", "snapshots"]);
    assert!(salvaged.contains(&snapshot.manifest_id), "{salvaged}");
    let target = broken.dir.path().join("t");
    let said = broken.says(0, &["--salvage", "restore", &root, target.to_str().unwrap()]);
    assert!(said.contains("salvaged"), "{said}");
}
