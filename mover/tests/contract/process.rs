//! The run as a process: signals, sessions, other programs' work.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::tree::Tree;
use rustix::process::{Pid, Signal, kill_process};

use crate::cloud::Cloud;
use crate::place::{Place, S3};
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T67", run(rerun_changes_nothing)),
    ("T68", run(terminated)),
    ("T69", run(killed_and_completed)),
    ("T70", run(terminated_with_a_full_cache)),
    ("T72", run(debug_session)),
    ("T77", run(secrets_are_not_said)),
    ("T78", run(|| hand_over("backup"))),
    ("T78b", run(|| hand_over_needs_a_repository("backup"))),
    ("T79", run(empty_source)),
    ("T80", run(|| hand_over("maintenance"))),
    ("T80b", run(|| hand_over_needs_a_repository("maintenance"))),
];

fn rerun_changes_nothing() {
    let place = Place::new();
    place.restores(S3);
    let inodes = |place: &Place| -> Vec<(PathBuf, i64, i64, u64)> {
        let mut all = Vec::new();
        for path in Tree::read(&place.data()).entries.into_keys() {
            let path = place.data().join(path);
            let meta = std::fs::symlink_metadata(&path).unwrap();
            all.push((path, meta.ctime(), meta.ctime_nsec(), meta.ino()));
        }
        all
    };
    let before = inodes(&place);
    std::thread::sleep(Duration::from_millis(20));
    let ended = place.restores(S3);
    assert_eq!(before, inodes(&place), "something was changed");
    assert!(ended.log.contains("files were right already"), "{}", ended.log);
    // No data is fetched again, not even where a link leads.
    let cloud = Cloud::holding(&["volsync/"]);
    let mut place = cloud.place("s3://backups/volsync");
    place.restores(S3);
    cloud.server.take_requests();
    let ended = place.set("KOPIA_PASSWORD", "secret\n").restores(S3);
    let requests = cloud.server.take_requests();
    let packs = requests.iter().filter(|(_, path, _)| path.starts_with("/backups/volsync/p"));
    assert_eq!(packs.count(), 0);
    // Opening the repository is told with the rest.
    let told = format!(", {} requests, ", requests.len());
    assert!(ended.log.contains(&told), "{told:?} is not in: {}", ended.log);
}

/// Starts a restore from a slow bucket, and sends SIGTERM when the first request of this kind is there.
fn terminate_at(cloud: &Cloud, place: &Place, request: &str) -> (i32, Duration) {
    cloud.server.take_requests();
    let mut child = place.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let is_wanted =
        |(_, path, query): &(String, String, String)| path.contains(request) || query.contains(request);
    while !cloud.server.take_requests().iter().any(is_wanted) {
        assert!(started.elapsed() < Duration::from_secs(60), "no request for {request}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = Instant::now();
    terminate(&child);
    let status = child.wait().unwrap();
    (status.code().unwrap_or(-1), sent.elapsed())
}

fn terminate(child: &Child) {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
}

fn terminated() {
    let cloud = Cloud::holding(&["volsync/"]);
    let place = cloud.place("s3://backups/volsync");
    // Connecting, reading the index, listing snapshots, restoring.
    for request in ["kopia.repository", "/volsync/x", "/volsync/q", "/volsync/p"] {
        cloud.server.delay(Duration::from_millis(300));
        let (code, took) = terminate_at(&cloud, &place, request);
        assert_eq!(code, 143, "{request}");
        // The contract says two seconds; a busy machine gets five times that.
        assert!(took < Duration::from_secs(10), "{request}: {took:?}");
        cloud.server.delay(Duration::ZERO);
        let expected = crate::stock::tree(S3);
        let strangers =
            Tree::read(&place.data()).entries.into_keys().filter(|p| !expected.entries.contains_key(p));
        assert_eq!(strangers.collect::<Vec<_>>(), Vec::<String>::new(), "{request}: temporaries are left");
    }
    place.restores(S3);
}

fn killed_and_completed() {
    let began = Instant::now();
    Place::new().restores(S3);
    let whole = began.elapsed();
    for n in 1..=12 {
        let place = Place::new();
        let mut child = place.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Spread over the whole run: most of it is key derivation, the end is writing.
        std::thread::sleep(whole * n / 12);
        let _ = child.kill();
        child.wait().unwrap();
        place.restores(S3);
    }
}

fn terminated_with_a_full_cache() {
    let cloud = Cloud::holding(&["volsync/"]);
    let mut place = cloud.place("s3://backups/volsync");
    place.set("KOPIA_CACHE_CAPACITY_BYTES", "1000");
    let cache = place.folder("cache");
    std::fs::write(cache.join("contents"), [0; 2000]).unwrap();
    cloud.server.delay(Duration::from_millis(300));
    // Full of somebody else's: that is not why this run ended.
    assert_eq!(terminate_at(&cloud, &place, "/volsync/p").0, 143);
    assert_eq!(std::fs::metadata(cache.join("contents")).unwrap().len(), 2000);
}

fn debug_session() {
    for removed in [true, false] {
        let mut place = Place::with("DEBUG_MOVER", "1");
        let marker = place.folder("tmp").join("exit-debug-if-removed");
        place.set("TMPDIR", marker.parent().unwrap().to_str().unwrap());
        let child = place.command().stdout(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        while !marker.exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "no session");
            std::thread::sleep(Duration::from_millis(10));
        }
        if removed {
            std::fs::remove_file(&marker).unwrap();
        } else {
            terminate(&child);
        }
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(if removed { 1 } else { 143 }), "{log}");
        assert!(log.contains("until") && log.contains("ERROR: restore failed"), "{log}");
        place.untouched();
    }
    // Without a place for the file nobody could end the session.
    Place::with("DEBUG_MOVER", "1").set("TMPDIR", "/proc/nonexistent").refuses(1, "cannot be made");
}

