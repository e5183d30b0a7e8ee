//! Makes the images' root filesystems as the Dockerfiles do and runs them: read-only, as uid 1234, without capabilities,
//! without a writable `/tmp`. Needs root, for the namespaces; no container engine.
//!
//! `REKOPIA_MOVER_BINARY` names a finished program (the release one, static); without it the debug one is built, and the
//! libraries that it is linked to are put beside it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rekopia_testkit::fixture::{Fixture, copy_dir, testdata};
use rekopia_testkit::pod::{Pod, ROOT, User, install, libraries, which};
use rekopia_testkit::tree::Tree;

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const APP: User = User { uid: 1234, gid: 1234, second: None };
/// The operator's user for maintenance.
const MAINTENANCE: User = User { uid: 1000, gid: 1000, second: None };

/// What a pod mounts into an image. `$R/..` is the folder that holds the root.
const MOUNTS: &str = "mount --bind $R/../restore $R/restore
mount --bind $R/../cache $R/cache
mount --bind $R/../mnt $R/mnt
mount -o remount,bind,ro $R/mnt";

/// A folder with an image's root and what is mounted into it.
struct Image {
    folder: tempfile::TempDir,
}

impl Image {
    /// Makes the restore-only image: what `mover/image/assemble` makes, as in the Dockerfile.
    fn restore_only() -> Self {
        let image = Image { folder: tempfile::tempdir().unwrap() };
        let given = std::env::var_os("REKOPIA_MOVER_BINARY").map(PathBuf::from);
        let binary = given.clone().unwrap_or_else(debug_binary);
        let bundle = if Path::new(BUNDLE).exists() {
            PathBuf::from(BUNDLE)
        } else {
            // A machine without certificates still tests the rest.
            let own = image.folder.path().join("bundle");
            fs::write(&own, "-----BEGIN CERTIFICATE-----\n").unwrap();
            own
        };
        let script = super::mover().join("image/assemble");
        let made = Command::new(script).arg(&binary).arg(bundle).arg(image.root()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let libraries = libraries(&binary);
        if given.is_some() {
            assert_eq!(libraries, Vec::<PathBuf>::new(), "the program of the image is static");
        }
        for library in libraries {
            install(&image.root(), &library, library.to_str().unwrap());
        }
        image.with_volumes()
    }

    /// Makes the overlay: a stock image with a stand-in for its script, and the copies that `Dockerfile.overlay` makes.
    fn overlay() -> Self {
        let rekopia = Image::restore_only();
        let image = Image { folder: tempfile::tempdir().unwrap() };
        let stock = image.folder.path().join("stock");
        let script = stock.join("mover-kopia/entry.sh");
        for folder in ["mover-kopia", "restore", "cache", "mnt", "tmp"] {
            fs::create_dir_all(stock.join(folder)).unwrap();
        }
        fs::write(
            &script,
            "#!/bin/sh\necho \"stock: $# $* $DIRECTION $CUSTOM_CA $KOPIA_REPOSITORY\"\nexit 7\n",
        )
        .unwrap();
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        install(&stock, &which("sh"), "/bin/sh");
        copy_dir(&stock, &image.root());
        for copy in super::instructions("Dockerfile.overlay", true) {
            let Some(words) = copy.strip_prefix("COPY --from=") else { continue };
            let words: Vec<&str> = words.split(' ').collect();
            let from = if words[0] == "stock" { stock.clone() } else { rekopia.root() };
            fs::copy(from.join(&words[1][1..]), image.root().join(&words[2][1..])).unwrap();
        }
        for library in libraries(&image.root().join("mover-kopia/entry.sh")) {
            install(&image.root(), &library, library.to_str().unwrap());
        }
        image.with_volumes()
    }

    fn with_volumes(self) -> Self {
        for path in ["restore/data", "cache", "mnt"] {
            fs::create_dir_all(self.folder.path().join(path)).unwrap();
        }
        chown(self.data(), Some(APP.uid), Some(APP.gid)).unwrap();
        copy_dir(&testdata().join("quickstart/repo"), &self.folder.path().join("mnt/repo"));
        fs::create_dir(self.folder.path().join("mnt/empty")).unwrap();
        self
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("restore/data")
    }

    fn run(&self, user: User, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let pod = Pod::start(&self.root(), MOUNTS);
        let program = [&["/mover-kopia/entry.sh"], arguments].concat();
        let mut command = pod.command(user, &program);
        command
            .envs([
                ("HOME", "/"),
                ("DATA_DIR", "/restore/data"),
                ("KOPIA_CACHE_DIR", "/cache"),
                ("KOPIA_REPOSITORY", "filesystem:///mnt/repo"),
                ("KOPIA_OVERRIDE_USERNAME", "paperless"),
                ("KOPIA_OVERRIDE_HOSTNAME", "media"),
                ("KOPIA_DISCOVER_SNAPSHOTS", "true"),
                ("PRIVILEGED_MOVER", "0"),
            ])
            .env("KOPIA_PASSWORD", fs::read_to_string(testdata().join("quickstart/password")).unwrap())
            .envs(variables.iter().copied());
        command.output().unwrap()
    }

    /// Restores twice; the second time changes nothing.
    fn restores(&self) {
        let done = self.run(APP, &["restore"], &[]);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        let found = Tree::read(&self.data());
        assert_eq!(expected().diff(&found, &[]).lines, Vec::<String>::new());
        let again = self.run(APP, &["restore"], &[]);
        assert_eq!(again.status.code(), Some(0), "{again:?}");
        assert_eq!(Tree::read(&self.data()), found);
    }
}

fn debug_binary() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        // With the features of the whole workspace's tests: what these have built is not built again.
        .args(["test", "--locked", "--workspace", "--test", "layout", "--no-run", "--message-format", "json"])
        .current_dir(super::mover().join(".."))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let text = String::from_utf8(built.stdout).unwrap();
    let found = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| {
            let of_mover =
                message["target"]["kind"][0] == "bin" && message["target"]["name"] == "rekopia-mover";
            message["executable"].as_str().filter(|_| of_mover).map(PathBuf::from)
        });
    found.expect("cargo names the program")
}

