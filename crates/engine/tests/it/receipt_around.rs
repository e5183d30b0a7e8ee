//! Receipts of trees in which other things stand: what was there before, what failed, mounts, the receipt itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use rekopia::{Cancel, ErrorKind, Overwrite, Receipting, Silent};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::writer::{DirectoryWriter, Entry, EntryKind, WriterOptions};

use crate::against::{entries, set_time, time_of};
use crate::damage::{METADATA, built, file};
use crate::mounted::Mounted;
use crate::receipt::{check, different, hashed, is_equal, restored};
use crate::support::{open, resolve};

/// What was there before and what was left alone are others; they may change.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_in_which_other_things_stand() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let (clean, root) = (dir.path().join("clean"), dir.path().join("t"));
    let (_, alone) = restored(&repository, "latest", &clean, &hashed()).await;
    fs::create_dir_all(root.join("config/own/deeper")).unwrap();
    fs::write(root.join("config/own/deeper/file"), "mine").unwrap();
    fs::write(root.join("a\\b"), "").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-utf8-\xff")), "").unwrap();
    symlink("/nowhere", root.join("zz-link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    let others = [r"a\\b", "config/own", r"not-utf8-\xff", "pipe", "zz-link"];
    assert_eq!(receipt.others, others);
    assert_eq!(receipt.tree_hash, alone.tree_hash, "what stands there besides is no part of it");
    assert!(is_equal(&receipt, &root).await);
    fs::write(root.join("config/own/deeper/file"), "changed").unwrap();
    assert!(is_equal(&receipt, &root).await);
    assert!(!is_equal(&alone, &root).await);
    // A mirror leaves none.
    let mirror = hashed().delete_extra(true);
    let (_, mirrored) = restored(&repository, "latest", &root, &mirror).await;
    assert!(mirrored.others.is_empty() && mirrored.tree_hash == alone.tree_hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_alone_is_not_vouched_for() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    fs::create_dir_all(root.join("config")).unwrap();
    fs::write(root.join("config/secret.key"), "old").unwrap();
    let never = hashed().overwrite(Overwrite::Never);
    let (report, receipt) = restored(&repository, "latest", &root, &never).await;
    assert_eq!((report.skipped, receipt.skipped), (1, 1));
    assert_eq!(receipt.others, ["config/secret.key"]);
    fs::write(root.join("config/secret.key"), "changed").unwrap();
    assert!(is_equal(&receipt, &root).await);
    fs::write(root.join("db.sqlite3"), "changed").unwrap();
    assert!(!is_equal(&receipt, &root).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_and_one_entry_alone() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().join("fresh");
    let some = hashed().include(vec!["*.key".into()]);
    let (_, receipt) = restored(&repository, "latest", &fresh, &some).await;
    assert_eq!((receipt.files, receipt.others.len()), (1, 0));
    assert_eq!(receipt.options.include, ["*.key"]);
    assert!(is_equal(&receipt, &fresh).await);
    // Around it, everything that was there before stays and is none of it.
    let root = dir.path().join("t");
    restored(&repository, "latest", &root, &hashed()).await;
    fs::write(root.join("config/secret.key"), "old").unwrap();
    let (_, receipt) = restored(&repository, "latest", &root, &some).await;
    assert_eq!(receipt.files, 1);
    assert!(receipt.others.contains(&"db.sqlite3".to_owned()), "{:?}", receipt.others);
    assert!(!receipt.others.iter().any(|other| "config/secret.key".starts_with(other.as_str())));
    assert!(is_equal(&receipt, &root).await);
    fs::write(root.join("config/secret.key"), "other").unwrap();
    assert!(!is_equal(&receipt, &root).await);

    let one = dir.path().join("one.key");
    let (_, receipt) = restored(&repository, "latest/config/secret.key", &one, &hashed()).await;
    assert_eq!((receipt.root.as_str(), receipt.files, receipt.directories), ("file", 1, 0));
    let moved = dir.path().join("moved.key");
    fs::rename(&one, &moved).unwrap();
    assert!(is_equal(&receipt, &moved).await, "its name is no part of it");
    let time = time_of(&moved);
    set_time(&moved, (time.0 + 1, time.1));
    assert!(!is_equal(&receipt, &moved).await);
    let gone = receipt.check(&one, 1, &Cancel::new(), Arc::new(Silent)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Destination);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_could_not_be_restored_is_named_and_left_out() {
    let fixture = Fixture::load("damaged-pack-missing");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().join("fresh");
    let (report, receipt) = restored(&repository, "latest", &fresh, &hashed()).await;
    assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
    assert_eq!((receipt.failed, receipt.losses.len() as u64), (report.failed, report.failed));
    assert!(receipt.others.is_empty(), "nothing stands where nothing was restored: {:?}", receipt.others);
    assert!(is_equal(&receipt, &fresh).await);
    // What was there before stays, and may change.
    let (root, lost) = (dir.path().join("t"), PathBuf::from(&receipt.losses[0].path));
    let old = root.join(&lost);
    fs::create_dir_all(old.parent().unwrap()).unwrap();
    fs::write(&old, "old").unwrap();
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    assert_eq!(receipt.others, [lost.to_str().unwrap()]);
    fs::write(&old, "changed").unwrap();
    assert!(is_equal(&receipt, &root).await);
}

/// The file itself is one of the others, whether it was there before or not; its folder keeps its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_in_the_target() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    for (path, other) in [("receipt.json", "receipt.json"), ("config/here.json", "config/here.json")] {
        let at = hashed().receipt(Receipting::File(root.join(path)));
        for run in 0..3 {
            let mirror = at.clone().delete_extra(run == 2);
            let (_, receipt) = restored(&repository, "latest", &root, &mirror).await;
            assert!(receipt.others.contains(&other.to_owned()), "run {run}: {:?}", receipt.others);
            assert!(is_equal(&receipt, &root).await, "{path}, run {run}");
        }
        let left = entries(&root).into_iter().filter(|one| one.to_string_lossy().contains(".rekopia-"));
        assert_eq!(left.count(), 0);
    }
    // Reports lie there, too.
    fs::create_dir_all(root.join("own log")).unwrap();
    let report_file = Some(root.join("own log/report.json"));
    let at = hashed().receipt(Receipting::File(root.join("own log/receipt.json"))).report_file(report_file);
    let (_, receipt) = restored(&repository, "latest", &root, &at).await;
    assert!(receipt.others.contains(&"own log".to_owned()), "{:?}", receipt.others);
    assert!(is_equal(&receipt, &root).await);
}

/// Nothing that was restored gives way to a receipt.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_in_the_place_of_an_entry() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    let at = hashed().receipt(Receipting::File(root.join("db.sqlite3")));
    let from = resolve(&repository, "latest").await.unwrap();
    for _ in 0..2 {
        let refused = repository.restore(&from, &root, &at, Arc::new(Silent)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage, "{refused:?}");
        assert!(refused.to_string().contains("the place of an entry of the snapshot"), "{refused}");
        // A receipt does not replace something that is there already, either.
        if !root.exists() {
            fs::create_dir(&root).unwrap();
            fs::write(root.join("db.sqlite3"), "mine").unwrap();
        }
        assert_eq!(fs::read(root.join("db.sqlite3")).unwrap(), b"mine");
    }
}

/// What is mounted in the target is one of the others, unless it was restored into.
#[tokio::test(flavor = "multi_thread")]
async fn mounts_in_the_target() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    for folder in ["config", "foreign"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let mount = |folder: &str| Mounted::new(&["-t", "tmpfs", "none"], &root.join(folder));
    let (Some(_config), Some(foreign)) = (mount("config"), mount("foreign")) else { return };
    fs::write(root.join("foreign/file"), "").unwrap();
    fs::write(root.join("config/own"), "").unwrap();
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    assert_eq!(receipt.others, ["config/own", "foreign"]);
    assert!(is_equal(&receipt, &root).await);
    let (time, key) = (time_of(&root.join("config")), root.join("config/secret.key"));
    fs::write(&key, "changed").unwrap();
    set_time(&root.join("config"), time);
    assert_eq!(different(&check(&receipt, &root).await), [("config", "differs")]);
    drop(foreign);
    fs::write(root.join("foreign/another"), "").unwrap();
    assert_eq!(
        different(&check(&receipt, &root).await),
        [("config", "differs")],
        "whatever is mounted there"
    );
}

/// A directory that cannot be read is one of the others with all below it; what stands beside it counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_could_not_be_read() {
    let (_memory, repository) = built(WriterOptions::default(), |w| {
        let broken =
            Entry { kind: EntryKind::Directory(Box::default()), ..file(w, "broken", b"this is no listing") };
        vec![broken, file(w, "whole", b"x")]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (report, receipt) = restored(&repository, "u@h", dir.path(), &hashed()).await;
    assert_eq!((report.failed, report.failures[0].path.as_str()), (1, "broken"), "{report:?}");
    assert_eq!((receipt.files, receipt.losses[0].path.as_str()), (1, "broken"));
    let lost = dir.path().join("broken");
    assert!(receipt.others.len() <= 1 && is_equal(&receipt, dir.path()).await, "{:?}", receipt.others);
    fs::create_dir_all(&lost).unwrap();
    fs::write(lost.join("mine"), "").unwrap();
    let (_, receipt) = restored(&repository, "u@h", dir.path(), &hashed()).await;
    assert_eq!(receipt.others, ["broken"]);
    fs::write(lost.join("more"), "").unwrap();
    assert!(is_equal(&receipt, dir.path()).await);
}

/// Deeper than there are open directories, deeper than a path can be.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_directories() {
    let (_memory, repository) =
        built(WriterOptions { deduplicate: false, ..WriterOptions::default() }, |w| {
            let mut inner = file(w, "bottom", b"reached");
            for _ in 0..5000 {
                let mut directory = DirectoryWriter::new(w);
                directory.add(w, &inner).unwrap();
                inner = directory.finish(w, b"d", METADATA).unwrap();
            }
            vec![inner]
        })
        .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let (_, receipt) = restored(&repository, "u@h", &target, &hashed()).await;
    assert_eq!((receipt.files, receipt.directories, receipt.nearest.len()), (1, 5001, 1000));
    assert!(is_equal(&receipt, &target).await);
    let below = target.join(vec!["d"; 1500].join("/"));
    let time = time_of(&below);
    fs::write(below.join("more"), "").unwrap();
    set_time(&below, time);
    let deepest = vec!["d"; 999].join("/");
    assert_eq!(different(&check(&receipt, &target).await), [(deepest.as_str(), "below")]);
    // An empty snapshot takes it away again, which no other program may be able to.
    let (_, empty) = built(WriterOptions::default(), |_| Vec::new()).await;
    let mirror = hashed().delete_extra(true);
    let (_, receipt) = restored(&empty, "u@h", &target, &mirror).await;
    assert_eq!((receipt.directories, receipt.others.len()), (1, 0));
}
