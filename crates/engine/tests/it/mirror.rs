//! `--delete-extra`: what goes, what stays, who is asked, and in which order.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rekopia::{Consent, DeleteLimit, ErrorKind, RestoreOptions};
use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::WriterOptions;

use crate::damage::{built, file};
use crate::mounted::Mounted;
use crate::support::{open, open_at, quick, restore};

pub(crate) const SOURCE: &str = "paperless@media:/data";

pub(crate) fn mirror() -> RestoreOptions {
    quick().delete_extra(true)
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
        rekopia_testkit::must_run("an extra that may not be removed", "no immutable files here");
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
        let options = mirror().dry_run(dry_run);
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
        let options = mirror().dry_run(dry_run);
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
            let options = mirror().max_delete(max_delete).dry_run(dry_run);
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
        let options = mirror().consent(Some(consent));
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
    let options = mirror().consent(consent).max_delete(Some(DeleteLimit::Entries(0)));
    assert!(restore(&repository, SOURCE, &target, &options).await.unwrap().exit_kind().is_none());
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
        let options = mirror().include(lists(include)).exclude(lists(exclude));
        let dry = options.clone().dry_run(true);
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
    let options = mirror().delete_first(true);
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
        ("config/secret.key", none.files(files)),
        ("config", none.directories(directories)),
        ("media/current", none.symlinks(symlinks)),
    ] {
        for delete_extra in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("extra"), "").unwrap();
            let options = quick().refuse_existing(refuse_existing).delete_extra(delete_extra);
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
