//! `restore` and `verify`: every line of their streams, however they end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::schema;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Ran, damaged, of, ran, with_errors};

/// Whoever is not root cannot give files away.
fn owner() -> &'static str {
    if rustix::process::geteuid().is_root() { "keep" } else { "skip" }
}

fn restore(name: &str, target: &Path, more: &[&str]) -> Ran {
    let args = ["restore", "--owner", owner(), "latest", target.to_str().unwrap()];
    of(name, &[&args[..], more].concat())
}

/// The names of all fields, with those above them.
fn fields(value: &Value, path: &str, names: &mut BTreeSet<String>) {
    if let Value::Object(members) = value {
        for (name, value) in members {
            names.insert(format!("{path}{name}"));
            fields(value, &format!("{path}{name}."), names);
        }
    } else if let Value::Array(items) = value {
        items.iter().for_each(|item| fields(item, path, names));
    }
}

#[test]
fn restores_of_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let fresh = restore("quickstart", &target, &["--verify"]).ends(0);
    assert_eq!((&fresh["files"], &fresh["event"]), (&31.into(), &"report".into()));
    // Something else, something less and something more.
    fs::write(target.join("config/secret.key"), "other").unwrap();
    fs::remove_file(target.join("db.sqlite3")).unwrap();
    fs::create_dir(target.join("old")).unwrap();
    fs::write(target.join("old/file"), "").unwrap();
    let planned = restore("quickstart", &target, &["--dry-run", "--delete-extra", "--probe"]).ends(0);
    let deletion = &planned["planned"]["deletion"];
    assert_eq!((&deletion["entries"], &deletion["first"][0]), (&2.into(), &"old/".into()), "{planned:#}");
    assert!(planned["planned"]["firstChanged"][0].is_string(), "{planned:#}");
    assert!(planned["planned"]["estimate"]["bound"].is_string(), "{planned:#}");
    restore("quickstart", &target, &["--delete-extra", "--yes", "--max-delete", "1"]).ends(18);
    restore("quickstart", &target, &["--skip-existing"]).ends(0);
    let mirrored = restore("quickstart", &target, &["--delete-extra", "--yes"]).ends(0);
    assert_eq!(mirrored["deleted"], 2);
    let file = dir.path().join("file");
    of("quickstart", &["restore", "--owner", owner(), "latest/config/secret.key", file.to_str().unwrap()])
        .ends(0);
}

#[test]
fn restores_and_verifications_of_damaged_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let mut codes = BTreeSet::new();
    for name in damaged() {
        let target = dir.path().join(&name);
        for more in [&[][..], &["--on-error", "stop", "--dry-run"], &["--on-error", "stop"]] {
            let ran = restore(&name, &target, more);
            codes.insert(ran.code);
            ran.ends(ran.code);
        }
        let ran = of(&name, &["verify", "--all"]);
        ran.ends(ran.code);
    }
    assert!(codes.is_superset(&[0, 3, 12, 14].into()), "{codes:?}");
}

#[test]
fn verifications_of_every_kind() {
    for args in [&["latest"][..], &[], &["--all", "--hash"], &["--presence"], &["--sample", "20%"]] {
        of("quickstart", &[&["verify"], args].concat()).ends(0);
    }
    let affected = of("damaged-pack-flipped", &["verify", "--all"]).ends(14);
    assert!(affected["verified"]["affected"][0]["first"][0].is_string(), "{affected:#}");
    of("checkpoint-partial", &["verify", "--incomplete"]).ends(0);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore("quickstart", &target, &[]).ends(0);
    fs::write(target.join("config/secret.key"), "other").unwrap();
    let against = ["verify", "latest", "--owner", owner(), "--against", target.to_str().unwrap()];
    let differs = of("quickstart", &against).ends(3);
    assert!(differs["failures"][0]["differs"][0].is_string(), "{differs:#}");
}

#[test]
fn errors_that_a_snapshot_recorded_and_incomplete_ones() {
    let dir = tempfile::tempdir().unwrap();
    let repo = with_errors(dir.path());
    let target = dir.path().join("t");
    let report = ran(&repo, "secret", &["restore", "--owner", owner(), "latest", target.to_str().unwrap()]);
    let recorded = report.ends(0)["recordedErrors"][0].clone();
    assert_eq!((&recorded["count"], &recorded["first"][9]["path"]), (&12.into(), &"db/09".into()));
    let partial = restore("checkpoint-partial", &dir.path().join("p"), &["--incomplete"]).ends(0);
    assert!(partial["incomplete"][0]["message"].is_string(), "{partial:#}");
}

#[test]
fn what_was_stopped_has_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::load("quickstart");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--json").arg("--repo").arg(fixture.repo()).args(["--limit-download", "5000", "restore"]);
    command.args(["latest", dir.path().join("t").to_str().unwrap()]).stdin(Stdio::null());
    command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", "/proc/nonexistent");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut out = String::new();
    while !out.contains("restoring") {
        out.push_str(&(lines.next().unwrap().unwrap() + "\n"));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    lines.for_each(|line| out.push_str(&(line.unwrap() + "\n")));
    let code = child.wait().unwrap().code().unwrap();
    let report = Ran { code, out, err: String::new() }.ends(130);
    assert_eq!((&report["event"], &report["cancelled"]), (&"report".into(), &true.into()), "{report:#}");
}

/// A field that is renamed, lost or new is noticed, wherever it stands.
#[test]
fn the_schema_of_reports_is_strict() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let plan = restore("damaged-pack-missing", &target, &["--dry-run", "--link", "1MB/s"]).out;
    let set = of("damaged-pack-flipped", &["verify", "--all"]).out;
    for text in [plan, set] {
        let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let open = schema::unnoticed("report", &report);
        let optional = |one: &str| {
            let names =
                ["planned", "verified", "availableBytes", "estimate", "coveredSince", "fatal", "endedBy"];
            names.iter().any(|name| one.ends_with(&format!(" - {name}")))
        };
        let open: Vec<&String> = open.iter().filter(|one| !optional(one)).collect();
        assert_eq!(open, [""; 0]);
        let mut names = BTreeSet::new();
        fields(&report, "", &mut names);
        assert!(names.iter().all(|name| !name.contains('_') && !name.contains('-')), "{names:?}");
    }
}
