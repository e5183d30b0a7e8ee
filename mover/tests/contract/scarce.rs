//! What is left of the mover where the system grants few threads, and where nobody takes its log.

use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::pod::Pod;
use rekopia_testkit::scarce::{HANGS, ends, with_processes};
use rekopia_testkit::tree::Tree;
use serde_json::Value;

use crate::cloud::Cloud;
use crate::place::{Place, S3};
use crate::stock;

/// Makes a place with a file for the termination message that everybody may write.
fn place_with_message(mut place: Place) -> (Place, std::path::PathBuf) {
    let message = place.dir.path().join("termination-log");
    place.set("REKOPIA_TERMINATION_LOG", message.to_str().unwrap());
    place.args = vec!["restore".into()];
    (place, message)
}

/// Returns the verdict in the file, which has to be the status.
#[track_caller]
fn verdict(message: &std::path::Path, status: ExitStatus, what: &str) -> i32 {
    let text = std::fs::read_to_string(message).unwrap();
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{what}: {status}: {e}: {text}"));
    let code = status.code().unwrap_or_else(|| panic!("{what}: {status}"));
    assert_eq!(told["exitCode"], code, "{what}: {told}");
    code
}

/// The limit counts the threads of a user, and root has none.
#[test]
fn few_threads_are_enough_or_are_named() {
    if !Pod::has_users_or_skips() {
        return;
    }
    let cloud = Cloud::holding(&["volsync/"]);
    let mut restored = Vec::new();
    for limit in (1..=12).chain([20]) {
        for (number, in_bucket) in [false, true].into_iter().enumerate() {
            let what = format!("{limit} processes, bucket: {in_bucket}");
            let place = if in_bucket { cloud.place("s3://backups/volsync") } else { Place::new() };
            let (mut place, message) = place_with_message(place);
            if !in_bucket {
                place.copied();
            }
            // A user of its own for each run: those of the run before are put away when the kernel has the time.
            let user = 4_000_000 + limit * 10 + number as u32;
            std::fs::write(&message, "").unwrap();
            for path in [&place.data(), &message, &place.dir.path().join("cache")] {
                std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
            }
            let inner = place.command_as(user);
            let mut command = with_processes(limit, user);
            command.arg(inner.get_program()).args(inner.get_args()).env_clear().current_dir("/");
            command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let log = place.dir.path().join("log");
            command.stdin(Stdio::null()).stdout(File::create(&log).unwrap());
            command.stderr(File::options().append(true).open(&log).unwrap());
            let status = ends(command.spawn().unwrap(), &what);
            let log = std::fs::read_to_string(&log).unwrap();
            assert!(!log.contains("panicked"), "{what}: {log}");
            if verdict(&message, status, &what) == 0 {
                let diff = stock::tree(S3).of_nobody().diff(&Tree::read(&place.data()).of_nobody(), &[]);
                assert!(diff.is_empty(), "{what}: {diff}");
                restored.push(limit);
            } else {
                assert!(limit < 4 && log.contains("ERROR: restore failed ("), "{what}: {log}");
            }
        }
    }
    assert!(restored.contains(&2) && restored.contains(&20), "{restored:?}");
}

/// The log goes to a pipe that is read, was left, has no room on its disk, is closed, or to a terminal that is gone.
#[test]
fn a_log_that_nobody_takes_changes_neither_volume_nor_message() {
    for (way, redirect) in [
        ("closed", "$0 restore >&- 2>&-"),
        ("only errors closed", "$0 restore 2>&- >/dev/null"),
        ("full", "$0 restore >/dev/full 2>/dev/full"),
        ("left", "{ while [ -e $FLAG ]; do sleep 0.02; done; $0 restore 2>&1; echo $? >$CODE; } | true"),
        (
            "hung up",
            "trap '' HUP; echo ready; while [ -e $FLAG ]; do sleep 0.02; done; $0 restore; echo $? >$CODE",
        ),
    ] {
        let (mut place, message) = place_with_message(Place::new());
        std::fs::write(&message, "").unwrap();
        let (code, flag) = (place.dir.path().join("code"), place.dir.path().join("flag"));
        std::fs::write(&flag, "").unwrap();
        place.set("CODE", code.to_str().unwrap()).set("FLAG", flag.to_str().unwrap());
        place.set("PATH", "/usr/bin:/bin");
        let exe = env!("CARGO_BIN_EXE_rekopia-mover");
        let script = match redirect.contains("$CODE") {
            true => redirect.to_owned(),
            false => format!("{redirect}; echo $? >$CODE"),
        };
        let script = script.replace("$0", exe);
        let mut command = match way {
            "hung up" => {
                let mut command = Command::new("script");
                command.args(["-qec", &script, "/dev/null"]);
                command
            }
            _ => {
                let mut command = Command::new("sh");
                command.args(["-c", &script]);
                command
            }
        };
        command.env_clear().envs(&place.env).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if way == "hung up" {
            let mut ready = [0; 5];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
            child.kill().unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::fs::remove_file(&flag).unwrap();
        let began = Instant::now();
        while std::fs::read_to_string(&code).map_or(true, |text| !text.ends_with('\n')) {
            assert!(began.elapsed() < HANGS, "{way} does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait().unwrap();
        assert_eq!(std::fs::read_to_string(&code).unwrap(), "0\n", "{way}");
        let told: Value = serde_json::from_slice(&std::fs::read(&message).unwrap()).unwrap();
        assert_eq!((&told["outcome"], &told["exitCode"]), (&"restored".into(), &0.into()), "{way}: {told}");
        place.holds(S3);
    }
}
