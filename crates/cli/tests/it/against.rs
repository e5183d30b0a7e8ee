//! `verify REF --against DIR`: what differs, for people and for programs.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::Fixture;
use serde_json::Value;

fn rekopia(args: &[&str]) -> Output {
    let fixture = Fixture::load("quickstart");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--repo").arg(fixture.repo()).args(args).stdin(Stdio::null());
    command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", "/proc/nonexistent").output().unwrap()
}

/// Returns who owns restored files here: only root can give files away.
fn owner() -> &'static str {
    if rustix::process::geteuid().is_root() { "keep" } else { "skip" }
}

fn against(target: &Path, more: &[&str]) -> Output {
    let before = ["verify", "latest", "--against", target.to_str().unwrap(), "--owner", owner()];
    rekopia(&[&before[..], more].concat())
}

#[test]
fn equal_is_0_different_3_and_each_difference_has_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let restored = rekopia(&["restore", "latest", target.to_str().unwrap(), "--owner", owner()]);
    assert_eq!(restored.status.code(), Some(0));
    let equal = against(&target, &[]);
    let said = String::from_utf8(equal.stderr).unwrap();
    assert_eq!(equal.status.code(), Some(0), "{said}");
    assert!(said.contains("Equal are 31 files, 11 directories and 1 symbolic link"), "{said}");

    std::fs::write(target.join("config/secret.key"), "other").unwrap();
    std::fs::write(target.join("config/new"), "").unwrap();
    std::fs::remove_file(target.join("db.sqlite3")).unwrap();
    let output = against(&target, &["--no-times"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    for line in [
        "differs: config/secret.key: 5 bytes instead of ",
        "differs: config/new: extra\n",
        "differs: db.sqlite3: missing\n",
        "3 entries differ (named above).",
    ] {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    let output = against(&target, &["--no-times", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let differing: Vec<&Value> = lines.iter().filter(|line| line["event"] == "differs").collect();
    assert_eq!(differing.len(), 3, "{text}");
    let last = lines.last().unwrap();
    assert_eq!((&last["exitCode"], last["failures"].as_array().unwrap().len()), (&3.into(), 3));
    assert!(last["failures"].as_array().unwrap().iter().any(|one| one["differs"][0] == "extra"), "{last}");
}

#[test]
fn what_cannot_be_compared() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(against(&dir.path().join("no"), &[]).status.code(), Some(16));
    let without = rekopia(&["verify", "--against", "x"]);
    assert_eq!(without.status.code(), Some(2));
    assert_eq!(rekopia(&["verify", "latest", "--no-mode"]).status.code(), Some(2));
    assert_eq!(rekopia(&["verify", "latest/nothing", "--against", "/"]).status.code(), Some(13));
}
