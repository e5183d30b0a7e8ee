//! Makes the image's root filesystem as the Dockerfile does and restores in it: read-only, as uid 1234, without
//! capabilities, without a writable `/tmp`. Needs root, for `chroot` and a mount namespace; no container engine.
//!
//! `REKOPIA_MOVER_BINARY` names a finished program (the release one, static); without it the debug one is built, and the
//! libraries that it is linked to are put beside it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::tree::Tree;

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const UID: u32 = 1234;

/// Enters the root given as $1, with the folder $2 as what may be written and the repository $3.
const ENTER: &str = r#"set -eu
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount --bind "$2/restore" "$1/restore"
mount --bind "$2/cache" "$1/cache"
mount --bind "$3" "$1/mnt"
mount -o remount,bind,ro "$1/mnt"
root=$1
shift 3
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid \
    chroot --userspec=1234:1234 --groups= "$root" /mover-kopia/entry.sh "$@"
"#;

struct Image {
    _folder: tempfile::TempDir,
    root: PathBuf,
    writable: PathBuf,
}

impl Image {
    fn assemble() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, writable) = (folder.path().join("root"), folder.path().join("writable"));
        let given = std::env::var_os("REKOPIA_MOVER_BINARY").map(PathBuf::from);
        let binary = given.clone().unwrap_or_else(debug_binary);
        let bundle = if Path::new(BUNDLE).exists() {
            PathBuf::from(BUNDLE)
        } else {
            // A machine without certificates still tests the rest.
            let own = folder.path().join("bundle");
            fs::write(&own, "-----BEGIN CERTIFICATE-----\n").unwrap();
            own
        };
        let script = super::mover().join("image/assemble");
        let made = Command::new(script).arg(&binary).arg(bundle).arg(&root).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let libraries = libraries(&binary);
        if given.is_some() {
            assert_eq!(libraries, Vec::<PathBuf>::new(), "the program of the image is static");
        }
        for library in libraries {
            let inside = root.join(library.strip_prefix("/").unwrap());
            fs::create_dir_all(inside.parent().unwrap()).unwrap();
            fs::copy(&library, inside).unwrap();
        }
        for path in ["restore", "restore/data", "cache"] {
            fs::create_dir_all(writable.join(path)).unwrap();
            chown(writable.join(path), Some(UID), Some(UID)).unwrap();
        }
        Self { _folder: folder, root, writable }
    }

    fn run(&self, operation: &str, variables: &[(&str, &str)]) -> Output {
        let repository = testdata().join("quickstart/repo");
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"])
            .args([&self.root, &self.writable, &repository])
            .arg(operation)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/")
            .envs([
                ("DATA_DIR", "/restore/data"),
                ("KOPIA_CACHE_DIR", "/cache"),
                ("KOPIA_REPOSITORY", "filesystem:///mnt"),
                ("KOPIA_OVERRIDE_USERNAME", "paperless"),
                ("KOPIA_OVERRIDE_HOSTNAME", "media"),
                ("KOPIA_DISCOVER_SNAPSHOTS", "true"),
                ("PRIVILEGED_MOVER", "0"),
            ])
            .env("KOPIA_PASSWORD", fs::read_to_string(testdata().join("quickstart/password")).unwrap())
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }
}

fn debug_binary() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--locked", "-p", "rekopia-mover", "--message-format", "json"])
        .current_dir(super::mover().join(".."))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let text = String::from_utf8(built.stdout).unwrap();
    let found = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| {
            let of_mover = message["target"]["name"] == "rekopia-mover";
            message["executable"].as_str().filter(|_| of_mover).map(PathBuf::from)
        });
    found.expect("cargo names the program")
}

/// What a program is linked to at run time; nothing for a static one.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(binary).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    text.split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect()
}

/// The expected tree of the newest snapshot as this user can make it.
fn expected() -> Tree {
    let fixture = Fixture::load("quickstart");
    let newest = fixture.snapshots.last().expect("it has snapshots");
    let mut tree = fixture.expected(newest).expect("it has an expected tree");
    for entry in tree.entries.values_mut() {
        // Nobody else's set-uid and set-gid bits on files that had to stay ours.
        entry.mode &= 0o1777;
        (entry.uid, entry.gid) = (UID, UID);
    }
    tree
}

#[test]
fn it_restores_read_only_as_any_user_without_capabilities() {
    let image = Image::assemble();
    let done = image.run("restore", &[]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let found = Tree::read(&image.writable.join("restore/data"));
    assert_eq!(expected().diff(&found, &[]).lines, Vec::<String>::new());
    // Once more onto what is there: nothing changes.
    let again = image.run("restore", &[]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(Tree::read(&image.writable.join("restore/data")), found);
}

#[test]
fn it_says_what_is_wrong_and_touches_nothing() {
    let image = Image::assemble();
    for (operation, variables, code) in [
        ("restore", &[("KOPIA_PASSWORD", "wrong")][..], 12),
        ("restore", &[("KOPIA_REPOSITORY", "filesystem:///customCA")], 10),
        ("backup", &[], 2),
        ("check", &[], 0),
    ] {
        let done = image.run(operation, variables);
        assert_eq!(done.status.code(), Some(code), "{operation} {variables:?}: {done:?}");
        assert_eq!(
            Tree::read(&image.writable.join("restore/data")).entries.len(),
            1,
            "{operation} {variables:?}"
        );
    }
}

#[test]
fn the_root_holds_what_the_image_needs_and_no_shell() {
    let image = Image::assemble();
    assert_eq!(fs::metadata(image.root.join("mover-kopia/entry.sh")).unwrap().mode() & 0o7777, 0o755);
    assert!(fs::metadata(image.root.join("etc/ssl/certs/ca-certificates.crt")).unwrap().len() > 0);
    for absent in ["bin/sh", "usr/bin/sh", "bin/bash", "etc/passwd"] {
        assert!(!image.root.join(absent).exists(), "{absent}");
    }
}
