//! Receipts: whatever is changed anywhere in a restored tree is found, what was not restored is not looked at.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rekopia::{
    Cancel, ErrorKind, Event, Observer, Phase, Receipt, ReceiptCheck, Receipting, Report, Repository,
    RestoreOptions, Silent,
};
use rekopia_testkit::fixture::Fixture;

use crate::against::{changes, entries, is_folder, options, set_time, time_of};
use crate::support::{open, resolve};

pub(crate) fn hashed() -> RestoreOptions {
    options().receipt(Receipting::Digest)
}

/// Restores and returns the receipt, as a reader of its file gets it.
pub(crate) async fn restored(
    repository: &Repository,
    reference: &str,
    target: &Path,
    options: &RestoreOptions,
) -> (Report, Receipt) {
    let from = resolve(repository, reference).await.unwrap();
    let report = repository.restore(&from, target, options, Arc::new(Silent)).await.unwrap();
    assert!(report.fatal.is_none(), "{:?}", report.fatal);
    let receipt = Receipt::of("a test 1", repository, &from, options, &report).unwrap();
    if let Receipting::File(path) = &options.receipt {
        receipt.write(path).unwrap();
        return (report, Receipt::read(path).unwrap());
    }
    let read = Receipt::parse(&serde_json::to_vec(&receipt).unwrap()).unwrap();
    (report, read)
}

pub(crate) async fn check(receipt: &Receipt, target: &Path) -> ReceiptCheck {
    receipt.check(target, 3, &Cancel::new(), Arc::new(Silent)).await.unwrap()
}

pub(crate) async fn is_equal(receipt: &Receipt, target: &Path) -> bool {
    check(receipt, target).await.is_equal
}

pub(crate) fn different(found: &ReceiptCheck) -> Vec<(&str, &str)> {
    found.differences.iter().map(|one| (one.path.as_str(), one.what)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_is_equal_wherever_it_lies() {
    for name in ["quickstart", "deep-indirect", "format-v1", "many-files", "volsync", "weird-tree"] {
        let fixture = Fixture::load(name);
        let repository = open(&fixture).await;
        let dir = tempfile::tempdir().unwrap();
        let (root, id) = (dir.path().join("t"), &fixture.snapshots[0].manifest_id);
        let (report, receipt) = restored(&repository, id, &root, &hashed()).await;
        assert!(receipt.others.is_empty(), "{name}: {:?}", receipt.others);
        let amounts = (receipt.files, receipt.directories, receipt.symlinks, receipt.bytes);
        assert_eq!(amounts, (report.files, report.directories, report.symlinks, report.bytes), "{name}");
        let moved = dir.path().join("elsewhere");
        fs::rename(&root, &moved).unwrap();
        assert!(is_equal(&receipt, &moved).await, "{name}");
        let again = dir.path().join("again");
        let (_, second) = restored(&repository, id, &again, &hashed()).await;
        assert_eq!(second.tree_hash, receipt.tree_hash, "{name}: the target is no part of it");
    }
}

/// Each change is made alone, at every entry of the tree.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_each_entry_is_found() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    for path in entries(&root) {
        let (time, above) = (time_of(&path), path.parent().unwrap().to_owned());
        let above_time = time_of(&above);
        let named = above.strip_prefix(&root).unwrap().to_str().unwrap();
        for (number, (change, _)) in changes(&path).into_iter().enumerate() {
            let undo = change(&path);
            // The first one changes the time itself.
            if number > 0 {
                set_time(&path, time);
            }
            set_time(&above, above_time);
            let found = check(&receipt, &root).await;
            assert!(!found.is_equal, "{}, change {number}", path.display());
            assert_eq!(different(&found), [(named, "differs")], "{}, change {number}", path.display());
            undo(&path);
            set_time(&path, time);
            set_time(&above, above_time);
        }
    }
    assert!(is_equal(&receipt, &root).await, "all is as it was");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o701)).unwrap();
    let found = check(&receipt, &root).await;
    assert!(!found.is_equal && found.differences.is_empty(), "the root's own mode counts: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_extra_or_another_thing_is_found() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    for path in entries(&root) {
        let above = path.parent().unwrap().to_owned();
        let time = time_of(&above);
        let aside = dir.path().join("aside");
        let finds = async |what: &str| {
            set_time(&above, time);
            assert!(!is_equal(&receipt, &root).await, "{}: {what}", path.display());
        };
        let extra = path.with_file_name("zz-extra");
        fs::write(&extra, "").unwrap();
        finds("an extra file").await;
        fs::remove_file(&extra).unwrap();
        fs::create_dir(&extra).unwrap();
        finds("an extra directory").await;
        fs::remove_dir(&extra).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &extra, rustix::fs::Mode::RWXU).unwrap();
        finds("a pipe").await;
        fs::remove_file(&extra).unwrap();
        fs::rename(&path, &aside).unwrap();
        finds("missing").await;
        fs::rename(&aside, &extra).unwrap();
        finds("another name").await;
        fs::rename(&extra, &path).unwrap();
        set_time(&above, time);
        assert!(is_equal(&receipt, &root).await, "{}: all is as it was", path.display());
    }
}