/// Returns the expected tree of the newest snapshot as this user can make it.
fn expected() -> Tree {
    let fixture = Fixture::load("quickstart");
    let newest = fixture.snapshots.last().expect("it has snapshots");
    let mut tree = fixture.expected(newest).expect("it has an expected tree");
    for entry in tree.entries.values_mut() {
        // Nobody else's set-uid and set-gid bits on files that had to stay ours.
        entry.mode &= 0o1777;
        (entry.uid, entry.gid) = (APP.uid, APP.gid);
    }
    tree
}

#[test]
fn it_restores_read_only_as_any_user_without_capabilities() {
    Image::restore_only().restores();
}

#[test]
fn it_says_what_is_wrong_and_touches_nothing() {
    let image = Image::restore_only();
    for (operation, variables, code) in [
        ("restore", &[("KOPIA_PASSWORD", "wrong")][..], 12),
        ("restore", &[("KOPIA_REPOSITORY", "filesystem:///customCA")], 10),
        ("backup", &[], 2),
        ("check", &[], 0),
    ] {
        let done = image.run(APP, &[operation], variables);
        assert_eq!(done.status.code(), Some(code), "{operation} {variables:?}: {done:?}");
        assert_eq!(Tree::read(&image.data()).entries.len(), 1, "{operation} {variables:?}");
    }
}

#[test]
fn the_root_holds_what_the_image_needs_and_no_shell() {
    let image = Image::restore_only();
    let program = fs::metadata(image.root().join("mover-kopia/entry.sh")).unwrap();
    assert_eq!(program.mode() & 0o7777, 0o755);
    if std::env::var_os("REKOPIA_MOVER_BINARY").is_some() {
        println!("the program takes {:.1} MB", program.len() as f64 / 1e6);
        assert!(program.len() < 40_000_000, "{} bytes: was it stripped?", program.len());
    }
    assert!(fs::metadata(image.root().join("etc/ssl/certs/ca-certificates.crt")).unwrap().len() > 0);
    for absent in ["bin/sh", "usr/bin/sh", "bin/bash", "etc/passwd"] {
        assert!(!image.root().join(absent).exists(), "{absent}");
    }
}

#[test]
fn the_overlay_restores_by_itself_and_hands_over_the_rest() {
    let image = Image::overlay();
    image.restores();
    let before = Tree::read(&image.folder.path().join("mnt"));
    for (user, arguments, variables, expected) in [
        (ROOT, &["backup"][..], &[][..], "stock: 1 backup   filesystem:///mnt/repo"),
        (
            MAINTENANCE,
            &[],
            &[("DIRECTION", "maintenance"), ("KOPIA_CUSTOM_CA", "/ca.crt")],
            "stock: 0  maintenance /ca.crt filesystem:///mnt/repo",
        ),
    ] {
        let done = image.run(user, arguments, variables);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(7), "{done:?}");
        assert!(said.contains(expected), "{said}");
        let elsewhere = [variables, &[("KOPIA_REPOSITORY", "filesystem:///mnt/empty")]].concat();
        let refused = image.run(user, arguments, &elsewhere);
        assert_eq!(refused.status.code(), Some(10), "{refused:?}");
        assert!(!String::from_utf8_lossy(&refused.stdout).contains("stock:"), "the script was started");
    }
    assert_eq!(before, Tree::read(&image.folder.path().join("mnt")), "a location was touched");
}
