//! What a restore with `--delete-extra` never crosses: mounts, the repository, and what the run itself needs.

use std::path::{Path, PathBuf};

use rekopia::ErrorKind;
use rekopia_testkit::fixture::{Fixture, copy_dir};
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{DirectoryWriter, WriterOptions};

use crate::damage::{METADATA, file};
use crate::mirror::{SOURCE, mirror};
use crate::mounted::Mounted;
use crate::support::{open, open_at, quick, restore};

fn tree_without_times(path: &Path) -> Vec<(String, Option<String>)> {
    Tree::read(path).entries.into_iter().map(|(path, entry)| (path, entry.sha256)).collect()
}

/// Bind mounts of the same file system, other file systems and mounted files, at and below names that the snapshot has
/// and has not.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_across_a_mount_point() {
    let repository = open(&Fixture::load("quickstart")).await;
    for place in ["extra", "extra/deep/er", "config", "log", "config/secret.key", "config/deep"] {
        for kind in ["bind", "nested", "read-only", "tmpfs", "self", "file"] {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("t");
            restore(&repository, SOURCE, &target, &quick()).await.unwrap();
            let Some(at) = mount_point(&target.join(place), kind) else { continue };
            let Some(mounts) = Mounts::new(kind, &dir.path().join("outside"), &target.join("own"), at) else {
                return;
            };
            let case = format!("{kind} at {place}");
            for dry_run in [true, false] {
                let options = mirror().dry_run(dry_run);
                let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
                // A mounted file that the snapshot has is restored, as what is in a mounted folder is.
                if kind == "file" && place == "config/secret.key" {
                    continue;
                }
                if kind != "self" {
                    assert_eq!(std::fs::read(&mounts.victim).unwrap(), b"precious", "{case}: {report:?}");
                } else if place != "own" {
                    // The folder itself is extra; what is mounted elsewhere is not a way to it.
                    assert!(mounts.at.exists(), "{case}");
                }
                // Into a read-only mount that the snapshot has a folder for nothing can be written.
                if kind == "file" || kind == "read-only" {
                    continue;
                }
                let fails = place == "config/secret.key";
                assert_eq!(report.failed, u64::from(fails), "{case}: {:?}", report.failures());
                if fails && !dry_run {
                    assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
                    assert!(report.failures()[0].message.contains("mount"), "{:?}", report.failures());
                }
            }
        }
    }
}

/// Makes what something of this kind can be mounted on; `None`: a file cannot be where a folder is.
fn mount_point(at: &Path, kind: &str) -> Option<PathBuf> {
    if kind == "file" {
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        if at.is_dir() {
            return None;
        }
        std::fs::write(at, "covered").unwrap();
    } else {
        if at.is_file() {
            std::fs::remove_file(at).unwrap();
        }
        std::fs::create_dir_all(at).unwrap();
    }
    Some(at.to_owned())
}

/// What is mounted in a target, and the file behind it that must stay. The inner mount goes first.
struct Mounts {
    _nested: Option<Mounted>,
    _mounted: Mounted,
    at: PathBuf,
    victim: PathBuf,
}

