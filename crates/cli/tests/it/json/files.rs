//! Files that the program writes for programs: report, receipt, state.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rekopia_testkit::schema;
use serde_json::{Value, json};

use super::{damaged, of};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn report_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut members = BTreeSet::new();
    for name in damaged().iter().map(String::as_str).chain(["quickstart"]) {
        let (target, report) = (dir.path().join(name), dir.path().join(format!("{name}.jsonl")));
        let files = ["--report", report.to_str().unwrap(), "latest", target.to_str().unwrap()];
        let ran = of(name, &[&["restore", "--owner", "keep", "--fill-holes", "zero"], &files[..]].concat());
        if !report.exists() {
            assert_ne!(ran.code, 0, "{name}");
            continue;
        }
        for (number, line) in fs::read_to_string(&report).unwrap().lines().enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            schema::check("report-line", &line);
            assert_eq!(line.get("version"), (number == 0).then_some(&json!(1)), "{line}");
            let optional = schema::unnoticed("report-line", &line);
            assert!(optional.iter().all(|one| one == " - version"), "{line}: {optional:?}");
            members.extend(line.as_object().unwrap().keys().cloned());
        }
    }
    for member in ["bytes", "failed", "kind", "lost", "leftOver", "content", "pack", "cause"] {
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
