//! Attributes that a file system swallows or rounds, and those that are others when they are read back.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rekopia::{ErrorKind, Report, Repository};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::fuse::Op;
use rekopia_testkit::writer::{DirectoryWriter, Metadata, WriterOptions};

use crate::damage::built;
use crate::fuse::Place;
use crate::support::{open, quick, restore};

const THEIRS: Metadata = Metadata { mode: 0o600, uid: 1000, gid: 1000, mtime_ns: 1_700_000_001_123_456_789 };

async fn repository() -> Repository {
    let options = WriterOptions {
        splitter: "FIXED-128K".into(),
        key_algo: "pbkdf2-sha256-600000".into(),
        ..WriterOptions::default()
    };
    let (_, repository) = built(options, |w| {
        let mut folder = DirectoryWriter::new(w);
        let below = w.put_file(b"below".to_vec(), THEIRS, b"below").unwrap();
        folder.add(w, &below).unwrap();
        let theirs = Metadata { mode: 0o700, ..THEIRS };
        let mut entries = vec![folder.finish(w, b"folder", theirs).unwrap()];
        for n in 0..5 {
            entries.push(w.put_file(format!("file{n}").into_bytes(), THEIRS, &[n; 10]).unwrap());
        }
        entries.push(w.put_file(b"large".to_vec(), THEIRS, &vec![1; 400_000]).unwrap());
        // The file is as the file system has it: nothing is lost.
        let plain = Metadata { mode: 0o644, uid: 0, gid: 0, mtime_ns: 1_700_000_000_000_000_000 };
        entries.push(w.put_file(b"plain".to_vec(), plain, b"plain").unwrap());
        entries.push(w.put_symlink(b"link".to_vec(), THEIRS, b"nowhere").unwrap());
        entries
    })
    .await;
    repository
}

fn remarks(report: &Report, path: &str) -> Vec<String> {
    let mut found: Vec<_> =
        report.fidelity.iter().filter(|r| r.path == path).map(|r| r.message.clone()).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_swallowed_or_rounded_is_counted_and_named() {
    let Some(place) = Place::new() else { return };
    let repository = repository().await;
    place.faults.swallow_owner(Some((0, 0)));
    place.faults.swallow_mode(Some((0o644, 0o755)));
    place.faults.whole_seconds(true);
    let ignored = |what: &str| format!("{what} could not be set: the file system ignores it");
    // The second run finds everything there, with the wrong attributes.
    for verify in [true, false, true] {
        let options = quick().verify(verify);
        let report = restore(&repository, "u@h", &place.target(), &options).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures());
        let kept = "modification time is kept to the second only".to_owned();
        for name in ["file0", "file1", "file2", "file3", "file4", "large", "folder/below"] {
            let expected = [ignored("mode 0600"), kept.clone(), ignored("owner 1000:1000")];
            assert_eq!(remarks(&report, name), expected, "{name}");
        }
        let expected = [ignored("mode 0700"), kept.clone(), ignored("owner 1000:1000")];
        assert_eq!(remarks(&report, "folder"), expected);
        assert_eq!(remarks(&report, "link"), [kept.clone(), ignored("owner 1000:1000")]);
        // The owner and mode are those of the file system, the time is not.
        assert_eq!(remarks(&report, ""), [kept]);
        assert_eq!((report.unset_attributes, report.fidelity.len()), (27, 27), "{:?}", report.fidelity);
    }
    let options = quick().strict_attributes(true);
    let report = restore(&repository, "u@h", &place.target(), &options).await.unwrap();
    assert!(report.failed > 0 && report.failures().iter().all(|f| f.path != "plain"));
    assert!(report.failures().iter().any(|f| f.path == "file0" && f.kind == ErrorKind::Destination));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_system_is_asked_a_few_times_and_nothing_is_missed() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let options = quick().verify(true).strict_attributes(true);
    for _ in 0..2 {
        let report = restore(&repository, "paperless@media:/data", &dir.path().join("t"), &options).await;
        let report = report.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures());
        assert_eq!(report.unset_attributes, 0, "{:?}", report.fidelity);
    }
}

/// Everything was set; then, before it is read back, something else changes it.
#[tokio::test(flavor = "multi_thread")]
async fn reading_back_finds_other_attributes_lengths_and_targets() {
    let Some(place) = Place::new() else { return };
    let repository = repository().await;
    for strict in [false, true] {
        let options = quick().verify(true).strict_attributes(strict);
        let (target, done) = (place.behind("."), AtomicBool::new(false));
        // The root is the last to get its attributes.
        place.faults.before(Op::Setattr, move |call| {
            if call.name == "t" && !done.swap(true, Ordering::Relaxed) {
                let mode = std::fs::Permissions::from_mode;
                std::fs::set_permissions(target.join("file1"), mode(0o640)).unwrap();
                std::fs::set_permissions(target.join("folder"), mode(0o711)).unwrap();
                std::os::unix::fs::chown(target.join("file2"), Some(7), None).unwrap();
                std::fs::File::options().write(true).open(target.join("plain")).unwrap().set_len(9).unwrap();
                std::fs::remove_file(target.join("link")).unwrap();
                std::os::unix::fs::symlink("nowhexe", target.join("link")).unwrap();
            }
            Ok(())
        });
        let report = restore(&repository, "u@h", &place.target(), &options).await.unwrap();
        place.faults.clear();
        assert_eq!(remarks(&report, "file1"), ["the mode is 0640 instead of 0600"]);
        assert_eq!(remarks(&report, "file2"), ["the owner is 7:1000 instead of 1000:1000"]);
        assert_eq!(remarks(&report, "folder"), ["the mode is 0711 instead of 0700"]);
        let failed: Vec<_> = report.failures().iter().map(|f| f.path.as_str()).collect();
        let expected = ["file1", "file2", "folder", "link", "plain"];
        assert_eq!(failed, if strict { &expected[..] } else { &expected[3..] }, "{:?}", report.failures());
        assert_eq!(report.unset_attributes, 3, "{:?}", report.fidelity);
    }
}
