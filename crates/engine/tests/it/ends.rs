//! How runs end: what they were told to stop at, what fails at the very end, who panics; one verdict.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use rekopia::blob::BlobErrorKind;
use rekopia::{ErrorKind, Event, Observer, OnError, VerifyOptions};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::fuse::Op;
use rekopia_testkit::storage::{Request, WatchedBlobs};
use rekopia_testkit::writer::{DirectoryWriter, WriterOptions};
use rustix::io::Errno;

use crate::damage::{METADATA, built, file};
use crate::fuse::Place;
use crate::support::{open, open_blobs, quick, resolve, restore, verify};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_closes_what_it_has_opened() {
    let (memory, _) = built(WriterOptions::default(), |w| {
        let mut folder = DirectoryWriter::new(w);
        for n in 0..50 {
            let inner = file(w, &format!("new-{n:02}"), &[n; 1000]);
            folder.add(w, &inner).unwrap();
        }
        w.finish_packs().unwrap();
        let last = file(w, "refused", &vec![7; 3 << 20]);
        folder.add(w, &last).unwrap();
        let metadata = rekopia_testkit::writer::Metadata { mode: 0o555, ..METADATA };
        vec![folder.finish(w, b"closed", metadata).unwrap()]
    })
    .await;
    let blobs = WatchedBlobs::new(Arc::new(memory));
    let repository = open_blobs(blobs.clone(), "test-password").await.unwrap();
    // The long one is refused, the short ones before it are not.
    blobs.fail_when(|request| match request {
        Request::Read(id, Some(range)) if id.starts_with('p') && range.end - range.start > 1 << 20 => {
            Some(BlobErrorKind::Unavailable)
        }
        _ => None,
    });
    for on_error in [OnError::Stop, OnError::Continue] {
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::write(closed.join("mine"), "").unwrap();
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o555)).unwrap();
        let options = quick().on_error(on_error);
        let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
        let kind = if on_error == OnError::Stop { ErrorKind::Storage } else { ErrorKind::Incomplete };
        assert_eq!(report.exit_kind(), Some(kind), "{report:?}");
        assert_eq!(std::fs::metadata(&closed).unwrap().mode() & 0o777, 0o555, "{on_error:?}");
    }
}

/// After the first change everything is in the report.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_file_that_is_full_fails_the_run_and_keeps_its_report() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    let options = quick().report_file(Some("/dev/full".into()));
    let report = restore(&repository, "latest", &dir.path().join("t"), &options).await.unwrap();
    assert_eq!(report.exit_kind(), Some(ErrorKind::Destination));
    assert_eq!((report.files, report.failed), (31, 0));
    assert!(report.fatal.unwrap().message.contains("report file"));
    let nowhere = quick().report_file(Some(dir.path().join("no/such/folder")));
    let error = restore(&repository, "latest", &dir.path().join("u"), &nowhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert!(!dir.path().join("u").exists());
}

struct Panics;

