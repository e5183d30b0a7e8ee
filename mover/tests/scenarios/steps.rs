//! Scenarios that take more than a line.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::fixture::Fixture;

use crate::place::{Place, S3, status};

pub(crate) fn no_repository() {
    let mut place = Place::new();
    let empty = place.dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    place.set("KOPIA_REPOSITORY", &format!("filesystem://{}", empty.display()));
    drop(place.refuses(10, "onNoRepository"));
    place.set("KOPIA_MANUAL_CONFIG", r#"{"rekopia":{"onNoRepository":"continue"}}"#);
    drop(place.refuses(0, "No eligible snapshots found"));
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "something was made");
}

pub(crate) fn unreachable() {
    let mut place = Place::with("KOPIA_REPOSITORY", "s3://bucket");
    place.set("KOPIA_S3_ENDPOINT", "http://127.0.0.1:9").set("AWS_ACCESS_KEY_ID", "a");
    place.set("AWS_SECRET_ACCESS_KEY", "canary-secret-key").set("AWS_REGION", "us-east-1");
    let started = Instant::now();
    drop(place.refuses(15, "cannot connect"));
    assert!(started.elapsed() < Duration::from_secs(90));
}

pub(crate) fn damaged_pack() {
    let mut place = Place::of("volsync");
    let repo = place.copied();
    remove_blobs(&repo, &["p"]);
    let ended = place.ends(3, "failed");
    assert!(status(&ended.log).contains("in pack"), "{}", status(&ended.log));
    drop(place.set("REKOPIA_ON_MISSING", "accept").ends(0, "accepted losses"));
}

pub(crate) fn incomplete_newest() {
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

pub(crate) fn path_override() {
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

pub(crate) fn file_deletion() {
    let place = Place::with("KOPIA_ENABLE_FILE_DELETION", "true");
    std::fs::write(place.data().join("old"), "x").unwrap();
    std::fs::create_dir(place.data().join("lost+found")).unwrap();
    drop(place.ends(0, "Snapshot restore completed"));
    assert!(!place.data().join("old").exists() && place.data().join("lost+found").exists());
    std::fs::remove_dir(place.data().join("lost+found")).unwrap();
    drop(place.restores(S3));
}

pub(crate) fn unprivileged() {
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

pub(crate) fn cache_is_left_alone() {
    let mut place = Place::with("KOPIA_SKIP_CACHE_CONFIG", "true");
    place.set("KOPIA_METADATA_CACHE_SIZE_LIMIT_MB", "1").set("KOPIA_CONTENT_CACHE_SIZE_LIMIT_MB", "1");
    let config = place.dir.path().join("cache/kopia.config");
    std::fs::write(&config, "a connection to another bucket").unwrap();
    drop(place.restores(S3));
    assert_eq!(std::fs::read(&config).unwrap(), b"a connection to another bucket");
    assert_eq!(std::fs::read_dir(place.dir.path().join("cache")).unwrap().count(), 1);
}

pub(crate) fn rerun_changes_nothing() {
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

pub(crate) fn terminated() {
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

pub(crate) fn killed_and_completed() {
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

pub(crate) fn stand_in(place: &Place) -> (PathBuf, PathBuf) {
    let (script, record) = (place.dir.path().join("stock.sh"), place.dir.path().join("record"));
    let text = format!(
        "#!/bin/sh\necho \"$1 $DIRECTION $CUSTOM_CA $KOPIA_REPOSITORY\" > {}\nexit 7\n",
        record.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    (script, record)
}

pub(crate) fn hand_over() {
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

pub(crate) fn hand_over_needs_a_repository() {
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

pub(crate) fn as_uid(place: &Place, uid: u32) -> Command {
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

pub(crate) fn open_to_all(dir: &Path) {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(dir.join("restore"), PermissionsExt::from_mode(0o755)).unwrap();
}

pub(crate) fn remove_blobs(repo: &Path, first_letters: &[&str]) {
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

pub(crate) fn first_file(dir: &Path) -> PathBuf {
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

pub(crate) fn first_file_of_snapshot() -> PathBuf {
    let place = Place::new();
    drop(place.restores(S3));
    first_file(&place.data()).strip_prefix(place.data()).unwrap().to_path_buf()
}

pub(crate) fn first_directory_of_snapshot() -> PathBuf {
    let place = Place::new();
    drop(place.restores(S3));
    let dirs = std::fs::read_dir(place.data()).unwrap().map(|e| e.unwrap().path());
    let dir = dirs.into_iter().find(|p| p.is_dir() && !p.is_symlink()).unwrap();
    dir.strip_prefix(place.data()).unwrap().to_path_buf()
}
