//! The scenarios of the mover's contract, each a run of the built program with only the listed environment.
//!
//! One table names them all; a scenario without a run says why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::fixture::{Fixture, copy_dir};
use rekopia_testkit::tree::Tree;

/// One application's place: a volume, a cache, a repository.
struct Place {
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
    args: Vec<String>,
    fixture: Fixture,
}

struct Ended {
    code: i32,
    log: String,
}

/// Three complete snapshots of one identity, oldest first, in [`Place::of`]'s repository.
const S1: usize = 0;
const S2: usize = 1;
const S3: usize = 2;

impl Place {
    /// `paperless@media:/data` in the repository that was written as VolSync's mover writes.
    fn new() -> Self {
        Place::of("volsync")
    }

    fn of(fixture: &str) -> Self {
        let fixture = Fixture::load(fixture);
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("restore/data");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::create_dir(dir.path().join("cache")).unwrap();
        let mut place = Place { dir, env: BTreeMap::new(), args: vec!["restore".into()], fixture };
        let repo = place.fixture.repo();
        place.set("KOPIA_REPOSITORY", &format!("filesystem://{}", repo.display()));
        let password = place.fixture.password.clone();
        place.set("KOPIA_PASSWORD", &password);
        place.set("DATA_DIR", data.to_str().unwrap());
        let cache = place.dir.path().join("cache");
        place.set("KOPIA_CACHE_DIR", cache.to_str().unwrap());
        for (name, value) in [
            ("KOPIA_OVERRIDE_USERNAME", "paperless"),
            ("KOPIA_OVERRIDE_HOSTNAME", "media"),
            ("KOPIA_DISCOVER_SNAPSHOTS", "true"),
            ("PRIVILEGED_MOVER", "0"),
            ("KOPIA_CACHE_CAPACITY_BYTES", "8589934592"),
        ] {
            place.set(name, value);
        }
        place
    }

    fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    fn with(name: &str, value: &str) -> Self {
        let mut place = Place::new();
        place.set(name, value);
        place
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("restore/data")
    }

    /// A repository of its own, to be changed.
    fn copied(&mut self) -> PathBuf {
        let copy = self.dir.path().join("repo");
        copy_dir(&self.fixture.repo(), &copy);
        self.set("KOPIA_REPOSITORY", &format!("filesystem://{}", copy.display()));
        copy
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia-mover"));
        command.args(&self.args).env_clear().envs(&self.env).current_dir("/").stdin(Stdio::null());
        command
    }

    fn run(&self) -> Ended {
        let output = self.command().output().unwrap();
        let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(log.lines().all(|l| l.len() <= 8192), "a long line");
        for secret in ["KOPIA_PASSWORD", "AWS_SECRET_ACCESS_KEY", "WEBDAV_PASSWORD"] {
            if let Some(value) = self.env.get(secret).map(|v| v.trim()).filter(|v| v.len() > 5) {
                assert!(!log.contains(value), "{secret} is in the log");
            }
        }
        Ended { code: output.status.code().unwrap_or(-1), log }
    }

    #[track_caller]
    fn ends(&self, code: i32, part: &str) -> Ended {
        let ended = self.run();
        assert_eq!(ended.code, code, "{}", ended.log);
        assert!(ended.log.contains(part), "{part:?} is not in: {}", ended.log);
        ended
    }

    #[track_caller]
    fn holds(&self, snapshot: usize) {
        let expected = self.fixture.expected(&self.fixture.snapshots[snapshot]).unwrap();
        let diff = expected.diff(&Tree::read(&self.data()), &[]);
        assert!(diff.is_empty(), "{diff}");
    }

    #[track_caller]
    fn restores(&self, snapshot: usize) -> Ended {
        let ended = self.ends(0, "Snapshot restore completed");
        self.holds(snapshot);
        ended
    }