impl Observer for Panics {
    fn event(&self, event: Event) {
        assert!(!matches!(event, Event::Failed { .. }), "an observer of somebody else's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_after_the_first_change_is_in_the_report() {
    let fixture = Fixture::load("damaged-pack-missing");
    let snapshot = fixture.snapshots.iter().find(|s| s.expect_error).unwrap();
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let from = resolve(&repository, &snapshot.manifest_id).await.unwrap();
    let report = repository.restore(&from, &dir.path().join("t"), &quick(), Arc::new(Panics)).await.unwrap();
    assert_eq!(report.exit_kind(), Some(ErrorKind::Internal), "{report:?}");
    assert!(report.fatal.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_ends_as_the_one_cause_of_its_failures() {
    let fixture = Fixture::load("damaged-pack-missing");
    let snapshot = fixture.snapshots.iter().find(|s| s.expect_error).unwrap();
    let repository = open(&fixture).await;
    let report = verify(&repository, &snapshot.manifest_id, &VerifyOptions::default()).await.unwrap();
    assert!(report.failed > 0 && report.files > 0);
    assert_eq!(report.exit_kind(), Some(ErrorKind::Corrupt));
}

/// On file systems that fold names a file that was written through another spelling is no extra, and of two names of the
/// snapshot the second fails in every run.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_one_name() {
    let Some(place) = Place::new() else { return };
    place.faults.fold_names(true);
    let target = place.target();
    let (_, repository) =
        built(WriterOptions::default(), |w| vec![file(w, "Readme", b"wanted"), file(w, "b", b"b")]).await;
    std::fs::write(target.join("README"), "old and longer").unwrap();
    std::fs::write(target.join("extra"), "").unwrap();
    let mirror = quick().delete_extra(true);
    for dry_run in [true, false, false] {
        let options = mirror.clone().dry_run(dry_run);
        let report = restore(&repository, "u@h", &target, &options).await.unwrap();
        assert!(report.exit_kind().is_none(), "{report:?}");
        assert!(report.warnings.iter().any(|w| w.contains("README")), "{:?}", report.warnings);
    }
    let names = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&target), ["README", "b"]);
    assert_eq!(std::fs::read(target.join("README")).unwrap(), b"wanted");

    let (_, repository) = built(WriterOptions::default(), |w| {
        let mut upper = DirectoryWriter::new(w);
        let inner = file(w, "inner", b"x");
        upper.add(w, &inner).unwrap();
        let upper = upper.finish(w, b"FOLDER", METADATA).unwrap();
        let mut lower = DirectoryWriter::new(w);
        lower.add(w, &inner).unwrap();
        let lower = lower.finish(w, b"folder", METADATA).unwrap();
        vec![
            file(w, "README", b"first"),
            file(w, "readme", b"second"),
            file(w, "u\u{308}", b"1"),
            file(w, "\u{fc}", b"2"),
            upper,
            lower,
        ]
    })
    .await;
    let fresh = target.join("fresh");
    for run in 0..3 {
        let options = if run == 2 { mirror.clone() } else { quick() };
        let report = restore(&repository, "u@h", &fresh, &options).await.unwrap();
        let failed: Vec<&str> =
            report.failures().iter().map(|f| f.path.as_str()).filter(|p| !p.contains('/')).collect();
        assert_eq!(failed, ["folder", "readme", "\u{fc}"], "run {run}: {:?}", report.failures());
        assert_eq!(std::fs::read(fresh.join("README")).unwrap(), b"first", "run {run}");
    }
    assert_eq!(names(&fresh).len(), 3);
}

/// What cannot be removed is named, on a file system that refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_refuses_to_unlink() {
    let Some(place) = Place::new() else { return };
    let target = place.target();
    let (_, repository) = built(WriterOptions::default(), |w| vec![file(w, "a", b"a")]).await;
    for n in 0..5 {
        std::fs::write(target.join(format!("extra-{n}")), "").unwrap();
    }
    place.faults.fail(Op::Unlink, Errno::BUSY, |name| name == "extra-3");
    let options = quick().delete_extra(true);
    let report = restore(&repository, "u@h", &target, &options).await.unwrap();
    assert_eq!((report.deleted, report.undeleted, report.failed), (4, 1, 0));
    assert_eq!(report.remaining[0].path, "extra-3");
    assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
    assert!(report.is_complete());
}