impl Mounts {
    /// `None` where this process may not mount.
    fn new(kind: &str, outside: &Path, own: &Path, at: PathBuf) -> Option<Self> {
        for folder in [outside, own] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("victim"), "precious").unwrap();
        }
        let (own, source) = (own.to_str().unwrap(), outside.to_str().unwrap());
        let file = outside.join("victim").to_str().unwrap().to_owned();
        let (arguments, victim) = match kind {
            "bind" | "nested" | "read-only" => (vec!["--bind", source], outside.join("victim")),
            "tmpfs" => (vec!["-t", "tmpfs", "none"], at.join("victim")),
            "self" => (vec!["--bind", own], at.join("victim")),
            _ => (vec!["--bind", &file], outside.join("victim")),
        };
        let _mounted = Mounted::new(&arguments, &at)?;
        let inner = at.join("inner");
        let _nested = if kind == "nested" {
            std::fs::create_dir(&inner).unwrap();
            Mounted::new(&["--bind", own], &inner)
        } else {
            None
        };
        if kind == "read-only" {
            Mounted::kept(&["-o", "remount,bind,ro"], &at);
        }
        if kind == "tmpfs" {
            std::fs::write(&victim, "precious").unwrap();
        }
        Some(Mounts { _nested, _mounted, at, victim })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn target_and_repository_do_not_overlap() {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    let usb = dir.path().join("usb");
    let repo = usb.join("kopia");
    std::fs::create_dir(&usb).unwrap();
    copy_dir(&fixture.repo(), &repo);
    let bytes = tree_without_times(&repo);
    let repository = open_at(&repo, &fixture.password).await.unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&repo, &link).unwrap();
    let bind = dir.path().join("bind");
    std::fs::create_dir(&bind).unwrap();
    let inside = repo.join("p");
    let mounted = Mounted::new(&["--bind", inside.to_str().unwrap()], &bind);
    let mut targets = vec![repo.clone(), repo.join("p"), repo.join("new/deep"), link.join("new")];
    if mounted.is_some() {
        targets.extend([bind.clone(), bind.join("new")]);
    }
    for target in targets {
        for delete_extra in [false, true] {
            for dry_run in [true, false] {
                let options = quick().delete_extra(delete_extra).dry_run(dry_run);
                let error = restore(&repository, SOURCE, &target, &options).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Destination, "{}", target.display());
            }
        }
    }
    let error = restore(&repository, SOURCE, &usb, &mirror()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    let error = restore(&repository, SOURCE, Path::new("/"), &mirror()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert_eq!(tree_without_times(&repo), bytes);
    // Above it works, as long as nothing lands in it.
    let report = restore(&repository, SOURCE, &usb, &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    assert_eq!(tree_without_times(&repo), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_would_land_in_the_repository_fails_alone() {
    use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter};
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("kopia");
    let mut w =
        RepositoryWriter::create(DirectorySink::create(&repo).unwrap(), WriterOptions::default()).unwrap();
    let inner = file(&mut w, "kopia.repository.f", b"not a repository");
    let mut folder = DirectoryWriter::new(&w);
    folder.add(&mut w, &inner).unwrap();
    let folder = folder.finish(&mut w, b"kopia", METADATA).unwrap();
    let mut root = DirectoryWriter::new(&w);
    let other = file(&mut w, "other", b"restored");
    root.add(&mut w, &folder).unwrap();
    root.add(&mut w, &other).unwrap();
    let root = root.finish(&mut w, b"p", METADATA).unwrap();
    let source = rekopia::Source { user: "u".into(), host: "h".into(), path: "/p".into() };
    w.put_snapshot(&NewSnapshot::new(source, w.now() * 1_000_000_000, root)).unwrap();
    w.flush().unwrap();
    let before = tree_without_times(&repo);
    let repository = open_at(&repo, "test-password").await.unwrap();
    let report = restore(&repository, "u@h", dir.path(), &quick()).await.unwrap();
    assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
    assert!(
        report.failures().iter().all(|f| f.path.starts_with("kopia") && f.kind == ErrorKind::Destination)
    );
    assert!(dir.path().join("other").exists());
    assert_eq!(tree_without_times(&repo), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_run_itself_needs_is_never_touched() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    std::fs::create_dir_all(target.join("cache/deep")).unwrap();
    std::fs::create_dir_all(target.join("config")).unwrap();
    std::fs::create_dir_all(target.join("old/deep")).unwrap();
    for name in
        ["cache/deep/blob", "password", "config/secret.key", "extra", "config/notes", "old/deep/key", "old/x"]
    {
        std::fs::write(target.join(name), "mine").unwrap();
    }
    let protected =
        ["cache", "password", "config/secret.key", "old/deep/key"].map(|name| target.join(name)).to_vec();
    let report_file = Some(target.join("config/report"));
    let options = mirror().protected(protected).report_file(report_file);
    let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
    assert_eq!(report.exit_kind(), None, "{report:?}");
    for name in ["cache/deep/blob", "password", "config/secret.key", "old/deep/key"] {
        assert_eq!(std::fs::read(target.join(name)).unwrap(), b"mine", "{name}");
    }
    assert!(target.join("config/report").exists());
    assert!(!target.join("extra").exists() && !target.join("config/notes").exists());
    assert!(!target.join("old/x").exists());
    assert_eq!((report.protected, report.deleted), (5, 3), "{:?}", report.warnings);
}
