//! The matrix in the documentation of `Overwrite`: what exists × what is wanted × the mode, every cell.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rekopia::{Overwrite, Report};
use rekopia_testkit::writer::WriterOptions;

use crate::damage::{METADATA, built, file};
use crate::support::{quick, restore};

/// Long enough for several contents of 128 KiB.
fn wanted() -> Vec<u8> {
    (0..400_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// What is at the file's name before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exists {
    Nothing,
    Equal,
    EqualOtherTime,
    EqualAlmostSameTime,
    Shorter,
    Longer,
    HeadEqual,
    MiddleEqual,
    TailEqual,
    SameSizeAndTime,
    Link,
    Folder,
    HardLinked,
    ForeignOwner,
    ReadOnly,
}

const ALL: [Exists; 15] = [
    Exists::Nothing,
    Exists::Equal,
    Exists::EqualOtherTime,
    Exists::EqualAlmostSameTime,
    Exists::Shorter,
    Exists::Longer,
    Exists::HeadEqual,
    Exists::MiddleEqual,
    Exists::TailEqual,
    Exists::SameSizeAndTime,
    Exists::Link,
    Exists::Folder,
    Exists::HardLinked,
    Exists::ForeignOwner,
    Exists::ReadOnly,
];

const MODES: [Overwrite; 4] =
    [Overwrite::Always, Overwrite::IfChanged, Overwrite::SkipExisting, Overwrite::Never];

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// The snapshot's file, bytes and attributes.
    Right,
    /// Stays as it is, counted as skipped.
    Kept,
    /// Stays as it is, and the entry fails.
    Refused,
}

fn becomes(exists: Exists, mode: Overwrite) -> Becomes {
    let trusted = match mode {
        Overwrite::Always => false,
        // Size and time to the nanosecond: what is trusted gets its attributes.
        Overwrite::IfChanged => {
            return match exists {
                Exists::SameSizeAndTime => Becomes::Kept,
                Exists::Folder => Becomes::Refused,
                _ => Becomes::Right,
            };
        }
        Overwrite::SkipExisting => {
            matches!(exists, Exists::Equal | Exists::EqualAlmostSameTime | Exists::SameSizeAndTime)
        }
        Overwrite::Never => exists != Exists::Nothing,
    };
    match exists {
        _ if trusted => Becomes::Kept,
        Exists::Folder => Becomes::Refused,
        _ => Becomes::Right,
    }
}

fn put(exists: Exists, dir: &Path) {
    let (path, right) = (dir.join("f"), wanted());
    let recorded = SystemTime::UNIX_EPOCH + Duration::from_nanos(METADATA.mtime_ns as u64);
    let changed = |range: std::ops::Range<usize>| {
        let mut bytes = wanted();
        bytes[range].iter_mut().for_each(|byte| *byte ^= 0xff);
        bytes
    };
    let (bytes, time) = match exists {
        Exists::Nothing => return,
        Exists::Link => return symlink("elsewhere", &path).unwrap(),
        Exists::Folder => return std::fs::create_dir_all(path.join("mine")).unwrap(),
        Exists::Equal => (right, recorded),
        Exists::EqualOtherTime => (right, recorded - Duration::from_secs(3)),
        Exists::EqualAlmostSameTime => (right, recorded - Duration::from_millis(1500)),
        Exists::Shorter => (right[..300_000].to_vec(), recorded),
        Exists::Longer => ([right, vec![7; 1000]].concat(), recorded),
        Exists::HeadEqual => (changed(200_000..400_000), recorded - Duration::from_secs(5)),
        Exists::MiddleEqual => {
            let mut bytes = changed(0..131_072);
            bytes[300_000..].fill(1);
            (bytes, recorded - Duration::from_secs(5))
        }
        Exists::TailEqual => (changed(0..200_000), recorded - Duration::from_secs(5)),
        Exists::SameSizeAndTime => (changed(0..400_000), recorded),
        Exists::HardLinked | Exists::ForeignOwner | Exists::ReadOnly => {
            (changed(0..1000), recorded - Duration::from_secs(5))
        }
    };
    std::fs::write(&path, bytes).unwrap();
    match exists {
        Exists::HardLinked => std::fs::hard_link(&path, dir.parent().unwrap().join("other")).unwrap(),
        Exists::ForeignOwner if rustix::process::geteuid().is_root() => {
            chown(&path, Some(777), Some(777)).unwrap()
        }
        _ => {}
    }
    let mode = if exists == Exists::ReadOnly { 0o400 } else { METADATA.mode };
    let open = std::fs::File::options().write(true).open(&path).unwrap();
    open.set_modified(time).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Everything that shows whether an entry was changed.
fn seen(path: &Path) -> BTreeMap<&'static str, String> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return BTreeMap::new() };
    let mut seen = BTreeMap::from([
        ("inode", meta.ino().to_string()),
        ("mode", format!("{:o} {}:{}", meta.mode(), meta.uid(), meta.gid())),
        ("time", format!("{}.{}", meta.mtime(), meta.mtime_nsec())),
        ("ctime", format!("{}.{}", meta.ctime(), meta.ctime_nsec())),
    ]);
    if meta.is_file() {
        seen.insert("bytes", format!("{:?}", std::fs::read(path).unwrap()));
    }
    seen
}