    #[track_caller]
    fn untouched(&self) {
        assert_eq!(std::fs::read_dir(self.data()).unwrap().count(), 0, "the volume was touched");
    }

    #[track_caller]
    fn refuses(&self, code: i32, part: &str) -> Ended {
        let ended = self.ends(code, part);
        self.untouched();
        ended
    }
}

/// What the operator keeps of a log (contract §3.5): filtered lines, of these the last 1,024 bytes.
fn status(log: &str) -> String {
    let kept = |line: &&str| {
        let lower = line.to_lowercase();
        ["error", "failed", "unable to"].iter().any(|w| lower.contains(w))
            || [
                "=== Discovery Mode",
                "Available Snapshots",
                "No snapshots found",
                "Snapshot restore completed",
                "Repository connected",
                "No eligible snapshots",
            ]
            .iter()
            .any(|w| line.contains(w))
            || (line.contains('@')
                && line.contains(':')
                && line.split(' ').nth(1).is_some_and(|d| d.len() == 10 && d.starts_with("20")))
    };
    let text = log.lines().filter(kept).collect::<Vec<_>>().join("\n");
    let from = (text.len().saturating_sub(1024)..).find(|at| text.is_char_boundary(*at)).unwrap();
    text[from..].to_owned()
}

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

fn no_repository() {
    let mut place = Place::new();
    let empty = place.dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    place.set("KOPIA_REPOSITORY", &format!("filesystem://{}", empty.display()));
    drop(place.refuses(10, "onNoRepository"));
    place.set("KOPIA_MANUAL_CONFIG", r#"{"rekopia":{"onNoRepository":"continue"}}"#);
    drop(place.refuses(0, "No eligible snapshots found"));
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "something was made");
}

fn unreachable() {
    let mut place = Place::with("KOPIA_REPOSITORY", "s3://bucket");
    place.set("KOPIA_S3_ENDPOINT", "http://127.0.0.1:9").set("AWS_ACCESS_KEY_ID", "a");
    place.set("AWS_SECRET_ACCESS_KEY", "canary-secret-key").set("AWS_REGION", "us-east-1");
    let started = Instant::now();
    drop(place.refuses(15, "cannot connect"));
    assert!(started.elapsed() < Duration::from_secs(90));
}

fn damaged_pack() {
    let mut place = Place::of("volsync");
    let repo = place.copied();
    remove_blobs(&repo, &["p"]);
    let ended = place.ends(3, "failed");
    assert!(status(&ended.log).contains("in pack"), "{}", status(&ended.log));
    drop(place.set("REKOPIA_ON_MISSING", "accept").ends(0, "accepted losses"));
}

fn incomplete_newest() {
    let fixture = Fixture::load("checkpoint-partial");
    let incomplete = fixture.snapshots.iter().find(|s| !s.incomplete.is_empty()).unwrap();
    let mut place = Place::of("checkpoint-partial");
    place
        .set("KOPIA_OVERRIDE_USERNAME", &incomplete.user_name)
        .set("KOPIA_OVERRIDE_HOSTNAME", &incomplete.host);
    place.set("KOPIA_SOURCE_PATH_OVERRIDE", &incomplete.path);
    let complete =
        fixture.snapshots.iter().rposition(|s| s.incomplete.is_empty() && s.path == incomplete.path);
    match complete {
        Some(newest) => drop(place.restores(newest)),
        None => drop(place.refuses(13, "0 complete")),
    }
}

fn path_override() {
    let mut place = Place::of("identities");
    let at = place
        .fixture
        .snapshots
        .iter()
        .position(|s| {
            s.path != "/data"
                && s.path.starts_with('/')
                && s.incomplete.is_empty()
                && s.expect.is_some()
                && s.root_type == "d"
        })
        .unwrap();
    let snapshot = place.fixture.snapshots[at].clone();
    let newest = place
        .fixture
        .snapshots
        .iter()
        .rposition(|s| {
            s.path == snapshot.path && s.user_name == snapshot.user_name && s.host == snapshot.host
        })
        .unwrap();
    place.set("KOPIA_OVERRIDE_USERNAME", &snapshot.user_name).set("KOPIA_OVERRIDE_HOSTNAME", &snapshot.host);
    drop(place.set("KOPIA_SOURCE_PATH_OVERRIDE", &snapshot.path).restores(newest));
}

