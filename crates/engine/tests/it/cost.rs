//! Costs that can be counted.

use std::collections::HashSet;
use std::sync::Arc;

use rekopia::blob::{Settings, connect};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::storage::{Request, WatchedBlobs};

use crate::support::{open_blobs, quick, restore};

async fn watched(fixture: &Fixture) -> Arc<WatchedBlobs> {
    let settings = Settings::parse(fixture.repo().to_str().unwrap()).unwrap();
    WatchedBlobs::new(connect(&settings).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_prefix_is_listed_once_and_each_index_blob_read_once() {
    let fixture = Fixture::load("many-indexes");
    let blobs = watched(&fixture).await;
    let repository = open_blobs(blobs.clone(), &fixture.password).await.unwrap();
    let requests = blobs.requests();
    let lists: Vec<&Request> = requests.iter().filter(|r| matches!(r, Request::List(_))).collect();
    assert_eq!(lists, [&Request::List("x".into())]);
    let mut seen = HashSet::new();
    for request in &requests {
        if let Request::Read(id, _) = request {
            assert!(seen.insert(id.clone()), "{id} is read twice");
        }
    }
    // Index blobs, the format blob, kopia.blobcfg.
    assert_eq!(seen.len() as u64, repository.info().index_blobs + 2);
}

// The clock stands still while the walk is at work: no window goes out early, however busy the machine is.
#[tokio::test(start_paused = true)]
async fn packs_are_read_in_few_ranges() {
    for name in ["many-files", "quickstart", "ecc-020", "format-v1", "deep-indirect"] {
        let fixture = Fixture::load(name);
        let blobs = watched(&fixture).await;
        let repository = open_blobs(blobs.clone(), &fixture.password).await.unwrap();
        repository.snapshots().await.unwrap();
        blobs.forget();
        let dir = tempfile::tempdir().unwrap();
        let id = &fixture.snapshots[0].manifest_id;
        let report = restore(&repository, id, &dir.path().join("t"), &quick()).await.unwrap();
        assert!(report.is_complete(), "{name}: {:?}", report.failures);
        let mut ranges: Vec<(String, u64, u64)> = Vec::new();
        for request in blobs.requests() {
            match request {
                // The root directory is read once more, as a proof before anything is written.
                Request::Read(id, Some(range)) if id.starts_with('p') => {
                    ranges.push((id, range.start, range.end))
                }
                Request::List(prefix) => panic!("{name}: {prefix} is listed during the restore"),
                _ => {}
            }
        }
        ranges.sort();
        let total: u64 = ranges.iter().map(|(_, start, end)| end - start).sum();
        let mut distinct = 0;
        let mut end_of = ("", 0);
        for (pack, start, end) in &ranges {
            let from = if end_of.0 == pack { (*start).max(end_of.1) } else { *start };
            distinct += end.saturating_sub(from);
            end_of = (pack, end_of.1.max(*end).max(*end * u64::from(end_of.0 != pack)));
        }
        // Within a window nothing is read twice; a window that goes out early may share gaps with the next one.
        assert!(total <= distinct * 2, "{name}: {total} bytes for {distinct}");
        assert!(report.needed_bytes <= total, "{name}: {} of {total} bytes needed", report.needed_bytes);
        assert!(ranges.len() < 40, "{name}: {} requests", ranges.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_24_a_pack_that_moved_is_found_with_a_fresh_index() {
    let fixture = Fixture::load("quickstart");
    let blobs = watched(&fixture).await;
    let repository = open_blobs(blobs.clone(), &fixture.password).await.unwrap();
    repository.snapshots().await.unwrap();
    // The first read of each pack says that it is gone, as if maintenance had moved it meanwhile.
    let seen = std::sync::Mutex::new(HashSet::new());
    blobs.fail_when(move |request| match request {
        Request::Read(id, _) if id.starts_with('p') => {
            let first = seen.lock().unwrap().insert(id.clone());
            first.then_some(rekopia::blob::BlobErrorKind::NotFound)
        }
        _ => None,
    });
    blobs.forget();
    let dir = tempfile::tempdir().unwrap();
    let report = restore(&repository, "latest", &dir.path().join("t"), &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    let lists = blobs.requests().iter().filter(|r| matches!(r, Request::List(_))).count();
    assert_eq!(lists, 1, "the index is looked at once more");
}