/// The file is the snapshot's, with its attributes, and no more was fetched than was needed.
fn assert_right(
    exists: Exists,
    path: &Path,
    before: &BTreeMap<&'static str, String>,
    report: &Report,
    case: &str,
) {
    assert_eq!(std::fs::read(path).unwrap(), wanted(), "{case}");
    let meta = std::fs::metadata(path).unwrap();
    let time = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
    assert_eq!((meta.mode() & 0o7777, time), (METADATA.mode, METADATA.mtime_ns), "{case}");
    assert_eq!((meta.uid(), report.skipped), (METADATA.uid, 0), "{case}");
    let keeps_inode = !matches!(exists, Exists::Nothing | Exists::Link | Exists::HardLinked);
    assert_eq!(seen(path).get("inode") == before.get("inode"), keeps_inode, "{case}");
    let fetches = match exists {
        Exists::Equal | Exists::EqualOtherTime | Exists::EqualAlmostSameTime | Exists::Longer => 0,
        Exists::Nothing | Exists::SameSizeAndTime | Exists::Link => 400_000,
        _ => report.written_bytes.clamp(1, 399_999),
    };
    assert_eq!(report.written_bytes, fetches, "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_matrix() {
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    let (_, repository) = built(options, |w| vec![file(w, "f", &wanted())]).await;
    for exists in ALL {
        for overwrite in MODES {
            let case = format!("{exists:?} {overwrite:?}");
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("t");
            std::fs::create_dir(&target).unwrap();
            put(exists, &target);
            let (path, other) = (target.join("f"), dir.path().join("other"));
            let (before, other_before) = (seen(&path), seen(&other));
            let options = quick().overwrite(overwrite);
            let dry = options.clone().dry_run(true);
            let would = restore(&repository, "u@h", &target, &dry).await.unwrap();
            assert_eq!(seen(&path), before, "{case}: a dry run changed something");
            let report = restore(&repository, "u@h", &target, &options).await.unwrap();
            assert_eq!(would.exit_kind(), report.exit_kind(), "{case}");
            let planned = would.planned.unwrap();
            match becomes(exists, overwrite) {
                Becomes::Right => {
                    assert!(report.is_complete(), "{case}: {:?}", report.failures());
                    assert_right(exists, &path, &before, &report, &case);
                    let changes = u64::from(!matches!(exists, Exists::Nothing | Exists::Equal));
                    assert_eq!(planned.changed, changes, "{case}: {planned:?}");
                }
                Becomes::Kept => {
                    assert!(report.is_complete(), "{case}: {:?}", report.failures());
                    assert_eq!(seen(&path), before, "{case}");
                    // What `if-changed` trusts is not skipped: its attributes would have been set.
                    assert_eq!(report.skipped, u64::from(overwrite != Overwrite::IfChanged), "{case}");
                    assert_eq!(planned.changed, 0, "{case}");
                }
                Becomes::Refused => {
                    assert_eq!((report.failed, would.failed), (1, 1), "{case}");
                    assert_eq!(seen(&path), before, "{case}");
                }
            }
            assert_eq!(
                seen(&other).get("bytes"),
                other_before.get("bytes"),
                "{case}: the other name changed"
            );
        }
    }
}
