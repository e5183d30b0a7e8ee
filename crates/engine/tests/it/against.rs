//! A tree against a snapshot: whatever is changed anywhere is found, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rekopia::{Differs, ErrorKind, OwnerPolicy, Report, Repository, RestoreOptions, Silent};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::storage::{Request, WatchedBlobs};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

use crate::support::{open, open_blobs, quick, resolve, restore};

/// Compares owners only where they could be set.
pub(crate) fn options() -> RestoreOptions {
    let owner = if rustix::process::geteuid().is_root() { OwnerPolicy::Keep } else { OwnerPolicy::Skip };
    quick().owner(owner)
}

async fn compared(repository: &Repository, reference: &str, target: &Path) -> Report {
    let from = resolve(repository, reference).await.unwrap();
    repository.compare(&from, target, &options(), Arc::new(Silent)).await.unwrap()
}

/// Returns path and kinds of everything that differs.
fn differing(report: &Report) -> Vec<(String, Vec<Differs>)> {
    report.failures.iter().map(|failure| (failure.path.clone(), failure.differs.clone())).collect()
}

/// Returns every entry below, without the root.
pub(crate) fn entries(root: &Path) -> Vec<PathBuf> {
    let (mut all, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if is_folder(&path) {
                open.push(path.clone());
            }
            all.push(path);
        }
    }
    all.sort();
    all
}

pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir() && !path.is_symlink()
}

pub(crate) fn set_time(path: &Path, (seconds, nanos): (i64, i64)) {
    let kept = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times =
        Timestamps { last_access: kept, last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos } };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub(crate) fn time_of(path: &Path) -> (i64, i64) {
    let metadata = path.symlink_metadata().unwrap();
    (metadata.mtime(), metadata.mtime_nsec())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_is_equal() {
    for name in ["quickstart", "compress", "deep-indirect", "format-v1", "many-files", "volsync"] {
        let fixture = Fixture::load(name);
        let repository = open(&fixture).await;
        let dir = tempfile::tempdir().unwrap();
        let id = &fixture.snapshots[0].manifest_id;
        let restored = restore(&repository, id, dir.path(), &options()).await.unwrap();
        let report = compared(&repository, id, dir.path()).await;
        assert!(report.exit_kind().is_none(), "{name}: {:?}", report.failures);
        let amounts = |report: &Report| (report.files, report.directories, report.symlinks, report.bytes);
        assert_eq!(amounts(&report), amounts(&restored), "{name}");
    }
}

/// No file data is asked for: hashes decide.
#[tokio::test(flavor = "multi_thread")]
async fn only_metadata_is_read() {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    restore(&open(&fixture).await, "latest", dir.path(), &options()).await.unwrap();
    let settings = rekopia::blob::Settings::parse(fixture.repo().to_str().unwrap()).unwrap();
    let blobs = WatchedBlobs::new(rekopia::blob::connect(&settings).await.unwrap());
    let repository = open_blobs(blobs.clone(), &fixture.password).await.unwrap();
    let report = compared(&repository, "latest", dir.path()).await;
    assert!(report.exit_kind().is_none(), "{:?}", report.failures);
    let data =
        blobs.requests().into_iter().find(|r| matches!(r, Request::Read(id, _) if id.starts_with('p')));
    assert_eq!(data, None);
}

/// Each change is made alone, at every entry of the tree.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_each_entry_is_found() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    restore(&repository, "latest", &root, &options()).await.unwrap();
    for path in entries(&root) {
        let (time, above) = (time_of(&path), path.parent().unwrap().to_owned());
        let above_time = time_of(&above);
        for (change, expected) in changes(&path) {
            let undo = change(&path);
            if expected != Differs::Time {
                set_time(&path, time);
            }
            set_time(&above, above_time);
            let report = compared(&repository, "latest", &root).await;
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            assert_eq!(differing(&report), [(name, vec![expected])]);
            assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
            undo(&path);
            set_time(&path, time);
            set_time(&above, above_time);
        }
    }
    assert!(compared(&repository, "latest", &root).await.exit_kind().is_none(), "all is as it was");
}

pub(crate) type Undo = Box<dyn FnOnce(&Path) + Send>;
pub(crate) type Change = fn(&Path) -> Undo;

/// Returns what can be changed about an entry, and as what it is to be found.
pub(crate) fn changes(path: &Path) -> Vec<(Change, Differs)> {
    let metadata = path.symlink_metadata().unwrap();
    let mut changes: Vec<(Change, Differs)> = vec![(one_second, Differs::Time)];
    match metadata.is_symlink() {
        true => changes.push((elsewhere, Differs::Link)),
        false => changes.push((other_mode, Differs::Mode)),
    }
    if metadata.is_file() && metadata.len() > 0 {
        changes.extend([(one_bit as Change, Differs::Bytes), (shorter, Differs::Size)]);
    }
    changes
}

fn one_second(path: &Path) -> Undo {
    let (seconds, nanos) = time_of(path);
    set_time(path, (seconds + 1, nanos));
    Box::new(|_| ())
}

