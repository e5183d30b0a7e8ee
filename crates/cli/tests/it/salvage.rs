//! A broken repository at the command line: what is said, what is done, and how it ends.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{DirectorySink, DirectoryWriter, Metadata, RepositoryWriter, WriterOptions};

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
    assert!(broken.says(0, &["doctor", "--deep"]).contains("Nothing is wrong, as far"));
    broken.lose(&["x"]);
    let refused = broken.says(14, &["snapshots"]);
    assert!(refused.contains("its index is lost") && refused.contains("--salvage does that"), "{refused}");
    let doctor = broken.says(14, &["doctor"]);
    assert!(doctor.contains("\nindex-lost\n") && doctor.contains("→ rekopia --repo "), "{doctor}");
    let document: serde_json::Value =
        serde_json::from_slice(&broken.run(&["--json", "doctor"]).stdout).unwrap();
    assert_eq!(
        (&document["findings"][0]["kind"], &document["healthy"]),
        (&"index-lost".into(), &false.into())
    );
    // What it says next can be pasted.
    let next = document["findings"][0]["next"].as_str().unwrap().split("    #").next().unwrap();
    let words = Vec::from_iter(next.split(' ').skip(1));
    let listed = broken.says(0, &words[2..]);
    assert_eq!(words[..2], ["--repo", broken.repo.root().to_str().unwrap()]);
    assert!(listed.contains(&id) && listed.contains("  salvaged"), "{listed}");
    let target = broken.dir.path().join("t");
    let said = broken.says(0, &["--salvage", "restore", &id, target.to_str().unwrap()]);
    assert!(said.contains(", salvaged."), "{said}");
    let diff = expected(&broken.fixture, &id).diff(&Tree::read(&target), &[]);
    assert!(diff.is_empty(), "{diff}");
    assert!(broken.says(0, &["--salvage", "verify", &id]).starts_with("warning: "));
    // What was read of the packs is kept, and is protected from the restore itself.
    let kept = target.join("kept");
    let keep = ["--salvage", "--salvage-index", kept.to_str().unwrap()];
    broken.says(0, &[&keep[..], &["snapshots"]].concat());
    let again = [&keep[..], &["restore", &id, target.to_str().unwrap(), "--delete-extra", "--yes"]].concat();
    assert!(broken.says(0, &again).contains("salvaged"));
    assert!(kept.exists());
    assert!(broken.says(2, &["--salvage-index", "x", "snapshots"]).contains("give both"));
}

#[test]
fn a_lost_format_blob_is_taken_from_a_copy() {
    let broken = Broken::copy("volsync");
    let format = broken.repo.path(&broken.repo.blobs("kopia.repository")[0]);
    let copy = broken.dir.path().join("copy");
    std::fs::rename(format, &copy).unwrap();
    let refused = broken.says(14, &["snapshots"]);
    assert!(refused.contains("--format-blob FILE takes such a copy"), "{refused}");
    // The advice would fail in the same way here.
    assert!(!refused.contains("--salvage"), "{refused}");
    let doctor = broken.says(14, &["doctor"]);
    assert!(
        doctor.contains("format-blob-missing") && doctor.contains(" --format-blob FILE snapshots"),
        "{doctor}"
    );
    let given =
        |path: &Path| broken.run(&["--format-blob", path.to_str().unwrap(), "snapshots"]).status.code();
    assert_eq!((given(&copy), given(Path::new("/dev/zero"))), (Some(0), Some(2)));
}

#[test]
fn a_tree_that_no_manifest_names_is_found_by_its_structure() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("t"));
    let options =
        WriterOptions { password: "secret".into(), chunk_size: Some(512), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(&repo).unwrap(), options).unwrap();
    let metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime_ns: 1_700_000_000_000_000_000 };
    // Long enough for a seek table; and one inside it, which is no root.
    let mut root = DirectoryWriter::new(&writer);
    for n in 0..50 {
        let file = writer.put_file(format!("file-{n:02}").into_bytes(), metadata, b"123").unwrap();
        root.add(&mut writer, &file).unwrap();
    }
    let mut inner = DirectoryWriter::new(&writer);
    let file = writer.put_file(&b"inside"[..], metadata, b"12345").unwrap();
    inner.add(&mut writer, &file).unwrap();
    let inner = inner.finish(&mut writer, &b"zfolder"[..], metadata).unwrap();
    root.add(&mut writer, &inner).unwrap();
    let root = root.finish(&mut writer, &b"root"[..], metadata).unwrap().object.unwrap().to_string();
    assert!(root.starts_with('I'), "{root}");
    writer.flush().unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        command.arg("--repo").arg(&repo).args(args).stdin(Stdio::null());
        command.env("KOPIA_PASSWORD", "secret").env("HOME", "/proc/nonexistent").output().unwrap()
    };
    let listed: serde_json::Value =
        serde_json::from_slice(&run(&["--json", "--salvage", "snapshots"]).stdout).unwrap();
    let wanted = serde_json::json!([{"version": 1, "unnamedTree": {
        "obj": root, "newest": "2023-11-14T22:13:20Z", "entries": 51, "files": 51, "bytes": 155,
    }}]);
    assert_eq!(listed, wanted);
    let said = String::from_utf8(run(&["--salvage", "snapshots"]).stderr).unwrap();
    assert!(said.contains(&format!("  {root}  ")), "{said}");
    assert!(run(&["restore", &root, target.to_str().unwrap()]).status.success());
    assert_eq!(std::fs::read(target.join("zfolder/inside")).unwrap(), b"12345");
}
