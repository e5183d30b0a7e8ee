//! Costs that only a process of its own can count: how often memory is asked for, and what is read from files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::alloc::System;
use std::path::Path;
use std::sync::Arc;

use rekopia::blob::{Settings, connect};
use rekopia::{
    OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent, SyncMode, VerifyOptions,
};
use rekopia_testkit::corpus::{small_files, write_repository};
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Source, WriterOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that this process has read from files so far.
fn read_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

const FILES: u64 = 10_000;

fn repository(at: &Path) {
    let options = WriterOptions { compression: Some("zstd-fastest".into()), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(at).unwrap(), options).unwrap();
    let root = write_repository(&mut writer, |target| small_files(target, FILES, 2048.0, 7)).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/d".into() };
    let start_ns = writer.now() * 1_000_000_000;
    writer.put_snapshot(&NewSnapshot::new(source, start_ns, root)).unwrap();
    writer.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_cost_few_allocations_and_kept_bytes_are_read_once() {
    let dir = tempfile::tempdir().unwrap();
    repository(&dir.path().join("repo"));
    let settings = Settings::parse(dir.path().join("repo").to_str().unwrap()).unwrap();
    let (password, options) = (Password::new("test-password"), OpenOptions::default());
    let blobs = connect(&settings).await.unwrap();
    let repository = Repository::open(blobs, &password, &options, Arc::new(Silent)).await.unwrap();
    let from = repository.resolve(&Reference::parse("latest").unwrap(), &Selection::default()).await.unwrap();

    let region = Region::new(ALLOCATOR);
    let options = RestoreOptions::default().sync(SyncMode::None).threads(3);
    let report = repository.restore(&from, &dir.path().join("t"), &options, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.files, report.failed), (FILES, 0));
    let restored = region.change();

    let region = Region::new(ALLOCATOR);
    let report = repository.verify(&from, &VerifyOptions::default(), Arc::new(Silent)).await.unwrap();
    assert_eq!(report.files, FILES);
    let verified = region.change();

    // Onto the same tree: each byte on the disk is read once, and of the repository only what lists the tree.
    let before = read_bytes();
    let again = repository.restore(&from, &dir.path().join("t"), &options, Arc::new(Silent)).await.unwrap();
    let read = read_bytes() - before;
    assert_eq!((again.kept_files, again.written_bytes, again.needed_bytes), (FILES, 0, 0));
    let tree = again.kept_bytes;
    assert!(read <= tree + tree / 10 + (2 << 20), "{read} bytes read for {tree} on the disk");
    for (what, change) in [("restored", restored), ("verified", verified)] {
        let each = (change.allocations + change.reallocations) as f64 / FILES as f64;
        println!("{what}: {each:.1} allocations, {} bytes a file", change.bytes_allocated as u64 / FILES);
        assert!(each <= 16.0, "{what}: {each:.1} allocations a file");
    }
}