fn file_deletion() {
    let place = Place::with("KOPIA_ENABLE_FILE_DELETION", "true");
    std::fs::write(place.data().join("old"), "x").unwrap();
    std::fs::create_dir(place.data().join("lost+found")).unwrap();
    drop(place.ends(0, "Snapshot restore completed"));
    assert!(!place.data().join("old").exists() && place.data().join("lost+found").exists());
    std::fs::remove_dir(place.data().join("lost+found")).unwrap();
    drop(place.restores(S3));
}

fn unprivileged() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    open_to_all(place.dir.path());
    std::os::unix::fs::chown(place.data(), Some(0), Some(1234)).unwrap();
    std::fs::set_permissions(place.data(), PermissionsExt::from_mode(0o2775)).unwrap();
    for _ in 0..2 {
        let output = as_uid(&place, 1234).output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{log}");
        // A root that is not ours is never made private.
        assert_eq!(std::fs::metadata(place.data()).unwrap().mode() & 0o7777, 0o2775, "{log}");
        let file = std::fs::metadata(first_file(&place.data())).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o6000), (1234, 1234, 0), "{log}");
    }
}

fn cache_is_left_alone() {
    let mut place = Place::with("KOPIA_SKIP_CACHE_CONFIG", "true");
    place.set("KOPIA_METADATA_CACHE_SIZE_LIMIT_MB", "1").set("KOPIA_CONTENT_CACHE_SIZE_LIMIT_MB", "1");
    let config = place.dir.path().join("cache/kopia.config");
    std::fs::write(&config, "a connection to another bucket").unwrap();
    drop(place.restores(S3));
    assert_eq!(std::fs::read(&config).unwrap(), b"a connection to another bucket");
    assert_eq!(std::fs::read_dir(place.dir.path().join("cache")).unwrap().count(), 1);
}

fn rerun_changes_nothing() {
    let place = Place::new();
    drop(place.restores(S3));
    let times = |place: &Place| -> Vec<(PathBuf, i64, i64, u64)> {
        let mut all = Vec::new();
        let mut folders = vec![place.data()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = std::fs::symlink_metadata(&path).unwrap();
                all.push((path.clone(), meta.ctime(), meta.ctime_nsec(), meta.ino()));
                if meta.is_dir() {
                    folders.push(path);
                }
            }
        }
        all.sort();
        all
    };
    let before = times(&place);
    std::thread::sleep(Duration::from_millis(20));
    let ended = place.restores(S3);
    assert_eq!(before, times(&place), "something was changed");
    assert!(ended.log.contains("files were right already"), "{}", ended.log);
}

fn terminated() {
    let place = Place::new();
    for wait in [0, 30, 80, 150, 250] {
        let mut child = place.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let started = Instant::now();
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let status = child.wait().unwrap();
        assert!(started.elapsed() < Duration::from_secs(2), "{wait} ms");
        use std::os::unix::process::ExitStatusExt;
        let ended = (status.code(), status.signal());
        // Before the handler stands, the signal itself ends the process: to a container that is 143 too.
        assert!(
            [(Some(143), None), (Some(0), None), (None, Some(15))].contains(&ended),
            "{wait} ms: {ended:?}"
        );
    }
    drop(place.restores(S3));
}

fn killed_and_completed() {
    for n in 0..50 {
        let place = Place::new();
        let mut child = place.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Spread over the whole run: most of it is key derivation, the end is writing.
        std::thread::sleep(Duration::from_millis(n * 8));
        let _ = child.kill();
        child.wait().unwrap();
        drop(place.restores(S3));
    }
}

