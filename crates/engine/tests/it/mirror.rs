//! `--delete-extra`: what goes, what stays, who is asked, and in which order.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rekopia::{Consent, DeleteLimit, ErrorKind, RestoreOptions};
use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::{Fixture, copy_dir};
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{DirectoryWriter, WriterOptions};

use crate::damage::{METADATA, built, file};
use crate::support::{open, open_at, quick, restore};

const SOURCE: &str = "paperless@media:/data";

fn mirror() -> RestoreOptions {
    RestoreOptions { delete_extra: true, ..quick() }
}

/// Something that is mounted until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where this process may not mount.
    fn new(arguments: &[&str], at: &Path) -> Option<Self> {
        let done = Command::new("mount").args(arguments).arg(at).output().unwrap();
        if done.status.success() {
            return Some(Mounted(at.to_owned()));
        }
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(std::env::var_os("REKOPIA_TESTS_MUST_RUN").is_none(), "cannot mount here: {why}");
        eprintln!("skipped: cannot mount here: {why}");
        None
    }
}

impl Mounted {
    /// Changes what is mounted already.
    fn kept(arguments: &[&str], at: &Path) {
        assert!(Command::new("mount").args(arguments).arg(at).status().unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

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
            let (target, outside) = (dir.path().join("t"), dir.path().join("outside"));
            restore(&repository, SOURCE, &target, &quick()).await.unwrap();
            std::fs::create_dir(&outside).unwrap();
            std::fs::write(outside.join("victim"), "precious").unwrap();
            let at = target.join(place);
            if kind == "file" {
                std::fs::create_dir_all(at.parent().unwrap()).unwrap();
                if at.is_dir() {
                    continue;
                }
                std::fs::write(&at, "covered").unwrap();
            } else {
                if at.is_file() {
                    std::fs::remove_file(&at).unwrap();
                }
                std::fs::create_dir_all(&at).unwrap();
            }
            let (own, source) = (target.join("own"), outside.to_str().unwrap().to_owned());
            std::fs::create_dir(&own).unwrap();
            std::fs::write(own.join("victim"), "precious").unwrap();
            let file = outside.join("victim").to_str().unwrap().to_owned();
            let (arguments, victim) = match kind {
                "bind" | "nested" | "read-only" => (vec!["--bind", &source], outside.join("victim")),
                "tmpfs" => (vec!["-t", "tmpfs", "none"], at.join("victim")),
                "self" => (vec!["--bind", own.to_str().unwrap()], at.join("victim")),
                _ => (vec!["--bind", &file], outside.join("victim")),
            };
            let Some(_mounted) = Mounted::new(&arguments, &at) else { return };
            let inner = at.join("inner");
            let _nested = if kind == "nested" {
                std::fs::create_dir(&inner).unwrap();
                Mounted::new(&["--bind", own.to_str().unwrap()], &inner)
            } else {
                None
            };
            if kind == "read-only" {
                Mounted::kept(&["-o", "remount,bind,ro"], &at);
            }
            if kind == "tmpfs" {
                std::fs::write(&victim, "precious").unwrap();
            }
            let case = format!("{kind} at {place}");
            for dry_run in [true, false] {
                let options = RestoreOptions { dry_run, ..mirror() };
                let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
                // A mounted file that the snapshot has is restored, as what is in a mounted folder is.
                if kind == "file" && place == "config/secret.key" {
                    continue;
                }
                if kind != "self" {
                    assert_eq!(std::fs::read(&victim).unwrap(), b"precious", "{case}: {report:?}");
                } else if place != "own" {
                    // The folder itself is extra; what is mounted elsewhere is not a way to it.
                    assert!(at.exists(), "{case}");
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

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_removed_is_named_and_the_rest_goes() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    for folder in ["a", "a/b", "a/b/c", "z"] {
        std::fs::create_dir(target.join(folder)).unwrap();
        for n in 0..3 {
            std::fs::write(target.join(folder).join(format!("f{n}")), "x").unwrap();
        }
    }
    std::fs::set_permissions(target.join("a/b"), PermissionsExt::from_mode(0o550)).unwrap();
    let fixed = target.join("a/b/c/f1");
    if !Command::new("chattr").arg("+i").arg(&fixed).status().is_ok_and(|s| s.success()) {
        assert!(std::env::var_os("REKOPIA_TESTS_MUST_RUN").is_none(), "no immutable files here");
        return;
    }
    let report = restore(&repository, SOURCE, &target, &mirror()).await.unwrap();
    Command::new("chattr").arg("-i").arg(&fixed).status().unwrap();
    assert_eq!((report.failed, report.deleted, report.undeleted), (0, 12, 1), "{report:?}");
    assert_eq!(report.remaining[0].path, "a/b/c/f1");
    assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
    assert!(fixed.exists() && !target.join("z").exists() && !target.join("a/f0").exists());
    assert_eq!(std::fs::metadata(target.join("a/b")).unwrap().mode() & 0o777, 0o550);
    let report = restore(&repository, SOURCE, &target, &mirror()).await.unwrap();
    assert_eq!((report.exit_kind(), report.deleted), (None, 4));
    assert!(!target.join("a").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pack_keeps_all_extras_and_says_so() {
    let fixture = Fixture::load("damaged-pack-missing");
    let snapshot = fixture.snapshots.iter().find(|s| s.expect_error).unwrap();
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("extra/deep")).unwrap();
    for dry_run in [true, false] {
        let options = RestoreOptions { dry_run, ..mirror() };
        let report = restore(&repository, &snapshot.manifest_id, dir.path(), &options).await.unwrap();
        assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
        assert_eq!(report.deleted, 0);
        assert!(dir.path().join("extra/deep").exists());
        assert!(report.warnings.iter().any(|w| w.contains("delete")), "{:?}", report.warnings);
    }
}

/// Everything is right already; but what cannot be proven deletes nothing, and nothing done is not success.
#[tokio::test(flavor = "multi_thread")]
async fn extras_beside_a_right_tree_with_a_lost_pack_are_what_is_left_undone() {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    let damage = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    let target = dir.path().join("t");
    let repository = open(&fixture).await;
    restore(&repository, SOURCE, &target, &mirror()).await.unwrap();
    std::fs::create_dir_all(target.join("extra/deep")).unwrap();
    for pack in damage.blobs("p") {
        damage.delete(&pack);
    }
    let repository = open_at(damage.root(), &fixture.password).await.unwrap();
    for dry_run in [true, false] {
        let options = RestoreOptions { dry_run, ..mirror() };
        let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
        assert_eq!((report.failed, report.undeleted, report.deleted), (0, 2, 0), "{dry_run}");
        assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
        assert!(report.warnings.iter().any(|w| w.contains("in pack p")), "{:?}", report.warnings);
        assert!(target.join("extra/deep").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_a_refusal_leave_the_target_untouched() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    std::fs::create_dir_all(target.join("old/deep")).unwrap();
    std::fs::write(target.join("old/deep/file"), "x").unwrap();
    std::fs::write(target.join("older"), "x").unwrap();
    let before = Tree::read(&target);
    for limit in ["3", "99%", "0"] {
        for dry_run in [false, true] {
            let max_delete = Some(limit.parse::<DeleteLimit>().unwrap());
            let options = RestoreOptions { max_delete, dry_run, ..mirror() };
            let kind = match restore(&repository, SOURCE, &target, &options).await {
                Err(e) => Some(e.kind()),
                Ok(report) => report.exit_kind(),
            };
            assert_eq!(kind, Some(ErrorKind::Refused), "{limit}");
            assert_eq!(Tree::read(&target), before);
        }
    }
    let asked = Arc::new(AtomicU64::new(0));
    for answer in [false, true] {
        let counting = Arc::clone(&asked);
        let consent = Consent::new(move |deletion| {
            counting.fetch_add(deletion.entries, Ordering::Relaxed);
            assert_eq!((deletion.of, deletion.before_writing), (4, false));
            assert_eq!(deletion.first.len(), 2, "{:?}", deletion.first);
            answer
        });
        let options = RestoreOptions { consent: Some(consent), ..mirror() };
        let ended = restore(&repository, SOURCE, &target, &options).await;
        match answer {
            false => {
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::Refused);
                assert_eq!(Tree::read(&target), before);
            }
            true => assert_eq!(ended.unwrap().deleted, 4),
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 8);
    // Nothing goes: nobody is asked.
    let consent = Some(Consent::new(|_| panic!("asked for nothing")));
    let options = RestoreOptions { consent, max_delete: Some(DeleteLimit::Entries(0)), ..mirror() };
    assert!(restore(&repository, SOURCE, &target, &options).await.unwrap().exit_kind().is_none());
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
                let options = RestoreOptions { delete_extra, dry_run, ..quick() };
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
    let options = RestoreOptions { protected, report_file, ..mirror() };
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

#[tokio::test(flavor = "multi_thread")]
async fn with_a_filter_an_extra_goes_only_if_the_filter_takes_it() {
    let (_, repository) =
        built(WriterOptions::default(), |w| vec![file(w, "a.log", b"x"), file(w, "a.txt", b"x")]).await;
    for (include, exclude, stays) in [
        (
            &["*.log"][..],
            &[][..],
            &["a.txt", "b.txt", "empty", "mixed", "mixed/d.txt", "text", "text/e.txt"][..],
        ),
        (&[], &["*.txt"], &["a.txt", "b.txt", "mixed", "mixed/d.txt", "text", "text/e.txt"]),
        (&[], &["mixed/"], &["a.txt", "mixed", "mixed/d.log", "mixed/d.txt"]),
        (
            &["mixed/", "a.log"],
            &[],
            &["a.txt", "b.log", "b.txt", "empty", "logs", "logs/c.log", "text", "text/e.txt"],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["mixed", "logs", "empty", "text"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for name in ["a.txt", "b.log", "b.txt", "mixed/d.log", "mixed/d.txt", "logs/c.log", "text/e.txt"] {
            std::fs::write(dir.path().join(name), "mine").unwrap();
        }
        let lists = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let options = RestoreOptions { include: lists(include), exclude: lists(exclude), ..mirror() };
        let dry = RestoreOptions { dry_run: true, ..options.clone() };
        let would = restore(&repository, "u@h", dir.path(), &dry).await.unwrap();
        let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
        assert!(report.exit_kind().is_none(), "{report:?}");
        let tree = Tree::read(dir.path());
        let left: Vec<&str> =
            tree.entries.keys().map(String::as_str).filter(|p| !p.is_empty() && *p != "a.log").collect();
        assert_eq!(left, stays, "{include:?} {exclude:?}");
        assert_eq!(would.planned.unwrap().deletion.entries, report.deleted, "{include:?} {exclude:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_aside_comes_back_or_goes() {
    let repository = open(&Fixture::load("quickstart")).await;
    for (mark, free) in [(true, true), (true, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("t");
        restore(&repository, SOURCE, &target, &quick()).await.unwrap();
        let aside = target.join("config/.rekopia-old-0");
        std::fs::create_dir(&aside).unwrap();
        if mark {
            rustix::fs::setxattr(&aside, "user.rekopia.aside", b"1", rustix::fs::XattrFlags::empty())
                .unwrap();
        }
        let name = if free { "was-in-the-way" } else { "secret.key" };
        std::fs::write(aside.join(name), "mine").unwrap();
        let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
        assert!(report.is_complete());
        let came_back = std::fs::read(target.join("config").join(name)).is_ok_and(|bytes| bytes == b"mine");
        assert_eq!((came_back, aside.exists()), (mark && free, !(mark && free)), "{mark} {free}");
        // A mirror takes either for the extra that it is.
        let report = restore(&repository, SOURCE, &target, &mirror()).await.unwrap();
        assert_eq!(report.deleted, if came_back { 1 } else { 2 });
        assert!(!aside.exists() && std::fs::read(target.join("config/secret.key")).unwrap() != b"mine");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_of_an_incomplete_restore() {
    let mark = |target: &Path| {
        let mut value = vec![0; 1000];
        let len = rustix::fs::getxattr(target, "user.rekopia.incomplete", &mut value[..]).ok()?;
        Some(String::from_utf8(value[..len].to_vec()).unwrap())
    };
    let fixture = Fixture::load("damaged-pack-missing");
    let snapshot = fixture.snapshots.iter().find(|s| s.expect_error).unwrap();
    let damaged = open(&fixture).await;
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore(&damaged, &snapshot.manifest_id, &target, &quick()).await.unwrap();
    let found = mark(&target).unwrap();
    assert!(found.contains(&snapshot.manifest_id) && found.contains("started"), "{found}");
    restore(&repository, SOURCE, &target, &mirror()).await.unwrap();
    assert_eq!(mark(&target), None);
    // On an equal tree removing one is all that happens.
    rustix::fs::setxattr(&target, "user.rekopia.incomplete", b"old", rustix::fs::XattrFlags::empty())
        .unwrap();
    let ctime = |path: &Path| std::fs::metadata(path).unwrap().ctime_nsec();
    let before = ctime(&target.join("config"));
    restore(&repository, SOURCE, &target, &mirror()).await.unwrap();
    assert_eq!((mark(&target), ctime(&target.join("config"))), (None, before));
    let root = ctime(&target);
    restore(&repository, SOURCE, &target, &mirror()).await.unwrap();
    assert_eq!(ctime(&target), root, "an equal tree was touched");
}

/// Room is made first only when that is allowed, and only then.
#[tokio::test(flavor = "multi_thread")]
async fn extras_go_first_where_old_and_new_do_not_fit() {
    let data: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (_, repository) = built(WriterOptions::default(), |w| vec![file(w, "new", &data)]).await;
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=5m", "none"], dir.path()) else { return };
    std::fs::write(dir.path().join("old"), &data).unwrap();
    let error = restore(&repository, "u@h", dir.path(), &quick()).await;
    assert!(error.is_err() || error.unwrap().exit_kind() == Some(ErrorKind::Destination));
    let error = restore(&repository, "u@h", dir.path(), &mirror()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert!(dir.path().join("old").exists() && error.to_string().contains("no space left"), "{error}");
    let options = RestoreOptions { delete_first: true, ..mirror() };
    let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
    assert_eq!((report.exit_kind(), report.deleted), (None, 1));
    assert!(std::fs::read(dir.path().join("new")).unwrap() == data);
    // What deletion frees is not enough either.
    std::fs::remove_file(dir.path().join("new")).unwrap();
    std::fs::write(dir.path().join("tiny"), "x").unwrap();
    Mounted::kept(&["-o", "remount,size=2m"], dir.path());
    let error = restore(&repository, "u@h", dir.path(), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert!(dir.path().join("tiny").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_may_not_exist_refuse_the_whole_restore() {
    use rekopia::RefuseExisting;
    let repository = open(&Fixture::load("quickstart")).await;
    let (files, directories, symlinks) = (true, true, true);
    let none = RefuseExisting::default();
    for (name, refuse_existing) in [
        ("config/secret.key", RefuseExisting { files, ..none }),
        ("config", RefuseExisting { directories, ..none }),
        ("media/current", RefuseExisting { symlinks, ..none }),
    ] {
        for delete_extra in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("extra"), "").unwrap();
            let options = RestoreOptions { refuse_existing, delete_extra, ..quick() };
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "mine").unwrap();
            let error = restore(&repository, SOURCE, dir.path(), &options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Destination, "{name}");
            assert!(error.to_string().contains(name) && dir.path().join("extra").exists(), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), b"mine");
            // Other kinds may be there.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(dir.path().join("other"), "").unwrap();
            let report = restore(&repository, SOURCE, &dir.path().join("fresh"), &options).await.unwrap();
            assert_eq!(report.exit_kind(), None, "{name}: {:?}", report.failures());
        }
    }
}
