//! The contract with VolSync's operator: its Jobs, the scenarios of its §8, and what it sees of a run.
//!
//! Each is a run of the built program with only the listed environment. One table names all scenarios.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod cloud;
mod damage;
mod emptiness;
mod jobs;
mod json;
mod mount;
mod operator;
mod outside;
mod owners;
mod place;
mod process;
mod receipt;
mod scarce;
mod selection;
mod settings;
mod stock;
mod stopping;
mod storage;
mod table;
mod volume;

use std::collections::BTreeSet;

use place::{Place, S3};

use rekopia_format::directory::{DirectorySummary, EntryFailure};
use rekopia_testkit::writer::{
    DirectorySink, EntryKind, NewSnapshot, RepositoryWriter, Source, WriterOptions,
};
use table::{Case, check};

const TABLES: [&[Case]; 9] = [
    selection::CASES,
    emptiness::CASES,
    damage::CASES,
    volume::CASES,
    owners::CASES,
    storage::CASES,
    settings::CASES,
    process::CASES,
    operator::CASES,
];

/// Besides 1 to 81 and 84 to 88: the variants that were found while running.
const VARIANTS: [&str; 20] = [
    "T08b", "T14b", "T17b", "T21f", "T21g", "T27b", "T30f", "T31b", "T31c", "T31h", "T31i", "T34c", "T36b",
    "T54s", "T57b", "T64b", "T78b", "T80b", "T88b", "T88c",
];

#[test]
fn every_scenario_has_a_run() {
    let cases: Vec<&Case> = TABLES.iter().copied().flatten().collect();
    let listed: BTreeSet<&str> = cases.iter().map(|(id, _)| *id).collect();
    assert_eq!(listed.len(), cases.len(), "an id stands twice");
    let numbers = (1..=81).chain(84..=88).map(|n| format!("T{n:02}"));
    for id in numbers.chain(VARIANTS.iter().map(|v| (*v).to_owned())) {
        assert!(listed.contains(id.as_str()), "{id} has no run");
    }
}

// Each has a test of its own, so that they run side by side.
#[test]
fn selection_is_as_agreed() {
    check(selection::CASES);
}

#[test]
fn emptiness_is_as_agreed() {
    check(emptiness::CASES);
}

#[test]
fn volume_is_as_agreed() {
    check(volume::CASES);
}

#[test]
fn damage_is_as_agreed() {
    check(damage::CASES);
}

#[test]
fn owners_are_as_agreed() {
    check(owners::CASES);
}

#[test]
fn storage_is_as_agreed() {
    check(storage::CASES);
}

#[test]
fn settings_are_as_agreed() {
    check(settings::CASES);
}

#[test]
fn process_is_as_agreed() {
    check(process::CASES);
}

#[test]
fn operator_sees_what_is_agreed() {
    check(operator::CASES);
}

#[test]
fn check_writes_nothing_and_ends_alike() {
    let mut place = Place::new();
    place.args = vec!["check".into()];
    place.refuses(0, "Snapshot restore would be completed");
    place.set("KOPIA_PREVIOUS", "9").refuses(13, "correct restoreAsOf or previous");
    place.refuses(13, "ERROR: a restore would have failed (no-such-snapshot, exit 13)");
}

#[test]
fn a_pin_beats_everything() {
    let mut place = Place::new();
    place.set("REKOPIA_REPOSITORY_UNIQUE_ID", "00ff").set("REKOPIA_ON_NO_REPOSITORY", "continue");
    place.refuses(10, "repositoryUniqueID");
    let empty = place.folder("empty");
    place.at(&empty).refuses(10, "no Kopia repository");
}

/// A log that nobody takes changes nothing about the restore, its code and its termination message.
#[test]
fn a_log_that_cannot_be_written_is_no_failure() {
    let mut place = Place::new();
    let path = place.dir.path().join("termination-log");
    std::fs::write(&path, "").unwrap();
    place.set("REKOPIA_TERMINATION_LOG", path.to_str().unwrap());
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status = place.command().stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let message: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&message["outcome"], &message["exitCode"]), (&"restored".into(), &0.into()));
    place.holds(S3);
}

