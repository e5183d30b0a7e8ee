//! What is right is kept, what differs is replaced, what is in the way is handled.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rekopia::{ErrorKind, Overwrite, Repository};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::tree::Tree;

use crate::support::{open, quick, restore};

const SOURCE: &str = "paperless@media:/data";

async fn quickstart() -> (Fixture, Repository, Tree) {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let expected = fixture.expected(fixture.snapshots.last().unwrap()).unwrap();
    (fixture, repository, expected)
}

fn ctimes(root: &Path) -> BTreeMap<String, (i64, i64, u64)> {
    let mut found = BTreeMap::new();
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            stack.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        found.insert(path.display().to_string(), (meta.ctime(), meta.ctime_nsec(), meta.ino()));
    }
    found
}

#[track_caller]
fn assert_equal(expected: &Tree, target: &Path) {
    let diff = expected.diff(&Tree::read(target), &[]);
    assert!(diff.is_empty(), "\n{diff}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_onto_an_equal_tree_fetches_no_file_data_and_changes_nothing() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    let before = ctimes(&target);
    for overwrite in [Overwrite::Always, Overwrite::IfChanged, Overwrite::SkipExisting, Overwrite::Never] {
        let options = quick().overwrite(overwrite);
        let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures);
        assert_eq!((report.written_bytes, report.kept_bytes), (0, report.bytes), "{overwrite:?}");
        // Not even where a link leads.
        assert_eq!((report.symlinks, report.needed_bytes), (1, 0), "{overwrite:?}");
        assert_eq!(ctimes(&target), before, "{overwrite:?}");
    }
    assert_equal(&expected, &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_compared_by_where_it_leads() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    let (path, entry) = expected.entries.iter().find(|(_, entry)| entry.kind == 's').unwrap();
    let link = target.join(path);
    let right = String::from_utf8(entry.target.clone().unwrap()).unwrap();
    let same_length = right.replace(|c: char| c.is_alphanumeric(), "x");
    for wrong in [same_length, format!("{right}/more"), right[..right.len() - 1].to_owned()] {
        std::fs::remove_file(&link).unwrap();
        symlink(&wrong, &link).unwrap();
        let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
        assert!(report.needed_bytes > 0, "{wrong}");
        assert_equal(&expected, &target);
    }
    // Only its time is another.
    std::fs::remove_file(&link).unwrap();
    symlink(&right, &link).unwrap();
    let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    assert_eq!(report.needed_bytes, 0);
    assert_equal(&expected, &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_tree_becomes_the_newer_one_and_back() {
    let (fixture, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let options = quick().delete_extra(true);
    for snapshot in fixture.snapshots.iter().chain(fixture.snapshots.iter().rev()) {
        let report = restore(&repository, &snapshot.manifest_id, &target, &options).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures);
        assert_equal(&fixture.expected(snapshot).unwrap(), &target);
    }
    let _ = expected;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_is_written_and_inodes_stay() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    let inodes = |t: &Path| ctimes(t).into_iter().map(|(p, (.., ino))| (p, ino)).collect::<Vec<_>>();
    let before = inodes(&target);
    // Changed content, same size and time; longer; shorter; other attributes.
    let key = target.join("config/secret.key");
    let meta = std::fs::metadata(&key).unwrap();
    let mut bytes = std::fs::read(&key).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&key, &bytes).unwrap();
    let times = std::fs::FileTimes::new().set_modified(meta.modified().unwrap());
    std::fs::File::options().write(true).open(&key).unwrap().set_times(times).unwrap();
    let settings = target.join("config/settings.yaml");
    std::fs::write(&settings, "short").unwrap();
    std::fs::set_permissions(target.join("config"), PermissionsExt::from_mode(0o700)).unwrap();
    let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_equal(&expected, &target);
    assert_eq!(inodes(&target), before);
    let changed = meta.len() + std::fs::metadata(&settings).unwrap().len();
    assert_eq!(report.written_bytes, changed);
}

/// `if-changed` trusts size and time, so a change that hides behind both stays; that is what it is for.
#[tokio::test(flavor = "multi_thread")]
async fn never_keeps_whatever_is_there() {
    let (_, repository, _) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    std::fs::create_dir_all(target.join("config")).unwrap();
    std::fs::write(target.join("config/settings.yaml"), "mine").unwrap();
    let options = quick().overwrite(Overwrite::Never);
    let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(report.skipped, 1);
    assert_eq!(std::fs::read(target.join("config/settings.yaml")).unwrap(), b"mine");
    assert!(target.join("config/secret.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn symlinks_in_the_target_are_replaced_and_never_followed() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let (target, outside) = (dir.path().join("t"), dir.path().join("outside"));
    std::fs::create_dir_all(&target).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "untouched").unwrap();
    symlink(&outside, target.join("config")).unwrap();
    std::fs::create_dir(target.join("log")).unwrap();
    symlink(outside.join("victim"), target.join("log/paperless-1.log")).unwrap();
    symlink(outside.join("new"), target.join("log/paperless-2.log")).unwrap();
    let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_equal(&expected, &target);
    assert_eq!(std::fs::read(outside.join("victim")).unwrap(), b"untouched");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_of_a_file_keep_what_they_have() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let (target, other) = (dir.path().join("t"), dir.path().join("other"));
    std::fs::create_dir_all(target.join("config")).unwrap();
    std::fs::write(&other, "other name").unwrap();
    std::fs::hard_link(&other, target.join("config/secret.key")).unwrap();
    let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_equal(&expected, &target);
    assert_eq!(std::fs::read(&other).unwrap(), b"other name");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_in_the_way_fail_that_entry_unless_extras_go() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    std::fs::create_dir_all(target.join("config/secret.key/deep")).unwrap();
    std::fs::write(target.join("log"), "a file where a directory belongs").unwrap();
    std::fs::write(target.join("extra"), "stays").unwrap();
    let report = restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    assert!(!report.is_complete());
    assert!(
        report.failures().iter().any(|f| f.path == "config/secret.key" && f.kind == ErrorKind::Destination)
    );
    assert!(report.failures().iter().any(|f| f.path.starts_with("log/")));
    assert!(target.join("config/settings.yaml").exists() && target.join("extra").exists());
    let options = quick().delete_extra(true);
    let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_equal(&expected, &target);
    // The extra, the file in the way, and the folder in the way with the one in it.
    assert_eq!(report.deleted, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_found_and_filtered_entries_are_not_extra() {
    let (_, repository, _) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    std::fs::create_dir(target.join("lost+found")).unwrap();
    std::fs::write(target.join("config/extra"), "goes").unwrap();
    let options = quick().delete_extra(true);
    let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
    assert!(target.join("lost+found").exists() && !target.join("config/extra").exists());
    assert_eq!(report.deleted, 1);
    std::fs::write(target.join("config/extra"), "stays").unwrap();
    let options = quick().delete_extra(true).exclude(vec!["config/".into()]);
    restore(&repository, SOURCE, &target, &options).await.unwrap();
    assert!(target.join("config/extra").exists() && target.join("config/secret.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn include_and_exclude_choose_entries() {
    let (_, repository, _) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let options = quick().include(vec!["*.log".into()]).exclude(vec!["*-2.log".into()]);
    restore(&repository, SOURCE, dir.path(), &options).await.unwrap();
    let found: Vec<String> = Tree::read(dir.path()).entries.into_keys().collect();
    assert_eq!(found, ["", "log", "log/paperless-1.log", "log/paperless-3.log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_paths_and_single_files() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("config");
    restore(&repository, "latest/config", &target, &quick()).await.unwrap();
    let found = Tree::read(&target);
    assert_eq!(found.entries[""].mtime_ns, expected.entries["config"].mtime_ns);
    assert_eq!(found.entries["secret.key"].sha256, expected.entries["config/secret.key"].sha256);
    let file = dir.path().join("key");
    restore(&repository, "latest/config/secret.key", &file, &quick()).await.unwrap();
    assert_eq!(Tree::read(&file).entries[""], expected.entries["config/secret.key"]);
    let onto_dir = restore(&repository, "latest/config/secret.key", &target, &quick()).await.unwrap_err();
    assert_eq!(onto_dir.kind(), ErrorKind::Usage);
    let missing = restore(&repository, "latest/config/secret.kez", &file, &quick()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_touches_nothing_and_counts() {
    let (_, repository, _) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let options = quick().dry_run(true);
    let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
    assert!(!target.exists());
    let planned = report.planned.unwrap();
    assert_eq!(report.files, 31);
    assert!(planned.requests >= planned.packs && planned.packs > 0 && planned.bytes > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_back_passes_on_a_good_disk() {
    let (_, repository, _) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let options = quick().verify(true);
    let report = restore(&repository, SOURCE, &dir.path().join("t"), &options).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_leaves_nothing_half_written_and_is_completed_by_another() {
    let (_, repository, expected) = quickstart().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let options = quick();
    options.cancel.cancel();
    let report = restore(&repository, SOURCE, &target, &options).await.unwrap();
    assert!(report.cancelled && !report.is_complete());
    assert_eq!((report.files, report.failed), (0, 0));
    let found = if target.exists() { Tree::read(&target) } else { Tree::default() };
    for (path, entry) in found.entries {
        assert!(entry.kind != 'f' || entry.sha256 == expected.entries[&path].sha256, "{path}");
    }
    restore(&repository, SOURCE, &target, &quick()).await.unwrap();
    assert_equal(&expected, &target);
}