fn other_mode(path: &Path) -> Undo {
    let mode = path.metadata().unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(mode.mode() ^ 0o001)).unwrap();
    Box::new(|path| fs::set_permissions(path, mode).unwrap())
}

fn elsewhere(path: &Path) -> Undo {
    let target = fs::read_link(path).unwrap();
    relink(path, Path::new(&format!("{}x", target.display())));
    Box::new(move |path| relink(path, &target))
}

fn relink(path: &Path, target: &Path) {
    let metadata = path.symlink_metadata().unwrap();
    fs::remove_file(path).unwrap();
    symlink(target, path).unwrap();
    lchown(path, Some(metadata.uid()), Some(metadata.gid())).unwrap();
}

fn one_bit(path: &Path) -> Undo {
    let bytes = fs::read(path).unwrap();
    let mut other = bytes.clone();
    let middle = bytes.len() / 2;
    other[middle] ^= 1;
    fs::write(path, other).unwrap();
    Box::new(move |path| fs::write(path, bytes).unwrap())
}

fn shorter(path: &Path) -> Undo {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    Box::new(move |path| fs::write(path, bytes).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_extra_or_another_thing() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    restore(&repository, "latest", &whole, &options()).await.unwrap();
    for relative in entries(&whole).iter().map(|path| path.strip_prefix(&whole).unwrap()) {
        let root = dir.path().join("t");
        restore(&repository, "latest", &root, &options()).await.unwrap();
        let path = root.join(relative);
        let above = path.parent().unwrap().to_owned();
        let above_time = time_of(&above);
        let name = relative.to_str().unwrap().to_owned();
        let check = async |expected: &[(String, Vec<Differs>)]| {
            set_time(&above, above_time);
            assert_eq!(differing(&compared(&repository, "latest", &root).await), expected, "{name}");
        };
        let extra = path.with_file_name("zz-extra");
        fs::write(&extra, "").unwrap();
        let extra_name = extra.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        check(&[(extra_name, vec![Differs::Extra])]).await;
        fs::remove_file(&extra).unwrap();
        let is_dir = is_folder(&path);
        if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        check(&[(name.clone(), vec![Differs::Missing])]).await;
        if is_dir {
            fs::write(&path, "").unwrap()
        } else {
            fs::create_dir(&path).unwrap()
        }
        check(&[(name.clone(), vec![Differs::Type])]).await;
        fs::remove_dir_all(&root).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compressed_as_a_whole_is_read() {
    let fixture = Fixture::load("format-v1");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let id = &fixture.snapshots[0].manifest_id;
    restore(&repository, id, dir.path(), &options()).await.unwrap();
    for path in entries(dir.path()).into_iter().filter(|path| path.is_file() && !path.is_symlink()) {
        let (time, bytes) = (time_of(&path), fs::read(&path).unwrap());
        if bytes.is_empty() {
            continue;
        }
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        fs::write(&path, &other).unwrap();
        set_time(&path, time);
        let report = compared(&repository, id, dir.path()).await;
        assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
        assert_eq!(report.failures[0].differs, [Differs::Bytes]);
        fs::write(&path, &bytes).unwrap();
        set_time(&path, time);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_single_files_and_what_is_not_there() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    restore(&repository, "latest", &root, &options()).await.unwrap();
    fs::write(root.join("config/secret.key"), "changed").unwrap();
    fs::write(root.join("config/more"), "").unwrap();
    let from = resolve(&repository, "latest").await.unwrap();
    let with = |include: &[&str], exclude: &[&str]| {
        options()
            .include(include.iter().map(|glob| (*glob).to_owned()).collect())
            .exclude(exclude.iter().map(|glob| (*glob).to_owned()).collect())
            .times(false)
    };
    let paths = async |options: RestoreOptions| -> Vec<String> {
        let report = repository.compare(&from, &root, &options, Arc::new(Silent)).await.unwrap();
        report.failures.into_iter().map(|failure| failure.path).collect()
    };
    assert_eq!(paths(with(&[], &[])).await, ["config/more", "config/secret.key"]);
    assert_eq!(paths(with(&["*.key"], &[])).await, ["config/secret.key"]);
    assert_eq!(paths(with(&[], &["/config"])).await, Vec::<String>::new());

    let one = resolve(&repository, "latest/config/secret.key").await.unwrap();
    let file = root.join("config/secret.key");
    let report = repository.compare(&one, &file, &options(), Arc::new(Silent)).await.unwrap();
    assert_eq!(report.failed, 1, "{:?}", report.failures);
    let nothing = repository.compare(&from, &dir.path().join("no"), &options(), Arc::new(Silent)).await;
    assert_eq!(nothing.unwrap_err().kind(), ErrorKind::Destination);
    fs::create_dir(dir.path().join("empty")).unwrap();
    let empty = compared(&repository, "latest", &dir.path().join("empty")).await;
    assert!(empty.failed > 3 && empty.exit_kind() == Some(ErrorKind::Incomplete), "{:?}", empty.failures);
}