/// A repository with one snapshot of `app@ns:/data` whose root is `changed`.
fn made(place: &mut Place, start_ns: i64, change: impl FnOnce(&mut DirectorySummary)) {
    let (repository, tree) = (place.folder("made"), place.folder("tree"));
    std::fs::write(tree.join("file"), "data").unwrap();
    let options = WriterOptions { password: "secret".into(), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(&repository).unwrap(), options).unwrap();
    let mut root = writer.put_tree(&tree).unwrap();
    let EntryKind::Directory(summary) = &mut root.kind else { panic!("no directory") };
    change(summary);
    let source = Source { user: "app".into(), host: "ns".into(), path: "/data".into() };
    writer.put_snapshot(&NewSnapshot::new(source, start_ns, root)).unwrap();
    writer.flush().unwrap();
    place.at(&repository);
}

const IN_2023: i64 = 1_700_000_000_000_000_000;

#[test]
fn snapshots_with_errors_are_named_or_refused() {
    let mut place = Place::new();
    made(&mut place, IN_2023, |summary| summary.num_ignored_errors = 2);
    place.set("REKOPIA_ON_ERRORS", "refuse");
    place.refuses(18, "recorded 2 errors when it was taken; set restoreAsOf");
    place.refuses(18, "(refused-errors, exit 18)");
    place.set("REKOPIA_ON_ERRORS", "warn").ends(0, "WARN: no error, but: snapshot ");
}

#[test]
fn recorded_errors_are_named_in_the_log_and_the_termination_message() {
    let mut place = Place::new();
    made(&mut place, IN_2023, |summary| {
        summary.num_failed = 12;
        let failure = |n| EntryFailure::new(format!("db/{n:02}"), "permission denied");
        summary.errors = (0..12).map(failure).collect();
    });
    let path = place.dir.path().join("termination-log");
    std::fs::write(&path, "").unwrap();
    place.set("REKOPIA_TERMINATION_LOG", path.to_str().unwrap());
    let ended = place.ends(0, "recorded 12 errors when it was taken: db/00, db/01, ");
    assert!(ended.log.contains("INFO: the snapshot recorded: db/09: permission denied"), "{}", ended.log);
    assert!(operator::status(&ended.log).contains("recorded 12 errors when it was taken"), "{}", ended.log);
    let message: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(message["recordedErrors"], 12);
    assert_eq!(message["firstRecordedErrors"].as_array().map(Vec::len), Some(10), "{message}");
}

#[test]
fn a_snapshot_of_the_future_is_a_warning_that_the_operator_shows() {
    let mut place = Place::new();
    let hour = 3_600_000_000_000;
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    made(&mut place, now + hour, |_| {});
    let ended = place.ends(0, "Snapshot restore completed");
    assert!(operator::status(&ended.log).contains("is dated in the future"), "{}", ended.log);
}

/// The engine looks before it deletes; needs file deletion to be on.
#[test]
fn deletion_has_a_limit() {
    let mut place = Place::with("KOPIA_ENABLE_FILE_DELETION", "true");
    for name in ["old/a", "old/b", "old/c"] {
        place.put(name);
    }
    place.set("REKOPIA_MAX_DELETE", "3").ends(18, "(refused-delete, exit 18)");
    assert_eq!(std::fs::read_dir(place.data()).unwrap().count(), 1, "the volume was touched");
    place.set("REKOPIA_MAX_DELETE", "4").ends(0, "extra entries deleted");
    place.holds(S3);
}

#[test]
fn the_termination_message_is_one_object() {
    let mut place = Place::new();
    let path = place.dir.path().join("termination-log");
    std::fs::write(&path, "").unwrap();
    place.set("REKOPIA_TERMINATION_LOG", path.to_str().unwrap()).restores(S3);
    let message: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&message["outcome"], &message["losses"]), (&"restored".into(), &0.into()));
    assert_eq!((&message["files"], &message["exitCode"]), (&7.into(), &0.into()));
    for part in ["key derivation", "open", "select", "restore", "sync"] {
        assert!(message["times"][part].is_f64(), "{part}: {message}");
    }
}