fn secrets_are_not_said() {
    // Place::end looks for the values that are set.
    Place::with("KOPIA_PASSWORD", "canary-in-the-log").refuses(12, "invalid repository password");
    let cloud = Cloud::holding(&["volsync/"]);
    let mut place = cloud.place("s3://backups/volsync");
    place.restores(S3);
    place.set("AWS_SECRET_ACCESS_KEY", "canary-wrong-key").set("AWS_SESSION_TOKEN", "canary-token");
    place.set("REKOPIA_LOG", "debug").ends(15, "access denied");
    let storage = r#"{"storage":{"type":"webdav","config":{"url":7,"password":"canary-password"}}}"#;
    place = Place::with("KOPIA_STRUCTURED_REPOSITORY_CONFIG", storage);
    let ended = place.refuses(2, "KOPIA_STRUCTURED_REPOSITORY_CONFIG");
    assert!(!ended.log.contains("canary"), "{}", ended.log);
}

/// Returns a stock script that writes down how it was started.
fn stand_in(place: &Place, last_line: &str) -> (PathBuf, PathBuf) {
    let (script, record) = (place.dir.path().join("stock.sh"), place.dir.path().join("record"));
    let text = format!(
        "#!/bin/sh\necho \"$1 $DIRECTION $CUSTOM_CA $KOPIA_REPOSITORY\" > '{}'\n{last_line}\n",
        record.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    (script, record)
}

fn asked_for(operation: &str, script: &Path) -> Place {
    let mut place = Place::with("REKOPIA_STOCK_ENTRY", script.to_str().unwrap());
    place.args = vec![operation.into()];
    if operation == "maintenance" {
        place.set("DIRECTION", operation);
        place.args.clear();
    }
    place
}

fn hand_over(operation: &str) {
    let kept = Place::new();
    let (script, record) = stand_in(&kept, "exit 7");
    let mut place = asked_for(operation, &script);
    place.set("KOPIA_CUSTOM_CA", "/ca.crt");
    assert_eq!(place.run().code, 7);
    let seen = std::fs::read_to_string(&record).unwrap();
    let start = if operation == "maintenance" { " maintenance /ca.crt file" } else { "backup  /ca.crt file" };
    assert!(seen.starts_with(start), "{seen}");
    std::fs::remove_file(&record).unwrap();
    let ended = place.set("KOPIA_PASSWORD", "not-this-one").ends(12, "invalid repository password");
    let verdict = format!("\nERROR: {operation} failed (wrong-password, exit 12): ");
    assert!(ended.log.contains(&verdict) && !ended.log.contains("restore failed"), "{}", ended.log);
    assert!(ended.log.contains(&format!("OPERATION_TYPE: {operation}\n")), "{}", ended.log);
    place
        .set("KOPIA_PASSWORD", "secret")
        .set("REKOPIA_REPOSITORY_UNIQUE_ID", "00ff")
        .ends(10, "repositoryUniqueID");
    std::fs::remove_file(script).unwrap();
    place.ends(2, "stock script");
    assert!(!record.exists(), "the script was started");
}

fn hand_over_needs_a_repository(operation: &str) {
    let kept = Place::new();
    let (script, record) = stand_in(&kept, "exit 7");
    let mut place = asked_for(operation, &script);
    let empty = place.folder("empty");
    let remedy =
        if operation == "maintenance" { "maintenance never makes a repository" } else { "onNoRepository" };
    let ended = place.at(&empty).ends(10, remedy);
    assert!(
        ended.log.contains(&format!("ERROR: {operation} failed (no-repository, exit 10)")),
        "{}",
        ended.log
    );
    assert!(!record.exists() && std::fs::read_dir(&empty).unwrap().count() == 0);
    // The first backup of a cluster makes the repository; maintenance never does.
    place.set("REKOPIA_ON_NO_REPOSITORY", "continue");
    assert_eq!(place.run().code, if operation == "maintenance" { 10 } else { 7 });
    assert_eq!(record.exists(), operation == "backup");
}

fn empty_source() {
    let kept = Place::new();
    let (script, _) = stand_in(&kept, "ls \"$DATA_DIR\"; echo '== Directory is empty skipping backup ==='");
    let mut place = asked_for("backup", &script);
    let source = place.folder("data");
    std::fs::create_dir(source.join("lost+found")).unwrap();
    place.set("DATA_DIR", source.to_str().unwrap());
    // The stock script's words and its code, unchanged: nothing of ours stands behind them.
    let ended = place.ends(0, "lost+found\n== Directory is empty skipping backup ===\n");
    assert!(!ended.log.contains("OPERATION SUMMARY"), "{}", ended.log);
}
