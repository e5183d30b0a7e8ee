//! Storages where every request costs a round trip: how many there are, and what they bring.
//!
//! The clock stands still while anything is at work, and jumps when all wait for an answer: what is counted here does
//! not depend on how busy the machine is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rekopia::{Report, Repository};
use rekopia_testkit::corpus::{self, Target, write_repository};
use rekopia_testkit::storage::{MemoryBlobs, Request, WatchedBlobs};
use rekopia_testkit::writer::{self, NewSnapshot, RepositoryWriter, Source, WriterOptions};

use crate::support::{open_blobs, quick, restore};

const ROUND_TRIP: Duration = Duration::from_millis(15);

fn options() -> WriterOptions {
    WriterOptions { compression: Some("zstd-fastest".into()), ..WriterOptions::default() }
}

fn repository(tree: impl FnOnce(&mut dyn Target) -> writer::Result<()>) -> MemoryBlobs {
    let blobs = MemoryBlobs::default();
    let mut writer = RepositoryWriter::create(blobs.clone(), options()).unwrap();
    let root = write_repository(&mut writer, tree).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/d".into() };
    let start_ns = writer.now() * 1_000_000_000;
    writer.put_snapshot(&NewSnapshot::new(source, start_ns, root)).unwrap();
    writer.flush().unwrap();
    blobs
}

async fn watch(blobs: MemoryBlobs) -> (Arc<WatchedBlobs>, Repository) {
    let watched = WatchedBlobs::new(Arc::new(blobs));
    watched.delay_when(|_| ROUND_TRIP);
    let repository = open_blobs(watched.clone(), &WriterOptions::default().password).await.unwrap();
    (watched, repository)
}

async fn restored(repository: &Repository, reference: &str) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let report = restore(repository, reference, &dir.path().join("t"), &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    report
}

/// Bytes of `p` packs that were received.
fn data_bytes(requests: &[Request]) -> u64 {
    let bytes = requests.iter().filter_map(|request| match request {
        Request::Read(id, Some(range)) if id.starts_with('p') => Some(range.end - range.start),
        _ => None,
    });
    bytes.sum()
}

#[tokio::test(start_paused = true)]
async fn two_thousand_small_files_take_few_requests() {
    let blobs = repository(|target| corpus::small_files(target, 2000, 16_384.0, 3));
    let (watched, repository) = watch(blobs).await;
    let report = restored(&repository, "latest").await;
    assert!(report.bytes > 30_000_000, "{} bytes", report.bytes);
    let requests = watched.requests();
    assert!(requests.len() <= 16, "{} requests: {requests:#?}", requests.len());
    assert_eq!(watched.read_twice(), [], "read twice");
    let received = data_bytes(&requests);
    assert!(
        received <= report.needed_bytes + report.needed_bytes / 20,
        "{received} for {}",
        report.needed_bytes
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_file_is_read_in_long_ranges() {
    let blobs = repository(|target| corpus::big_file(target, 96 << 20, corpus::Texture::Noise, 3));
    let (watched, repository) = watch(blobs).await;
    let report = restored(&repository, "latest").await;
    let requests = watched.requests();
    let packs: BTreeSet<&String> = requests
        .iter()
        .filter_map(|request| match request {
            Request::Read(id, Some(_)) if id.starts_with('p') => Some(id),
            _ => None,
        })
        .collect();
    // Ranges may get shorter once the measured latency is known to be worth less.
    let most = (report.needed_bytes >> 20) as usize * 13 / 10 + 2 * packs.len() + 8;
    assert!(requests.len() <= most, "{} requests, at most {most}", requests.len());
    assert_eq!(watched.read_twice(), [], "read twice");
}

#[tokio::test(start_paused = true)]
async fn in_a_deep_history_few_bytes_are_read_along() {
    let blobs = MemoryBlobs::default();
    let options = WriterOptions { deduplicate: true, remember_entries: true, ..options() };
    let mut writer = RepositoryWriter::create(blobs.clone(), options).unwrap();
    let ids = corpus::deep_history(&mut writer, 60, 3000, 5).unwrap();
    drop(writer);
    let (watched, repository) = watch(blobs).await;
    let report = restored(&repository, ids.last().unwrap().as_str()).await;
    let requests = watched.requests();
    let received = data_bytes(&requests);
    assert!(
        received <= report.needed_bytes + report.needed_bytes / 4,
        "{received} for {}",
        report.needed_bytes
    );
    let reads = requests.iter().filter(|r| matches!(r, Request::Read(id, Some(_)) if id.starts_with('p')));
    let packs = requests.iter().filter_map(|request| match request {
        Request::Read(id, Some(_)) => Some(id),
        _ => None,
    });
    let packs = packs.collect::<BTreeSet<_>>().len();
    let reads = reads.count();
    println!("{reads} reads of data, {packs} packs, {received} bytes for {}", report.needed_bytes);
    let lists = requests.iter().filter(|r| matches!(r, Request::List(_))).count();
    assert_eq!(lists, 1, "one prefix is listed, once");
}

#[tokio::test(start_paused = true)]
async fn opening_waits_for_no_more_round_trips_than_depend_on_each_other() {
    let blobs = MemoryBlobs::default();
    let mut writer = RepositoryWriter::create(blobs.clone(), options()).unwrap();
    corpus::many_indexes(&mut writer, 100, 1).unwrap();
    drop(writer);
    let watched = WatchedBlobs::new(Arc::new(blobs));
    watched.delay_when(|_| ROUND_TRIP);
    let started = tokio::time::Instant::now();
    let repository = open_blobs(watched.clone(), &WriterOptions::default().password).await.unwrap();
    // The format blob and the index blobs, which are read while the key is derived.
    assert!(started.elapsed() < ROUND_TRIP * 2, "{:?}", started.elapsed());
    assert_eq!(repository.info().index_blobs, 100);
}
