//! Files that the program writes for programs: report, receipt, state.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::{Fixture, copy_dir};
use rekopia_testkit::schema;
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Source, WriterOptions};
use serde_json::{Value, json};

use super::{damaged, of, ran};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Checks each line of a report; gives the names of all fields.
fn checked(report: &Path) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for (number, line) in fs::read_to_string(report).unwrap().lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        schema::check("report-line", &line);
        assert_eq!(line.get("version"), (number == 0).then_some(&json!(1)), "{line}");
        let optional = schema::unnoticed("report-line", &line);
        assert!(optional.iter().all(|one| one == " - version"), "{line}: {optional:?}");
        fields.extend(line.as_object().unwrap().keys().cloned());
    }
    fields
}

/// A repository whose only file has lost one of its ten contents.
fn with_a_hole(dir: &Path) -> PathBuf {
    let (repo, tree) = (dir.join("repo"), dir.join("tree"));
    fs::create_dir(&tree).unwrap();
    let data: Vec<u8> = (0..40_960).map(|n| (n as u8).wrapping_mul(31) ^ (n / 4096) as u8).collect();
    fs::write(tree.join("file"), data).unwrap();
    let options = WriterOptions {
        password: "secret".into(),
        chunk_size: Some(4096),
        max_pack_size: 1,
        ..WriterOptions::default()
    };
    let mut writer = RepositoryWriter::create(DirectorySink::create(&repo).unwrap(), options).unwrap();
    let root = writer.put_tree(&tree).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/p".into() };
    writer.put_snapshot(&NewSnapshot::new(source, 1_700_000_000_000_000_000, root)).unwrap();
    writer.flush().unwrap();
    let damaged = Damaged::in_place(&repo);
    damaged.delete(&damaged.blobs("p")[0]);
    repo
}

/// A restore by somebody who cannot give files away.
fn by_nobody(dir: &Path, report: &Path) {
    let (program, repo, home) = (dir.join("program"), dir.join("quickstart"), dir.join("home"));
    fs::copy(env!("CARGO_BIN_EXE_rekopia"), &program).unwrap();
    let fixture = Fixture::load("quickstart");
    copy_dir(&fixture.repo(), &repo);
    fs::create_dir(&home).unwrap();
    for open in [dir, &home] {
        fs::set_permissions(open, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new(program);
    command.arg("--repo").arg(repo).args(["restore", "latest", "--report"]).arg(report).arg(home.join("t"));
    command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", &home).stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    assert!(command.output().unwrap().status.success());
}

#[test]
fn report_files() {
    let dir = tempfile::tempdir().unwrap();
    let (hole, nobody) = (dir.path().join("hole.jsonl"), dir.path().join("home/nobody.jsonl"));
    let target = dir.path().join("hole");
    let args =
        ["--fill-holes", "zero", "--report", hole.to_str().unwrap(), "latest", target.to_str().unwrap()];
    ran(&with_a_hole(dir.path()), "secret", &[&["restore"], &args[..]].concat()).ends(3);
    by_nobody(dir.path(), &nobody);
    let mut members = checked(&hole);
    members.extend(checked(&nobody));
    for name in damaged().iter().map(String::as_str).chain(["quickstart"]) {
        let (target, report) = (dir.path().join(name), dir.path().join(format!("{name}.jsonl")));
        let files = ["--report", report.to_str().unwrap(), "latest", target.to_str().unwrap()];
        let ran = of(name, &[&["restore", "--fill-holes", "zero"], &files[..]].concat());
        if !report.exists() {
            assert_ne!(ran.code, 0, "{name}");
            continue;
        }
        members.extend(checked(&report));
    }
    for member in ["unset", "bytes", "failed", "kind", "lost", "leftOver", "content", "pack", "cause"] {
        assert!(members.contains(member), "{member} is in no report: {members:?}");
    }
}

#[test]
fn states_of_verifications() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.json");
    for name in ["quickstart", "damaged-pack-flipped"] {
        let _ = fs::remove_file(&state);
        of(name, &["verify", "--all", "--state", state.to_str().unwrap()]);
        let written = read(&state);
        schema::check("verify-state", &written);
        assert_eq!(written["damaged"] == json!({}), name == "quickstart", "{written:#}");
        let open = schema::unnoticed("verify-state", &written);
        assert!(open.iter().all(|one| one.starts_with("/packs") || one.starts_with("/damaged")), "{open:?}");
    }
}

#[test]
fn receipts_and_their_checks() {
    let dir = tempfile::tempdir().unwrap();
    let receipt = dir.path().join("receipt.json");
    let receipt_at = receipt.to_str().unwrap();
    for (name, reference, code) in [
        ("quickstart", "latest", 0),
        ("quickstart", "latest/config/secret.key", 0),
        ("damaged-pack-missing", "latest", 3),
    ] {
        let target = dir.path().join(format!("{name}-{}", reference.len()));
        let target = target.to_str().unwrap();
        let report = of(name, &["restore", "--receipt", receipt_at, reference, target]).ends(code);
        let written = read(&receipt);
        schema::check("receipt", &written);
        assert_eq!(schema::unnoticed("receipt", &written), BTreeSet::new());
        assert_eq!(report["treeHash"], written["treeHash"]);
        let check = ["verify", "--receipt", receipt_at, "--against", target];
        assert_eq!(of(name, &check).ends(0)["equal"], true);
    }
    let target = dir.path().join("quickstart-6");
    of("quickstart", &["restore", "--receipt", receipt_at, "latest", target.to_str().unwrap()]).ends(0);
    fs::write(target.join("config/new"), "").unwrap();
    let different =
        of("quickstart", &["verify", "--receipt", receipt_at, "--against", target.to_str().unwrap()]);
    let different = different.ends(3);
    assert_eq!(different["differences"][0]["what"], "differs");
    assert_eq!(schema::unnoticed("receipt-check", &different), BTreeSet::new());
}
