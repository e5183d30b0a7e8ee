//! Costs that can be counted.

use std::collections::HashSet;
use std::sync::Arc;

use rekopia::OnError;
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

/// A fresh restore asks for nothing to be listed; one onto something lists the packs once; a mirror reads no more file
/// data than the restore alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_exists_costs_one_listing_of_the_packs() {
    let fixture = Fixture::load("quickstart");
    let blobs = watched(&fixture).await;
    let repository = open_blobs(blobs.clone(), &fixture.password).await.unwrap();
    repository.snapshots().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let lists = || -> Vec<String> {
        let requests = blobs.requests();
        let lists = requests
            .into_iter()
            .filter_map(|r| if let Request::List(prefix) = r { Some(prefix) } else { None });
        lists.collect()
    };
    for (fresh, delete_extra, on_error, dry_run, expected) in [
        (true, false, OnError::Continue, false, &[][..]),
        (true, true, OnError::Continue, false, &[]),
        (true, false, OnError::Stop, false, &["p", "q"]),
        (true, false, OnError::Continue, true, &["p", "q"]),
        (false, false, OnError::Continue, false, &["p", "q"]),
        (false, true, OnError::Continue, false, &["p", "q"]),
        (false, true, OnError::Continue, true, &["p", "q"]),
    ] {
        if fresh {
            let _ = std::fs::remove_dir_all(&target);
        } else {
            std::fs::write(target.join("extra"), "").unwrap();
            std::fs::write(target.join("config/secret.key"), "changed").unwrap();
        }
        blobs.forget();
        let options = quick().delete_extra(delete_extra).on_error(on_error).dry_run(dry_run);
        let report = restore(&repository, "latest", &target, &options).await.unwrap();
        assert!(report.exit_kind().is_none(), "{report:?}");
        assert_eq!(lists(), expected, "{fresh} {delete_extra} {on_error:?} {dry_run}");
        let data = blobs
            .requests()
            .iter()
            .filter(|r| matches!(r, Request::Read(id, _) if id.starts_with('p')))
            .count();
        match (dry_run, fresh) {
            (true, _) => assert_eq!(data, 0, "a dry run reads no file data"),
            (false, false) => assert_eq!(data, 1, "one file differs"),
            (false, true) => {}
        }
        if dry_run && fresh {
            assert!(!target.exists());
            restore(&repository, "latest", &target, &quick()).await.unwrap();
        }
    }
}

/// The clock stands still: how many requests a run makes depends on nothing but what it is to do.
#[tokio::test(start_paused = true)]
async fn a_report_holds_what_its_run_asked_and_not_what_opening_cost() {
    let fixture = Fixture::load("quickstart");
    let blobs = watched(&fixture).await;
    let repository = open_blobs(blobs.clone(), &fixture.password).await.unwrap();
    let id = &fixture.snapshots[0].manifest_id;
    let from = repository.resolve(&rekopia::Reference::of_id(id), &Default::default()).await.unwrap();
    let opening = repository.traffic();
    assert!(opening.requests > 3 && opening.fetched_bytes > 0, "{opening:?}");
    let dir = tempfile::tempdir().unwrap();
    for dry_run in [true, false] {
        let before = repository.traffic();
        blobs.forget();
        let options = quick().dry_run(dry_run);
        let report = restore(&repository, id, &dir.path().join("t"), &options).await.unwrap();
        let asked = repository.traffic().since(before);
        assert_eq!((report.requests, report.fetched_bytes), (asked.requests, asked.fetched_bytes));
        assert_eq!(report.requests, blobs.requests().len() as u64, "dry run: {dry_run}");
    }
    let before = repository.traffic();
    let (options, observer) = (rekopia::VerifyOptions::default(), Arc::new(rekopia::Silent));
    let mut total = rekopia::Report::of_verification();
    for _ in 0..2 {
        total.add(repository.verify(&from, &options, observer.clone()).await.unwrap());
    }
    let asked = repository.traffic().since(before);
    assert_eq!((total.requests, total.fetched_bytes), (asked.requests, asked.fetched_bytes));
    let in_all = total.with_traffic(repository.traffic());
    assert!(in_all.requests > asked.requests + opening.requests, "opening and earlier runs are counted, too");
}
