//! Backup and maintenance: the stock script gets everything, or is not started and nothing is touched.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rekopia_testkit::fixture::copy_dir;
use rekopia_testkit::tree::Tree;

use crate::made::{Made, small_files};
use crate::place::{Ended, change_times, plain};

/// Backup as an argument, maintenance as a direction.
const OPERATIONS: [bool; 2] = [false, true];

/// Makes a stand-in that leaves its environment and arguments and ends with 7.
fn stand_in(dir: &Path) -> std::path::PathBuf {
    let script = dir.join("stock-entry.sh");
    let text = format!(
        "#!/bin/sh\nenv -0 > '{0}/environment'\necho \"$#:$*\" > '{0}/arguments'\nexit 7\n",
        dir.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    script
}

fn command(repository: &Path, dir: &Path, maintenance: bool) -> Command {
    let base = plain(repository, dir);
    let mut command = Command::new(base.get_program());
    command.env_clear().current_dir("/").env("PATH", "/usr/bin:/bin");
    command.envs(base.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("REKOPIA_STOCK_ENTRY", dir.join("stock-entry.sh"));
    if maintenance {
        command.env("DIRECTION", "maintenance")
    } else {
        command.arg("backup")
    };
    command
}

#[test]
fn the_script_gets_the_same_environment_and_the_authorities() {
    let made = Made::of(|root| small_files(root, 3, 100));
    let before = (Tree::read(&made.repo()), change_times(&made.repo()));
    for maintenance in OPERATIONS {
        for own_ca in [None, Some("/customCA/ca.crt")] {
            let dir = tempfile::tempdir().unwrap();
            stand_in(dir.path());
            let mut command = command(&made.repo(), dir.path(), maintenance);
            command.env("KOPIA_CUSTOM_CA", "/etc/ssl/custom-ca-from-secret/ca-bundle.crt");
            command.env("EMPTY", "").env("LINES", "one\ntwo = 2").env("KOPIA_RETAIN_DAILY", "7");
            command.env("NO_TEXT", OsStr::from_bytes(b"\xff\xfe"));
            if let Some(ca) = own_ca {
                command.env("CUSTOM_CA", ca);
            }
            let given =
                command.get_envs().map(|(name, value)| (name.into(), value.unwrap_or_default().into()));
            let mut expected: std::collections::BTreeMap<OsString, OsString> = given.collect();
            let ca = own_ca.unwrap_or("/etc/ssl/custom-ca-from-secret/ca-bundle.crt");
            expected.insert("CUSTOM_CA".into(), ca.into());

            let ended = Ended::of(command.output().unwrap());
            assert_eq!(ended.code, Some(7), "{}", ended.log);
            let seen = std::fs::read(dir.path().join("environment")).unwrap();
            let mut seen: std::collections::BTreeMap<OsString, OsString> = seen
                .split(|byte| *byte == 0)
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let at = pair.iter().position(|byte| *byte == b'=').unwrap();
                    (OsString::from_vec(pair[..at].to_vec()), OsString::from_vec(pair[at + 1..].to_vec()))
                })
                .collect();
            // The shell's own.
            for own in ["PWD", "SHLVL", "_", "OLDPWD"] {
                seen.remove(OsStr::new(own));
            }
            assert_eq!(seen, expected, "maintenance {maintenance}");
            let arguments = std::fs::read_to_string(dir.path().join("arguments")).unwrap();
            assert_eq!(arguments.trim(), if maintenance { "0:" } else { "1:backup" });
        }
    }
    assert_eq!(before, (Tree::read(&made.repo()), change_times(&made.repo())), "the repository was touched");
}

#[test]
fn without_a_repository_nothing_starts_and_nothing_changes() {
    let made = Made::of(|root| small_files(root, 3, 100));
    for maintenance in OPERATIONS {
        let dir = tempfile::tempdir().unwrap();
        let script = stand_in(dir.path());
        let places = dir.path().join("places");
        std::fs::create_dir_all(places.join("empty")).unwrap();
        std::fs::create_dir_all(places.join("other/data")).unwrap();
        std::fs::write(places.join("other/data/file"), "of somebody else").unwrap();
        // A repository that has lost its format blob is not a place for a new one.
        copy_dir(&made.repo(), &places.join("broken"));
        std::fs::remove_file(places.join("broken/kopia.repository.f")).unwrap();
        // A folder one level above the repository is none, either.
        copy_dir(&made.repo(), &places.join("above/repo"));
        let before = (Tree::read(&places), change_times(&places));
        for place in ["empty", "other", "broken", "above", "not/there"] {
            let ended = Ended::of(command(&places.join(place), dir.path(), maintenance).output().unwrap());
            let expected: &[i32] = if place == "broken" { &[10, 14] } else { &[10] };
            assert!(ended.code.is_some_and(|code| expected.contains(&code)), "{place}: {}", ended.log);
        }
        let mut wrong = command(&made.repo(), dir.path(), maintenance);
        let ended = Ended::of(wrong.env("KOPIA_PASSWORD", "not-this-one").output().unwrap());
        assert_eq!(ended.code, Some(12), "{}", ended.log);
        assert_eq!(before, (Tree::read(&places), change_times(&places)), "a location was touched");
        assert!(!dir.path().join("environment").exists(), "the script was started");

        // A first backup may make the repository when that is allowed; maintenance never does.
        let mut allowed = command(&places.join("empty"), dir.path(), maintenance);
        let ended = Ended::of(allowed.env("REKOPIA_ON_NO_REPOSITORY", "continue").output().unwrap());
        assert_eq!(ended.code, Some(if maintenance { 10 } else { 7 }), "{}", ended.log);

        std::fs::remove_file(script).unwrap();
        let ended = Ended::of(command(&made.repo(), dir.path(), maintenance).output().unwrap());
        assert_eq!(ended.code, Some(2), "{}", ended.log);
        assert!(ended.log.contains("stock script"), "{}", ended.log);
    }
}
