//! `restore --receipt` and `verify --receipt`: files, exit codes, what is said; and the definition, by another program.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::skip::has_programs;
use serde_json::Value;

fn restored(fixture: &str, more: &[&str]) -> Output {
    let fixture = Fixture::load(fixture);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    let owner = if rustix::process::geteuid().is_root() { "keep" } else { "skip" };
    command.arg("--repo").arg(fixture.repo()).args(["restore", "--owner", owner]).args(more);
    command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", "/proc/nonexistent");
    command.stdin(Stdio::null()).output().unwrap()
}

/// Without a repository, a password or a home.
fn verified(receipt: &Path, target: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.env_clear().env("HOME", "/proc/nonexistent").stdin(Stdio::null());
    command.arg("verify").arg("--receipt").arg(receipt).arg("--against").arg(target).args(more);
    command.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn read(receipt: &Path) -> Value {
    serde_json::from_slice(&fs::read(receipt).unwrap()).unwrap()
}

#[test]
fn equal_is_0_and_different_3_without_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    let (target, receipt) = (dir.path().join("t"), dir.path().join("r.json"));
    let output =
        restored("quickstart", &["--receipt", receipt.to_str().unwrap(), "latest", target.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(code(&output), 0, "{said}");
    let written = read(&receipt);
    let hash = written["treeHash"].as_str().unwrap();
    assert!(said.contains(&format!("Tree hash {hash}; the receipt is {}", receipt.display())), "{said}");
    assert_eq!((&written["kind"], &written["version"]), (&"rekopia-receipt".into(), &1.into()));
    assert_eq!(
        (&written["files"], &written["directories"], &written["symlinks"]),
        (&31.into(), &11.into(), &1.into())
    );
    assert_eq!(written["snapshot"]["source"], "paperless@media:/data");
    assert_eq!((&written["others"], &written["losses"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(written["program"].as_str().unwrap().starts_with("rekopia "));
    for time in [&written["begin"], &written["end"], &written["snapshot"]["startTime"]] {
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }

    let moved = dir.path().join("moved");
    fs::rename(&target, &moved).unwrap();
    let equal = verified(&receipt, &moved, &[]);
    assert_eq!(code(&equal), 0, "{}", text(&equal.stderr));
    assert!(
        text(&equal.stderr).contains("Equal to the receipt: 31 files, 11 directories and 1 symbolic link")
    );

    fs::write(moved.join("config/secret.key"), "other").unwrap();
    let different = verified(&receipt, &moved, &[]);
    let said = text(&different.stderr);
    assert_eq!(code(&different), 3, "{said}");
    assert!(
        said.contains("differs: config: an entry in it\n") && said.contains("\nDIFFERENT: 31 files"),
        "{said}"
    );
    let different = verified(&receipt, &moved, &["--json"]);
    let last: Value = serde_json::from_str(text(&different.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["exitCode"], &last["equal"], &last["expected"]["treeHash"]),
        (&3.into(), &false.into(), &hash.into())
    );
    assert_eq!(last["differences"][0]["path"], "config");
    assert_eq!(verified(&receipt, &moved, &["-q"]).stderr, b"");
}

#[test]
fn what_cannot_be_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (target, receipt) = (dir.path().join("t"), dir.path().join("r.json"));
    let made =
        restored("quickstart", &["--receipt", receipt.to_str().unwrap(), "latest", target.to_str().unwrap()]);
    assert_eq!(code(&made), 0);
    let away = verified(&receipt, &dir.path().join("no"), &[]);
    assert_eq!(code(&away), 16, "{}", text(&away.stderr));
    assert_eq!(code(&verified(&receipt, &receipt, &[])), 16, "a file is no directory");
    assert_eq!(code(&verified(&dir.path().join("no"), &target, &[])), 2);
    let none = dir.path().join("none");
    for (content, part) in [
        ("{}", "not a receipt"),
        ("", "not a receipt"),
        (r#"{"kind":"rekopia-receipt","version":2}"#, "version 2"),
    ] {
        fs::write(&none, content).unwrap();
        let output = verified(&none, &target, &[]);
        assert_eq!(code(&output), 2);
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
    let receipt = receipt.to_str().unwrap();
    let target = target.to_str().unwrap();
    for wrong in [
        &["verify", "--receipt", receipt][..],
        &["verify", "latest", "--receipt", receipt, "--against", target],
        &["verify", "--receipt", receipt, "--against", target, "--no-mode"],
        &["verify", "--receipt", receipt, "--against", target, "--as-of", "2026"],
        &["verify", "--against", target],
        &["restore", "--dry-run", "--receipt", receipt, "latest", target],
        &["restore", "--report", receipt, "--receipt", receipt, "latest", target],
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_rekopia")).args(wrong).stdin(Stdio::null()).output().unwrap();
        assert_eq!(code(&output), 2, "{wrong:?}: {}", text(&output.stderr));
    }
}

/// Written when entries are missing, and at no other end.
#[test]
fn a_receipt_of_losses_and_none_of_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let (target, receipt) = (dir.path().join("t"), dir.path().join("r.json"));
    let args = ["--receipt", receipt.to_str().unwrap(), "latest", target.to_str().unwrap()];
    let stopped = restored("damaged-pack-missing", &[&["--on-error", "stop"][..], &args].concat());
    assert_eq!(code(&stopped), 14);
    assert!(!receipt.exists());
    let output = restored("damaged-pack-missing", &args);
    assert_eq!(code(&output), 3, "{}", text(&output.stderr));
    let written = read(&receipt);
    assert_eq!(written["failed"].as_u64().unwrap() as usize, written["losses"].as_array().unwrap().len());
    assert_eq!(written["losses"][0]["kind"], "corrupt");
    assert_eq!(code(&verified(&receipt, &target, &[])), 0);
    let gone = restored("quickstart", &["--receipt", receipt.to_str().unwrap(), "latest/nothing", "x"]);
    assert_eq!(code(&gone), 13);
    assert_eq!(read(&receipt), written, "an old one stays");
}

#[test]
fn a_receipt_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let write = |receipt: &Path| {
        let args = ["--receipt", receipt.to_str().unwrap(), "latest", target.to_str().unwrap()];
        let output = restored("quickstart", &args);
        (code(&output), text(&output.stderr).to_owned())
    };
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    for place in [&folder, Path::new("/dev/null"), &dir.path().join("dangling")] {
        let _ = symlink("/nowhere/at/all", dir.path().join("dangling"));
        let (code, said) = write(place);
        assert!(code == 1 && said.contains("cannot write the receipt"), "{}: {said}", place.display());
    }
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    // Through a link the file is replaced that it leads to.
    let (real, link) = (folder.join("r.json"), dir.path().join("link"));
    fs::write(&real, "old").unwrap();
    symlink(&real, &link).unwrap();
    assert_eq!(write(&link).0, 0);
    assert!(link.is_symlink() && read(&real)["version"] == 1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing half-written stays");
    // In the target, beside a report.
    let (inside, report) = (target.join("receipt.json"), target.join("report.jsonl"));
    let args = ["--receipt", inside.to_str().unwrap(), "--report", report.to_str().unwrap(), "latest"];
    let output = restored("quickstart", &[&args[..], &[target.to_str().unwrap()]].concat());
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(read(&inside)["others"], serde_json::json!(["receipt.json", "report.jsonl"]));
    let equal = verified(&inside, &target, &[]);
    assert_eq!(code(&equal), 0, "{}", text(&equal.stderr));
}

/// `tree_hash.mjs` is written from docs/receipt.md alone.
#[test]
fn another_program_computes_the_same_hash() {
    if !has_programs("receipts, computed by another program", &["node"]) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tree_hash.mjs");
    let agrees = |receipt: &Path, target: &Path| {
        let output = Command::new("node").arg(script).args([receipt, target]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let hash = text(&output.stdout).trim().to_owned();
        assert_eq!(read(receipt)["treeHash"], hash.as_str(), "{}", target.display());
    };
    let dir = tempfile::tempdir().unwrap();
    for name in ["quickstart", "deep-indirect", "many-files", "volsync", "weird-tree", "format-v1"] {
        let (target, receipt) = (dir.path().join(name), dir.path().join("r.json"));
        let id = &Fixture::load(name).snapshots[0].manifest_id;
        let args = ["--receipt", receipt.to_str().unwrap(), id, target.to_str().unwrap()];
        let output = restored(name, &args);
        assert_eq!(code(&output), 0, "{name}: {}", text(&output.stderr));
        agrees(&receipt, &target);
        // Once more, with what was there before.
        fs::create_dir_all(target.join("own folder/deep")).unwrap();
        for odd in [&b"back\\slash"[..], b"\xff\xfe-", "\u{e4}\u{202e}".as_bytes()] {
            fs::write(target.join(OsStr::from_bytes(odd)), "x").unwrap();
        }
        assert_eq!(code(&restored(name, &args)), 0);
        assert_eq!(read(&receipt)["others"].as_array().unwrap().len(), 4, "{name}");
        agrees(&receipt, &target);
    }
    let (one, receipt) = (dir.path().join("one"), dir.path().join("r.json"));
    let from = "latest/config/secret.key";
    let output =
        restored("quickstart", &["--receipt", receipt.to_str().unwrap(), from, one.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    agrees(&receipt, &one);
}