/// Directories that the receipt knows are named, the topmost of what is gone or new.
#[tokio::test(flavor = "multi_thread")]
async fn directories_that_differ_are_named() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    assert_eq!(receipt.nearest.len() as u64, receipt.directories);
    assert_eq!(receipt.nearest[0].path, "");
    let top =
        entries(&root).into_iter().find(|path| is_folder(path) && path.parent() == Some(&root)).unwrap();
    let name = top.file_name().unwrap().to_str().unwrap();
    fs::remove_dir_all(&top).unwrap();
    fs::create_dir_all(root.join("new/deep")).unwrap();
    let found = check(&receipt, &root).await;
    let mut expected = vec![("", "differs"), (name, "missing"), ("new", "extra")];
    expected.sort();
    assert_eq!(different(&found), expected);
    assert!(found.found.files < receipt.files && found.found.directories != receipt.directories);
}

/// Directories and files that are closed to their owner are read all the same, and are closed afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_to_us_is_hashed_and_stays_closed() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    let modes = |path: &Path| path.symlink_metadata().unwrap().mode();
    let before: Vec<u32> = entries(&root).iter().map(|path| modes(path)).collect();
    for path in entries(&root) {
        let mode = modes(&path);
        if path.is_symlink() {
            continue;
        }
        for closed in [0o000, 0o400, 0o200] {
            fs::set_permissions(&path, fs::Permissions::from_mode(closed)).unwrap();
            assert!(!is_equal(&receipt, &root).await);
            assert_eq!(modes(&path) & 0o7777, closed);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    assert_eq!(entries(&root).iter().map(|path| modes(path)).collect::<Vec<_>>(), before);
    assert!(is_equal(&receipt, &root).await);
}

/// Deeper than there may be open directories, and with more entries in one than are ahead.
#[tokio::test(flavor = "multi_thread")]
async fn deep_and_wide_trees() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    let (_, receipt) = restored(&repository, "latest", &root, &hashed()).await;
    let deep = root.join(vec!["d"; 250].join("/"));
    fs::create_dir_all(&deep).unwrap();
    for n in 0..700 {
        fs::write(deep.join(format!("{n}")), format!("{n}")).unwrap();
        fs::write(root.join(format!("d/{n}")), "").unwrap();
    }
    let found = check(&receipt, &root).await;
    assert!(!found.is_equal);
    assert_eq!(found.found.files, receipt.files + 1400);
    assert_eq!(found.found.directories, receipt.directories + 250);
    assert_eq!(different(&found), [("", "differs"), ("d", "extra")]);
    let alone = receipt.check(&root, 1, &Cancel::new(), Arc::new(Silent)).await.unwrap();
    assert_eq!(alone.found, found.found, "the number of threads changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_asked_to_and_says_what_it_does() {
    #[derive(Default)]
    struct Phases(Mutex<Vec<Phase>>);
    impl Observer for Phases {
        fn event(&self, event: Event) {
            if let Event::Phase { phase } = event {
                self.0.lock().unwrap().push(phase);
            }
        }
    }
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let phases = Arc::new(Phases::default());
    let from = resolve(&repository, "latest").await.unwrap();
    let report = repository.restore(&from, dir.path(), &hashed(), Arc::clone(&phases) as _).await.unwrap();
    assert!(phases.0.lock().unwrap().contains(&Phase::Hashing));
    let receipt = Receipt::of("a test 1", &repository, &from, &hashed(), &report).unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = receipt.check(dir.path(), 1, &cancel, Arc::new(Silent)).await.unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    let dry = hashed().dry_run(true);
    let refused = repository.restore(&from, dir.path(), &dry, Arc::new(Silent)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
    let inside = options().receipt(Receipting::File(fixture.repo().join("receipt")));
    let refused = repository.restore(&from, dir.path(), &inside, Arc::new(Silent)).await;
    assert!(refused.is_err() && !fixture.repo().join("receipt").exists());
}

/// The example of docs/receipt.md is what the code writes.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_documentation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    fs::write(&file, "abc").unwrap();
    for (path, mode) in [(file.as_path(), 0o644), (dir.path(), 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set_time(path, (1_000_000_000, 0));
    }
    let document = include_str!("../../../../docs/receipt.md");
    let hashes =
        document.lines().filter(|line| line.len() == 64 && line.bytes().all(|b| b.is_ascii_hexdigit()));
    let [_records, root] = hashes.collect::<Vec<_>>()[..] else { panic!() };
    let receipt = format!(
        r#"{{"kind":"rekopia-receipt","version":1,"root":"directory","treeHash":"{root}","files":1,"directories":1,
        "symlinks":0,"bytes":3,"others":[]}}"#
    );
    let found = check(&Receipt::parse(receipt.as_bytes()).unwrap(), dir.path()).await;
    assert!(found.is_equal, "{found:?}");
}
