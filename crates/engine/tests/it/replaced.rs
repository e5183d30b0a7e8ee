//! Files and links that make way for new ones: what they leave behind, and what they leave alone.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::writer::WriterOptions;

use crate::damage::{built, file};
use crate::support::{open, quick, restore};

const SOURCE: &str = "paperless@media:/data";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_of_a_file_keep_their_attributes() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let (target, other) = (dir.path().join("t"), dir.path().join("other"));
    restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    let key = target.join("config/secret.key");
    let right = std::fs::metadata(&key).unwrap();
    std::fs::hard_link(&key, &other).unwrap();
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    std::fs::File::options().write(true).open(&other).unwrap().set_modified(old).unwrap();
    std::fs::set_permissions(&other, Permissions::from_mode(0o751)).unwrap();
    let before = std::fs::metadata(&other).unwrap();
    let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    let (now, after) = (std::fs::metadata(&key).unwrap(), std::fs::metadata(&other).unwrap());
    assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
    assert_eq!(after.ino(), before.ino());
    assert_eq!(
        (now.mode(), now.mtime(), now.mtime_nsec()),
        (right.mode(), right.mtime(), right.mtime_nsec())
    );
    assert_eq!(std::fs::read(&key).unwrap(), std::fs::read(&other).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_modes_what_is_new_stays_private() {
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    let large: Vec<u8> = (0..400_000u32).map(|n| (n >> 7) as u8).collect();
    let (_, repository) = built(options, |w| {
        vec![
            file(w, "small", b"small"),
            file(w, "large", &large),
            file(w, "linked", b"new"),
            file(w, "kept", b"new"),
        ]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    std::fs::create_dir(&target).unwrap();
    for (name, mode) in [("linked", 0o4751), ("kept", 0o750)] {
        std::fs::write(target.join(name), "old").unwrap();
        std::fs::set_permissions(target.join(name), Permissions::from_mode(mode)).unwrap();
    }
    std::fs::hard_link(target.join("linked"), dir.path().join("other")).unwrap();
    let options = quick().modes(false);
    let report = restore(&repository, "u@h", &target, &options).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    for (name, expected) in [("small", 0o600), ("large", 0o600), ("linked", 0o751), ("kept", 0o750)] {
        assert_eq!(format!("{:o}", mode(&target.join(name))), format!("{expected:o}"), "{name}");
    }
    assert_eq!(mode(&dir.path().join("other")), 0o4751);
    let fresh = dir.path().join("fresh");
    restore(&repository, "u@h", &fresh, &options).await.unwrap();
    assert_eq!((mode(&fresh), mode(&fresh.join("small"))), (0o700, 0o600));
}

/// A run that was killed at the wrong moment leaves a name behind.
#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_ours_are_removed_when_their_name_is_wanted() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let leftover = target.join("config/.rekopia-new-0");
    for case in ["file", "link", "somebody else's", "being written"] {
        restore(&repository, SOURCE, &target, &quick()).await.unwrap();
        let key = target.join("config/secret.key");
        let right = std::fs::read(&key).unwrap();
        std::fs::write(&key, "old").unwrap();
        let _ = std::fs::remove_file(dir.path().join("other"));
        std::fs::hard_link(&key, dir.path().join("other")).unwrap();
        match case {
            "link" => symlink("nowhere", &leftover).unwrap(),
            _ => std::fs::write(&leftover, "half").unwrap(),
        }
        if case == "somebody else's" {
            if !rustix::process::geteuid().is_root() {
                rekopia_testkit::must_run("a leftover of somebody else", "it needs root");
                continue;
            }
            chown(&leftover, Some(1000), None).unwrap();
        }
        let writes = (case == "being written").then(|| {
            let file = std::fs::File::open(&leftover).unwrap();
            file.lock().unwrap();
            file
        });
        let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures());
        assert_eq!(std::fs::read(&key).unwrap(), right);
        let names = std::fs::read_dir(target.join("config")).unwrap().map(|e| e.unwrap().file_name());
        let new: Vec<_> = names.filter(|n| n.to_str().unwrap().starts_with(".rekopia-new-")).collect();
        let stays = ["somebody else's", "being written"].contains(&case);
        assert_eq!(new.len(), usize::from(stays), "{case}: {new:?}");
        drop(writes);
        let _ = std::fs::remove_file(&leftover);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_snapshot_calls_like_a_leftover_is_none() {
    let (_, repository) = built(WriterOptions::default(), |w| {
        let mut files = vec![file(w, ".rekopia-new-0", b"of the snapshot")];
        files.extend((0..20).map(|n| file(w, &format!("f{n}"), b"new")));
        files
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (target, others) = (dir.path().join("t"), dir.path().join("others"));
    std::fs::create_dir(&others).unwrap();
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join(".rekopia-new-0"), "of the snapshot").unwrap();
    for n in 0..20 {
        std::fs::write(target.join(format!("f{n}")), "old").unwrap();
        std::fs::hard_link(target.join(format!("f{n}")), others.join(format!("{n}"))).unwrap();
    }
    let report = restore(&repository, "u@h", &target, &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    assert_eq!(std::fs::read(target.join(".rekopia-new-0")).unwrap(), b"of the snapshot");
    assert!((0..20).all(|n| std::fs::read(target.join(format!("f{n}"))).unwrap() == b"new"));
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 21);
}