fn stand_in(place: &Place) -> (PathBuf, PathBuf) {
    let (script, record) = (place.dir.path().join("stock.sh"), place.dir.path().join("record"));
    let text = format!(
        "#!/bin/sh\necho \"$1 $DIRECTION $CUSTOM_CA $KOPIA_REPOSITORY\" > {}\nexit 7\n",
        record.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    (script, record)
}

fn hand_over() {
    for maintenance in [false, true] {
        let mut place = Place::new();
        let (script, record) = stand_in(&place);
        place.set("REKOPIA_STOCK_ENTRY", script.to_str().unwrap()).set("KOPIA_CUSTOM_CA", "/ca.crt");
        place.args = if maintenance { vec![] } else { vec!["backup".into()] };
        if maintenance {
            place.set("DIRECTION", "maintenance");
        }
        assert_eq!(place.run().code, 7);
        let seen = std::fs::read_to_string(record).unwrap();
        let start = if maintenance { " maintenance /ca.crt" } else { "backup  /ca.crt" };
        assert!(seen.starts_with(start), "{seen}");
        std::fs::remove_file(script).unwrap();
        drop(place.ends(2, "stock script"));
    }
}

fn hand_over_needs_a_repository() {
    for maintenance in [false, true] {
        let mut place = Place::new();
        let (script, record) = stand_in(&place);
        let empty = place.dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        place.set("KOPIA_REPOSITORY", &format!("filesystem://{}", empty.display()));
        place.set("REKOPIA_STOCK_ENTRY", script.to_str().unwrap());
        place.args = if maintenance { vec![] } else { vec!["backup".into()] };
        if maintenance {
            place.set("DIRECTION", "maintenance");
        }
        drop(place.ends(10, "no-repository"));
        assert!(!record.exists() && std::fs::read_dir(&empty).unwrap().count() == 0);
        place.set("REKOPIA_ON_NO_REPOSITORY", "continue");
        assert_eq!(place.run().code, if maintenance { 10 } else { 7 });
    }
}

fn as_uid(place: &Place, uid: u32) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = place.command();
    // The program itself may lie where only root may look.
    let copy = place.dir.path().join("rekopia-mover");
    std::fs::copy(env!("CARGO_BIN_EXE_rekopia-mover"), &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    let mut moved = Command::new(copy);
    moved.args(command.get_args()).env_clear().envs(&place.env).current_dir("/").stdin(Stdio::null());
    std::mem::swap(&mut command, &mut moved);
    command.uid(uid).gid(uid);
    command
}

fn open_to_all(dir: &Path) {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(dir.join("restore"), PermissionsExt::from_mode(0o755)).unwrap();
}

fn remove_blobs(repo: &Path, first_letters: &[&str]) {
    for letter in first_letters {
        let folder = repo.join(letter);
        if folder.is_dir() {
            std::fs::remove_dir_all(folder).unwrap();
        }
        for entry in std::fs::read_dir(repo).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with(letter) && entry.file_type().unwrap().is_file() {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

fn first_file(dir: &Path) -> PathBuf {
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            if meta.is_file() && meta.len() > 0 {
                return path;
            }
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    panic!("no file in {}", dir.display());
}

fn first_file_of_snapshot() -> PathBuf {
    let place = Place::new();
    drop(place.restores(S3));
    first_file(&place.data()).strip_prefix(place.data()).unwrap().to_path_buf()
}

fn first_directory_of_snapshot() -> PathBuf {
    let place = Place::new();
    drop(place.restores(S3));
    let dirs = std::fs::read_dir(place.data()).unwrap().map(|e| e.unwrap().path());
    let dir = dirs.into_iter().find(|p| p.is_dir() && !p.is_symlink()).unwrap();
    dir.strip_prefix(place.data()).unwrap().to_path_buf()
}
