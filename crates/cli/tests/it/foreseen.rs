//! What a dry run tells of reads, room and time.

use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::Fixture;
use serde_json::Value;

fn dry_run(more: &[&str]) -> Output {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--repo").arg(fixture.repo()).args(["restore", "latest"]).arg(&target).args(more);
    command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", "/proc/nonexistent").stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(!target.exists() && std::fs::read_dir(dir.path()).unwrap().count() == 0, "something was written");
    output
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn planned(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str::<Value>(text.lines().last().unwrap()).unwrap()["planned"].clone()
}

#[test]
fn reads_and_room_are_told_and_time_only_with_a_rate() {
    let output = dry_run(&["--dry-run"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("It would read ") && said.contains(" from 3 packs; nothing was written."),
        "{said}"
    );
    assert!(said.contains("\nIt needs ") && said.contains(" of room in the target, where "), "{said}");
    assert!(!said.contains("It would take"), "{said}");
    for rate in [&["--link", "10kB/s"][..], &["--probe"], &["--probe", "--link", "1Gbit/s"]] {
        let output = dry_run(&[&["--dry-run"][..], rate].concat());
        let said = self::said(&output);
        assert!(
            said.contains("\nIt would take about ") && output.status.code() == Some(0),
            "{rate:?}: {said}"
        );
        assert!(said.lines().skip(1).all(|line| line.chars().count() <= 80), "{said}");
    }
}

#[test]
fn a_program_gets_the_numbers() {
    let slow = planned(&dry_run(&["--dry-run", "--json", "--link", "10kB/s"]));
    let seconds = slow["estimate"]["seconds"].as_f64().unwrap();
    assert!(seconds >= slow["bytes"].as_f64().unwrap() / 10_000.0, "{slow}");
    assert_eq!((&slow["estimate"]["bound"], &slow["estimate"]["probedBytes"]), (&"link".into(), &0.into()));
    assert!(slow["roomBytes"].as_u64().unwrap() > 0 && slow["availableBytes"].is_u64(), "{slow}");
    let probed = planned(&dry_run(&["--dry-run", "--json", "--probe"]));
    assert!(probed["estimate"]["probedBytes"].as_u64().unwrap() > 0, "{probed}");
    assert!(planned(&dry_run(&["--dry-run", "--json"]))["estimate"].is_null());
}

#[test]
fn a_rate_needs_a_dry_run_and_has_to_be_one() {
    for wrong in [
        &["--link", "10MB/s"][..],
        &["--probe"],
        &["--dry-run", "--link", "0"],
        &["--dry-run", "--link", "quick"],
        &["--dry-run", "--link", "-1"],
    ] {
        assert_eq!(dry_run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