/// A folder with very many folders: each is met once.
#[tokio::test(flavor = "multi_thread")]
async fn a_wide_extra_goes_in_one_sweep() {
    let (_, repository) = built(WriterOptions::default(), |w| vec![file(w, "a", b"a")]).await;
    let dir = tempfile::tempdir().unwrap();
    let wide = dir.path().join("wide");
    std::fs::create_dir(&wide).unwrap();
    for n in 0..40_000 {
        std::fs::create_dir(wide.join(format!("folder-{n}"))).unwrap();
    }
    let options = quick().delete_extra(true);
    let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
    assert_eq!((report.deleted, report.exit_kind()), (40_001, None));
    assert!(!wide.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_that_is_very_deep_goes_and_its_name_is_short_in_messages() {
    let (_, repository) = built(WriterOptions::default(), |w| vec![file(w, "a", b"a")]).await;
    let dir = tempfile::tempdir().unwrap();
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
    let mut at = rustix::fs::open(dir.path(), flags, rustix::fs::Mode::empty()).unwrap();
    let name = "x".repeat(200);
    for _ in 0..3000 {
        rustix::fs::mkdirat(&at, &name, rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, &name, flags, rustix::fs::Mode::empty()).unwrap();
    }
    let options = quick().delete_extra(true).max_delete(Some(rekopia::DeleteLimit::Entries(7)));
    let error = restore(&repository, "u@h", dir.path(), &options).await.unwrap_err();
    assert!(error.chain().len() < 4000, "{} bytes", error.chain().len());
    let options = options.max_delete(None);
    let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
    assert_eq!((report.deleted, report.exit_kind()), (3000, None));
}

/// A pack that may not be read is not damage; both together are.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_tells_refusal_from_damage() {
    let (memory, _) = built(WriterOptions::default(), |w| {
        let first = file(w, "first", b"1");
        w.finish_packs().unwrap();
        vec![first, file(w, "second", b"2")]
    })
    .await;
    let packs: Vec<String> =
        memory.blobs.lock().unwrap().keys().filter(|name| name.starts_with('p')).cloned().collect();
    assert_eq!(packs.len(), 2);
    for (refused, lost, expected) in [
        (1, 0, ErrorKind::Storage),
        (2, 0, ErrorKind::Storage),
        (0, 1, ErrorKind::Corrupt),
        (1, 1, ErrorKind::Corrupt),
    ] {
        let blobs = WatchedBlobs::new(Arc::new(memory.clone()));
        let repository = open_blobs(blobs.clone(), "test-password").await.unwrap();
        let packs = packs.clone();
        blobs.fail_when(move |request| match request {
            Request::Read(id, _) => match packs.iter().position(|pack| pack == id) {
                Some(n) if n < refused => Some(BlobErrorKind::Denied),
                Some(n) if n < refused + lost => Some(BlobErrorKind::NotFound),
                _ => None,
            },
            _ => None,
        });
        let report = verify(&repository, "u@h", &VerifyOptions::default()).await.unwrap();
        assert_eq!(
            report.exit_kind(),
            Some(expected),
            "{refused} refused, {lost} lost: {:?}",
            report.failures()
        );
    }
}

/// A write that hangs holds up nobody who wants to stop, and what it leaves goes when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_hangs_is_left_after_two_seconds() {
    let Some(place) = Place::new() else { return };
    let (_, repository) = built(WriterOptions::default(), |w| {
        vec![file(w, "a", b"short"), file(w, "large", &rekopia_testkit::random::lcg(30 << 20))]
    })
    .await;
    let target = place.target();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (hangs, hanging) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    place.faults.before(Op::Write, move |_| {
        let _ = hangs.send(());
        let _ = released.lock().unwrap().recv();
        Ok(())
    });
    let options = quick().sync(rekopia::SyncMode::End);
    let cancel = options.cancel.clone();
    let running = tokio::spawn(async move { restore(&repository, "u@h", &target, &options).await });
    tokio::task::spawn_blocking(move || hanging.recv().unwrap()).await.unwrap();
    let began = std::time::Instant::now();
    cancel.cancel();
    let report = running.await.unwrap().unwrap();
    // Two seconds are promised; a busy machine gets five times that.
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(report.exit_kind(), Some(ErrorKind::Cancelled));
    let warnings = report.warnings.join("\n");
    assert!(warnings.contains("a write had not ended") && warnings.contains("not synced"), "{warnings}");
    drop(release);
    let began = std::time::Instant::now();
    while place.behind("large").exists() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "a half-written file stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
