//! How often memory is asked for while many small files are restored: a process of its own, whose allocator counts.

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
async fn a_small_file_costs_a_handful_of_allocations() {
    let dir = tempfile::tempdir().unwrap();
    repository(&dir.path().join("repo"));
    let settings = Settings::parse(dir.path().join("repo").to_str().unwrap()).unwrap();
    let (password, options) = (Password::new("test-password"), OpenOptions::default());
    let blobs = connect(&settings).await.unwrap();
    let repository = Repository::open(blobs, &password, &options, &Silent).await.unwrap();
    let from = repository.resolve(&Reference::parse("latest").unwrap(), &Selection::default()).await.unwrap();

    let region = Region::new(ALLOCATOR);
    let options = RestoreOptions { sync: SyncMode::None, threads: 3, ..RestoreOptions::default() };
    let report = repository.restore(&from, &dir.path().join("t"), &options, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.files, report.failed), (FILES, 0));
    let restored = region.change();

    let region = Region::new(ALLOCATOR);
    let report = repository.verify(&from, &VerifyOptions::default(), Arc::new(Silent)).await.unwrap();
    assert_eq!(report.files, FILES);
    let verified = region.change();
    for (what, change) in [("restored", restored), ("verified", verified)] {
        let each = (change.allocations + change.reallocations) as f64 / FILES as f64;
        println!("{what}: {each:.1} allocations, {} bytes a file", change.bytes_allocated as u64 / FILES);
        assert!(each <= 16.0, "{what}: {each:.1} allocations a file");
    }
}
