//! The scenarios of the mover's contract, each a run of the built program with only the listed environment.
//!
//! One table names them all; a scenario without a run says why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod place;
mod steps;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use place::{Place, S1, S2, S3, status};
use rekopia_testkit::tree::Tree;
use steps::{
    as_uid, cache_is_left_alone, damaged_pack, file_deletion, first_directory_of_snapshot, first_file,
    first_file_of_snapshot, hand_over, hand_over_needs_a_repository, incomplete_newest, killed_and_completed,
    no_repository, open_to_all, path_override, remove_blobs, rerun_changes_nothing, terminated, unprivileged,
    unreachable,
};

type Run = fn();
enum How {
    Run(Run),
    Reason(&'static str),
}
use How::{Reason, Run as Does};

const UNIT: How = Reason("a test of src/backend.rs checks what reaches the storage");

/// Every scenario of the contract.
const TABLE: &[(&str, How)] = &[
    ("T01", Does(|| drop(Place::new().restores(S3)))),
    ("T02", Does(|| drop(Place::with("KOPIA_PREVIOUS", "1").restores(S2)))),
    ("T03", Does(|| drop(Place::with("KOPIA_PREVIOUS", "0").restores(S3)))),
    ("T04", Does(|| drop(Place::with("KOPIA_PREVIOUS", "9").refuses(13, "3 complete of 3 exist")))),
    ("T05", Does(|| drop(Place::with("KOPIA_RESTORE_AS_OF", "2026-11-23T06:22:04Z").restores(S2)))),
    ("T06", Does(|| drop(Place::with("KOPIA_RESTORE_AS_OF", "2026-11-23T06:22:02.756101145Z").restores(S2)))),
    (
        "T07",
        Does(|| {
            drop(
                Place::with("KOPIA_RESTORE_AS_OF", "1980-08-10T23:59:59-04:00")
                    .refuses(13, "the oldest of 2026"),
            )
        }),
    ),
    ("T08", Does(|| drop(Place::with("KOPIA_RESTORE_AS_OF", "2026-11-22T22:22:04-08:00").restores(S2)))),
    ("T08b", Does(|| drop(Place::with("KOPIA_RESTORE_AS_OF", "2026-11-23T14:22:01+08:00").restores(S1)))),
    (
        "T09",
        Does(|| {
            let mut place = Place::with("KOPIA_RESTORE_AS_OF", "2026-11-23T06:22:04Z");
            drop(place.set("KOPIA_PREVIOUS", "1").restores(S1));
        }),
    ),
    (
        "T10",
        Does(|| drop(Place::with("KOPIA_RESTORE_AS_OF", "2026-11-23T06:22:00Z").refuses(13, "restoreAsOf"))),
    ),
    ("T11", Does(|| drop(Place::with("KOPIA_RESTORE_AS_OF", "yesterday").refuses(2, "KOPIA_RESTORE_AS_OF")))),
    ("T12", Does(|| drop(Place::with("KOPIA_SHALLOW", "1").restores(S3)))),
    ("T13", Does(|| drop(Place::with("KOPIA_SHALLOW", "9999").restores(S3)))),
    ("T14", Does(|| drop(Place::with("KOPIA_SHALLOW", "1").set("KOPIA_PREVIOUS", "1").restores(S2)))),
    (
        "T14b",
        Does(|| drop(Place::with("KOPIA_SHALLOW", "1").set("KOPIA_PREVIOUS", "9").refuses(13, "previous"))),
    ),
    (
        "T15",
        Does(|| {
            let ended =
                Place::with("KOPIA_OVERRIDE_USERNAME", "other").refuses(0, "No eligible snapshots found");
            assert!(ended.log.contains("No snapshots found for other@media:/data"));
            assert!(ended.log.contains("=== No data will be restored ==="));
        }),
    ),
    (
        "T16",
        Reason(
            "no fixture is a repository without snapshots; an identity without any (T15) takes the same way",
        ),
    ),
    ("T17", Does(no_repository)),
    (
        "T17b",
        Does(|| {
            drop(Place::with("KOPIA_REPOSITORY", "filesystem:///no/such/place").refuses(10, "onNoRepository"))
        }),
    ),
    (
        "T18",
        Does(|| {
            drop(Place::with("KOPIA_PASSWORD", "not-this-one").refuses(12, "invalid repository password"))
        }),
    ),
    ("T19", Does(unreachable)),
    ("T20", Reason("a fault in the middle of an S3 run is injected in the command line's tests")),
    ("T21", Does(damaged_pack)),
    (
        "T21f",
        Does(|| {
            let mut place = Place::new();
            let repo = place.copied();
            remove_blobs(&repo, &["x", "n"]);
            drop(place.refuses(14, "failed"));
        }),
    ),
    ("T22", Does(incomplete_newest)),
    (
        "T23",
        Reason(
            "no fixture has an identity with incomplete snapshots only; the selection is tested in the engine",
        ),
    ),
    ("T24", Does(path_override)),
    (
        "T25",
        Does(|| {
            drop(
                Place::with("KOPIA_SOURCE_PATH_OVERRIDE", "/data/below")
                    .refuses(13, "paperless@media:/data 2026-11-23"),
            )
        }),
    ),
    ("T26", Does(file_deletion)),
    (
        "T27",
        Does(|| {
            let mut place = Place::with("KOPIA_ENABLE_FILE_DELETION", "true");
            std::fs::write(place.data().join("old"), "x").unwrap();
            drop(place.set("KOPIA_OVERRIDE_USERNAME", "other").ends(0, "No eligible snapshots found"));
            assert!(place.data().join("old").exists());
        }),
    ),
    (
        "T27b",
        Does(|| {
            let mut place = Place::with("KOPIA_ENABLE_FILE_DELETION", "true");
            std::fs::write(place.data().join("old"), "x").unwrap();
            drop(place.set("KOPIA_PASSWORD", "not-this-one").ends(12, "password"));
            assert!(place.data().join("old").exists());
        }),
    ),
    (
        "T28",
        Does(|| {
            let place = Place::new();
            std::fs::write(place.data().join("old"), "x").unwrap();
            drop(place.ends(0, "Snapshot restore completed"));
            assert!(place.data().join("old").exists());
        }),
    ),
    (
        "T29",
        Does(|| {
            let place = Place::new();
            drop(place.restores(S3));
            let file = first_file(&place.data());
            std::fs::write(&file, "something else").unwrap();
            drop(place.restores(S3));
        }),
    ),
    (
        "T30",
        Does(|| {
            let place = Place::new();
            let file = first_file_of_snapshot();
            std::fs::create_dir_all(place.data().join(file).join("in the way")).unwrap();
            drop(place.ends(3, "failed"));
        }),
    ),
    (
        "T30f",
        Does(|| {
            let place = Place::new();
            let outside = place.dir.path().join("outside");
            std::fs::create_dir(&outside).unwrap();
            let dir = first_directory_of_snapshot();
            std::os::unix::fs::symlink(&outside, place.data().join(dir)).unwrap();
            let ended = place.run();
            assert!(ended.code == 3 || ended.code == 0, "{}", ended.log);
            assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "a link was followed");
        }),
    ),
    ("T31", Does(unprivileged)),
    (
        "T31h",
        Does(|| {
            if rustix::process::geteuid().is_root() {
                let mut place = Place::new();
                let repo = place.copied();
                open_to_all(place.dir.path());
                std::fs::set_permissions(&repo, PermissionsExt::from_mode(0o700)).unwrap();
                let output = as_uid(&place, 1234).output().unwrap();
                assert_eq!(output.status.code(), Some(15), "{}", String::from_utf8_lossy(&output.stdout));
            }
        }),
    ),
    ("T31i", Does(|| drop(Place::new().restores(S3)))),
    ("T32", Does(|| drop(Place::new().restores(S3)))),
    ("T33", Does(|| drop(Place::new().restores(S3)))),
    ("T34", Reason("the image's test runs in a read-only root without /tmp")),
    ("T34c", Does(|| drop(Place::with("TMPDIR", "/nonexistent").restores(S3)))),
    (
        "T35",
        Does(|| {
            let mut place = Place::new();
            place.env.remove("KOPIA_PASSWORD");
            drop(place.refuses(2, "KOPIA_PASSWORD must be defined"));
        }),
    ),
    (
        "T36",
        Does(|| {
            let mut place = Place::new();
            let password = format!(" {}\n", place.fixture.password);
            drop(place.set("KOPIA_PASSWORD", &password).restores(S3));
        }),
    ),
    ("T37", Does(|| drop(Place::with("DATA_DIR", "/nope").ends(16, "Data directory /nope does not exist")))),
    ("T38", Does(|| drop(Place::with("KOPIA_CACHE_DIR", "/proc/nothing").restores(S3)))),
    (
        "T39",
        Does(|| {
            let mut place = Place::new();
            place.args = vec!["frobnicate".into()];
            drop(place.refuses(2, "unknown operation: frobnicate"));
        }),
    ),
    (
        "T40",
        Does(|| {
            let mut place = Place::new();
            place.args = vec!["maintenance".into()];
            drop(place.refuses(2, "DIRECTION=maintenance"));
        }),
    ),
    (
        "T41",
        Does(|| {
            let mut place = Place::new();
            place.args.clear();
            drop(place.refuses(2, "no operation"));
        }),
    ),
    (
        "T42",
        Does(|| {
            let mut place = Place::with("DIRECTION", "destination");
            place.args.clear();
            drop(place.restores(S3));
        }),
    ),
    ("T43", UNIT),
    ("T44", UNIT),
    ("T45", UNIT),
    ("T46", UNIT),
    ("T47", UNIT),
    ("T48", UNIT),
    ("T49", UNIT),
    ("T50", Does(|| drop(Place::with("CUSTOM_CA", "/no/ca.crt").ends(0, "WARN: CUSTOM_CA")))),
    ("T51", Does(|| drop(Place::new().restores(S3)))),
    (
        "T52",
        Does(|| {
            for url in ["filesystem://mnt/repo", "filesystem:///mnt/../repo", "/mnt/repo"] {
                drop(Place::with("KOPIA_REPOSITORY", url).refuses(2, "KOPIA_REPOSITORY"));
            }
        }),
    ),
    (
        "T53",
        Does(|| {
            let mut place = Place::new();
            let repo = place.copied();
            let before = Tree::read(&repo);
            drop(place.restores(S3));
            assert!(before.diff(&Tree::read(&repo), &[]).is_empty(), "the repository was written to");
        }),
    ),
    (
        "T54",
        Does(|| {
            for (name, value) in [
                ("KOPIA_AZURE_CONTAINER", "c"),
                ("KOPIA_GCS_BUCKET", "b"),
                ("KOPIA_B2_BUCKET", "b"),
                ("WEBDAV_URL", "https://x"),
                ("SFTP_HOST", "h"),
                ("GOOGLE_DRIVE_FOLDER_ID", "f"),
            ] {
                let mut place = Place::with(name, value);
                place.set("SFTP_PATH", "/x").set("KOPIA_REPOSITORY", "other://x");
                let ended = place.run();
                assert!(ended.code != 0, "{name}: {}", ended.log);
                place.untouched();
            }
        }),
    ),
    ("T55", UNIT),
    (
        "T56",
        Does(|| {
            drop(Place::with("KOPIA_MANUAL_CONFIG", "{bad").refuses(2, "Invalid JSON in KOPIA_MANUAL_CONFIG"))
        }),
    ),
    (
        "T57",
        Does(|| {
            drop(
                Place::with("KOPIA_MANUAL_CONFIG", r#"{"encryption":{"algorithm":"x"},"unknown":1}"#)
                    .restores(S3),
            )
        }),
    ),
    ("T57b", Does(|| drop(Place::with("KOPIA_MANUAL_CONFIG", "[1]").refuses(2, "not an object")))),
    (
        "T58",
        Does(|| drop(Place::with("KOPIA_MANUAL_CONFIG", r#"{"caching":{"maxCacheSize":1}}"#).restores(S3))),
    ),
    (
        "T59",
        Does(|| {
            let mut place = Place::new();
            let repo = place.fixture.repo();
            let json = format!(
                r#"{{"storage":{{"type":"filesystem","config":{{"path":{:?}}}}}}}"#,
                repo.to_str().unwrap()
            );
            place.set("KOPIA_REPOSITORY", "filesystem:///elsewhere");
            drop(place.set("KOPIA_STRUCTURED_REPOSITORY_CONFIG", &json).restores(S3));
        }),
    ),
    (
        "T60",
        Does(|| {
            drop(Place::with("KOPIA_STRUCTURED_REPOSITORY_CONFIG", "{bad").refuses(2, "KOPIA_STRUCTURED"))
        }),
    ),
    ("T61", Does(cache_is_left_alone)),
    ("T62", Does(cache_is_left_alone)),
    ("T63", Does(cache_is_left_alone)),
    ("T64", Does(cache_is_left_alone)),
    ("T64b", Does(|| drop(Place::with("KOPIA_PASSWORD", "not-this-one").refuses(12, "password")))),
    (
        "T65",
        Does(|| {
            drop(
                Place::with("KOPIA_ADDITIONAL_ARGS", "--parallel=16|VOLSYNC_ARG_SEP|--skip-existing")
                    .restores(S3),
            )
        }),
    ),
    (
        "T66",
        Does(|| {
            drop(Place::with("KOPIA_ADDITIONAL_ARGS", "--description=Steam_Game").refuses(2, "Steam_Game"))
        }),
    ),
    ("T67", Does(rerun_changes_nothing)),
    ("T68", Does(terminated)),
    ("T69", Does(killed_and_completed)),
    ("T70", Reason("our run does not use the stock cache, so it cannot exhaust it")),
    ("T71", Reason("needs a small file system of its own; the engine's tests fill one")),
    ("T72", Reason("the protocol's file lies in /tmp, which tests share; tried by hand")),
    (
        "T73",
        Does(|| {
            let text = status(&Place::new().run().log);
            assert!(
                text.contains("Snapshot restore completed successfully: snapshot") && text.contains("files"),
                "{text}"
            );
        }),
    ),
    (
        "T74",
        Does(|| {
            let text = status(&Place::with("KOPIA_OVERRIDE_USERNAME", "Paperless-src").run().log);
            assert!(text.contains("paperless@media:/data 2026-11-23"), "{text}");
            assert!(text.ends_with("onNearMiss: continue") && text.contains("near-miss, exit 13"), "{text}");
        }),
    ),
    ("T75", Does(|| drop(Place::new().restores(S3)))),
    ("T76", Reason("the HTTP client reads the proxy variables itself")),
    ("T77", Does(|| drop(Place::with("KOPIA_PASSWORD", "canary-in-the-log").refuses(12, "password")))),
    ("T78", Does(hand_over)),
    ("T78b", Does(hand_over_needs_a_repository)),
    ("T79", Reason("backup is the stock script's")),
    ("T80", Does(hand_over)),
    ("T80b", Does(hand_over_needs_a_repository)),
    (
        "T81",
        Does(|| {
            let mut place = Place::with("KOPIA_GLOBAL_POLICY_FILE", "/kopia-config/global-policy.json");
            let repo = place.copied();
            let before = Tree::read(&repo);
            drop(place.restores(S3));
            assert!(before.diff(&Tree::read(&repo), &[]).is_empty());
        }),
    ),
    ("T84", Does(|| drop(Place::with("KOPIA_PREVIOUS", "abc").refuses(2, "KOPIA_PREVIOUS")))),
    ("T85", Does(|| drop(Place::with("KOPIA_PREVIOUS", "-1").refuses(2, "KOPIA_PREVIOUS")))),
    ("T86", Does(|| drop(Place::with("KOPIA_SHALLOW", "0").restores(S3)))),
    ("T87", Does(|| drop(Place::with("KOPIA_RESTORE_AS_OF", "2026-11-23T06:22:02.757Z").restores(S2)))),
    (
        "T88",
        Does(|| {
            drop(
                Place::with("KOPIA_RESTORE_AS_OF", "2026-11-23T06:22:02\"Z")
                    .refuses(2, "KOPIA_RESTORE_AS_OF"),
            )
        }),
    ),
];

/// The contract's numbers: 1 to 81 and 84 to 88, and the variants that were found while running.
const VARIANTS: &[&str] =
    &["T08b", "T14b", "T17b", "T21f", "T27b", "T30f", "T31h", "T31i", "T34c", "T57b", "T64b", "T78b", "T80b"];

#[test]
fn every_scenario_has_a_run_or_a_reason() {
    let listed: BTreeSet<&str> = TABLE.iter().map(|(id, _)| *id).collect();
    assert_eq!(listed.len(), TABLE.len(), "an id stands twice");
    let numbers = (1..=81).chain(84..=88).map(|n| format!("T{n:02}"));
    for id in numbers.chain(VARIANTS.iter().map(|v| (*v).to_owned())) {
        assert!(listed.contains(id.as_str()), "{id} has neither a run nor a reason");
    }
    let reasonless = TABLE.iter().filter(|(_, how)| matches!(how, Reason(why) if why.len() < 10)).count();
    assert_eq!(reasonless, 0);
}

#[test]
fn every_scenario_ends_as_it_should() {
    let mut failed = Vec::new();
    for (id, how) in TABLE {
        if let Does(run) = how
            && let Err(e) = std::panic::catch_unwind(run)
        {
            let text = e.downcast_ref::<String>().cloned();
            failed.push(format!("{id}: {}", text.unwrap_or_default()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn the_operator_sees_verdict_and_remedy() {
    let wrong = status(&Place::with("KOPIA_PASSWORD", "not-this-one").run().log);
    assert!(
        wrong.contains("invalid repository password") && wrong.contains("check KOPIA_PASSWORD"),
        "{wrong}"
    );
    let empty = status(&Place::with("KOPIA_OVERRIDE_USERNAME", "other").run().log);
    assert!(
        empty.contains("No eligible snapshots found: nothing of other@media:/data in repository"),
        "{empty}"
    );
}

#[test]
fn check_writes_nothing_and_ends_alike() {
    let mut place = Place::new();
    place.args = vec!["check".into()];
    drop(place.refuses(0, "Snapshot restore would be completed"));
    drop(place.set("KOPIA_PREVIOUS", "9").refuses(13, "previous"));
}

#[test]
fn a_pin_beats_everything() {
    let mut place = Place::new();
    place.set("REKOPIA_REPOSITORY_UNIQUE_ID", "00ff").set("REKOPIA_ON_NO_REPOSITORY", "continue");
    drop(place.refuses(10, "repositoryUniqueID"));
}

#[test]
fn the_termination_message_is_one_object() {
    let mut place = Place::new();
    let path = place.dir.path().join("termination-log");
    std::fs::write(&path, "").unwrap();
    drop(place.set("REKOPIA_TERMINATION_LOG", path.to_str().unwrap()).restores(S3));
    let message: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(message["outcome"], "restored");
    assert_eq!(message["losses"], 0);
}
