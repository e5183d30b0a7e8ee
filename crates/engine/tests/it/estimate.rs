//! What a dry run tells of room and time, and what it asks for to find out.

use std::sync::Arc;
use std::time::Duration;

use rekopia::{Bound, Pace, Planned, Repository};
use rekopia_testkit::corpus::{self, write_repository};
use rekopia_testkit::storage::{MemoryBlobs, Request, WatchedBlobs};
use rekopia_testkit::writer::{NewSnapshot, RepositoryWriter, Source, WriterOptions};

use crate::support::{open_blobs, quick, restore};

/// Returns a repository with one snapshot of a file of so many bytes that do not compress.
async fn large(bytes: u64) -> (Arc<WatchedBlobs>, Repository) {
    let blobs = MemoryBlobs::default();
    let mut writer = RepositoryWriter::create(blobs.clone(), WriterOptions::default()).unwrap();
    let file = |target: &mut dyn corpus::Target| corpus::big_file(target, bytes, corpus::Texture::Noise, 3);
    let root = write_repository(&mut writer, file).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/d".into() };
    let start_ns = writer.now() * 1_000_000_000;
    writer.put_snapshot(&NewSnapshot::new(source, start_ns, root)).unwrap();
    writer.flush().unwrap();
    let watched = WatchedBlobs::new(Arc::new(blobs));
    let repository = open_blobs(watched.clone(), &WriterOptions::default().password).await.unwrap();
    repository.snapshots().await.unwrap();
    (watched, repository)
}

async fn planned(repository: &Repository, target: &std::path::Path, pace: Option<Pace>) -> Planned {
    let options = quick().dry_run(true).pace(pace);
    let report = restore(repository, "latest", target, &options).await.unwrap();
    assert!(report.exit_kind().is_none() && report.warnings.is_empty(), "{report:?}");
    report.planned.unwrap()
}

/// Bytes of file data that were asked for.
fn data(blobs: &WatchedBlobs) -> u64 {
    let bytes = blobs.requests().into_iter().filter_map(|request| match request {
        Request::Read(id, Some(range)) if id.starts_with('p') => Some(range.end - range.start),
        _ => None,
    });
    bytes.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_probe_reads_file_data_and_never_more_than_64_mib() {
    let (blobs, repository) = large(150 << 20).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let link = Pace::default().link(Some(10_000_000));
    for pace in [None, Some(link), Some(link.disk(true))] {
        blobs.forget();
        let planned = planned(&repository, &target, pace).await;
        assert_eq!(data(&blobs), 0, "{pace:?}");
        assert_eq!(planned.estimate.is_some(), pace.is_some());
        assert!(planned.room_bytes == 150 << 20 && planned.available_bytes.is_some(), "{planned:?}");
        assert!(!target.exists());
    }
    blobs.forget();
    let planned = planned(&repository, &target, Some(Pace::default().probe(true))).await;
    let estimate = planned.estimate.unwrap();
    assert!(data(&blobs) > 32 << 20 && data(&blobs) <= 64 << 20, "{} bytes", data(&blobs));
    assert_eq!(estimate.probed_bytes, data(&blobs));
    assert!(estimate.link_bytes_per_second > 0 && estimate.seconds > 0.0, "{estimate:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_what_is_waited_for() {
    let (blobs, repository) = large(30 << 20).await;
    let dir = tempfile::tempdir().unwrap();
    let given = planned(&repository, dir.path(), Some(Pace::default().link(Some(1 << 20)))).await;
    let estimate = given.estimate.unwrap();
    assert!((30.0..32.0).contains(&estimate.seconds), "{estimate:?}");
    assert_eq!(
        (estimate.bound, estimate.link_bytes_per_second, estimate.probed_bytes),
        (Bound::Link, 1 << 20, 0)
    );
    // What is measured counts where it is slower than what was given: every answer takes a while.
    blobs.delay_when(|_| Duration::from_millis(40));
    let pace = Pace::default().link(Some(u64::MAX)).probe(true).disk(false);
    let measured = planned(&repository, dir.path(), Some(pace)).await.estimate.unwrap();
    assert!(measured.link_bytes_per_second < 30_000_000_000, "{measured:?}");
}

/// Only the difference to what exists needs room, and is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_right_already_needs_nothing() {
    let (blobs, repository) = large(20 << 20).await;
    let dir = tempfile::tempdir().unwrap();
    restore(&repository, "latest", dir.path(), &quick()).await.unwrap();
    blobs.forget();
    let pace = Some(Pace::default().link(Some(1 << 20)).probe(true).disk(true));
    let planned = planned(&repository, dir.path(), pace).await;
    assert_eq!((planned.requests, planned.bytes, planned.packs, planned.room_bytes), (0, 0, 0, 0));
    assert!(data(&blobs) == 0 && planned.estimate.unwrap().seconds < 10.0, "{planned:?}");
}

/// A probe that fails says so, and the plan stands.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_probed_has_no_time() {
    let (blobs, repository) = large(20 << 20).await;
    blobs.fail_when(|request| match request {
        Request::Read(id, Some(_)) if id.starts_with('p') => Some(rekopia::blob::BlobErrorKind::Unavailable),
        _ => None,
    });
    let dir = tempfile::tempdir().unwrap();
    let options = quick().dry_run(true).pace(Some(Pace::default().probe(true)));
    let report = restore(&repository, "latest", &dir.path().join("t"), &options).await.unwrap();
    let planned = report.planned.unwrap();
    assert!(planned.bytes > 0 && planned.estimate.is_none(), "{planned:?}");
    assert!(report.warnings[0].starts_with("how long it would take is not known: "), "{:?}", report.warnings);
}
