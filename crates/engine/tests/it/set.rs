//! Several snapshots verified as one set: each content once, in short runs that cover everything, damage where it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekopia::blob::{BlobErrorKind, Settings, connect};
use rekopia::{
    BlobId, Coverage, ErrorKind, Report, Repository, Resolved, SetOptions, Silent, Source, Time, Verified,
    VerifyOptions,
};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::random::Random;
use rekopia_testkit::storage::{MemoryBlobs, Request, WatchedBlobs};
use rekopia_testkit::writer::{DirectoryWriter, Entry, NewSnapshot, RepositoryWriter, WriterOptions};

use crate::damage::METADATA;
use crate::support::{is_of_its_own, open_blobs, verify};

/// A source that grows: each day some files are new, and one of the old ones changes.
pub(crate) struct Daily {
    pub(crate) memory: MemoryBlobs,
    pub(crate) writer: RepositoryWriter,
    /// Data by folder and name.
    pub(crate) files: BTreeMap<(String, String), Vec<u8>>,
    random: Random,
    day: i64,
}

impl Daily {
    pub(crate) fn new(options: WriterOptions) -> Self {
        let memory = MemoryBlobs::default();
        let writer = RepositoryWriter::create(memory.clone(), options).unwrap();
        Daily { memory, writer, files: BTreeMap::new(), random: Random::new(7), day: 0 }
    }

    pub(crate) fn add(&mut self, folder: &str, files: u64) {
        for n in 0..files {
            let mut data = vec![0; 500 + self.random.below(3000) as usize];
            self.random.fill(&mut data);
            self.files.insert((folder.to_owned(), format!("{}-{n}", self.day)), data);
        }
    }

    pub(crate) fn snapshot(&mut self) {
        let writer = &mut self.writer;
        let mut root = DirectoryWriter::new(writer);
        let folders: std::collections::BTreeSet<&String> =
            self.files.keys().map(|(folder, _)| folder).collect();
        for folder in folders {
            let mut below = DirectoryWriter::new(writer);
            for ((of, name), data) in &self.files {
                if of == folder {
                    let entry = writer.put_file(name.clone().into_bytes(), METADATA, data).unwrap();
                    below.add(writer, &entry).unwrap();
                }
            }
            let below: Entry<'_> = below.finish(writer, folder.clone().into_bytes(), METADATA).unwrap();
            root.add(writer, &below).unwrap();
        }
        let root = root.finish(writer, b"p", METADATA).unwrap();
        let source = Source { user: "u".into(), host: "h".into(), path: "/p".into() };
        let at = (writer.now() + self.day * 86400) * 1_000_000_000;
        writer.put_snapshot(&NewSnapshot::new(source, at, root)).unwrap();
        writer.flush().unwrap();
        self.day += 1;
    }
}

pub(crate) fn options() -> WriterOptions {
    // Several packs, also of little data.
    WriterOptions { max_pack_size: 100 << 10, ..WriterOptions::default() }
}

pub(crate) async fn all(repository: &Repository) -> Vec<Resolved> {
    let snapshots = repository.snapshots().await.unwrap();
    snapshots.all().iter().filter_map(|snapshot| Resolved::root_of(snapshot).ok()).collect()
}

pub(crate) async fn set(
    repository: &Repository,
    options: &SetOptions,
    coverage: &mut Coverage,
) -> (Report, Verified) {
    let trees = all(repository).await;
    let report = repository.verify_set(&trees, options, coverage, Arc::new(Silent)).await.unwrap();
    let verified = report.verified.clone().unwrap();
    (report, verified)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_snapshots_read_each_content_once() {
    let mut daily = Daily::new(options());
    for folder in ["a", "b", "c"] {
        daily.add(folder, 30);
    }
    for day in 0..100 {
        daily.add(["a", "b", "c"][day % 3], 2);
        daily.snapshot();
    }
    let blobs = WatchedBlobs::new(Arc::new(daily.memory.clone()));
    let repository = open_blobs(blobs.clone(), &daily.writer.options().password).await.unwrap();
    repository.snapshots().await.unwrap();
    blobs.forget();
    let (report, verified) = set(&repository, &SetOptions::default(), &mut Coverage::default()).await;
    assert_eq!((report.exit_kind(), verified.trees, verified.damaged_contents), (None, 100, 0));
    let distinct: std::collections::HashSet<&Vec<u8>> = daily.files.values().collect();
    assert_eq!(verified.needed_contents, distinct.len() as u64);
    assert_eq!(
        (verified.read_contents, verified.read_bytes),
        (verified.needed_contents, verified.needed_bytes)
    );
    assert_eq!((verified.covered_bytes, verified.ended_by), (verified.needed_bytes, None));
    // Each day one folder and the root are new.
    assert_eq!(report.directories, 3 + 100 - 1 + 100);
    assert_eq!(blobs.read_twice(), []);
    let of_packs = |prefix: char| {
        let blobs = daily.memory.blobs.lock().unwrap();
        blobs
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(_, bytes)| bytes.len() as u64)
            .sum::<u64>()
    };
    assert!(report.fetched_bytes <= of_packs('p') + of_packs('q'), "{report:?}");
    // With the hash of every content, and in the smallest memory, the requests are other ones, and the answer is not.
    let frugal = VerifyOptions::default().hash(true).memory_bytes(1 << 20).threads(2);
    let (again, same) =
        set(&repository, &SetOptions::default().verify(frugal), &mut Coverage::default()).await;
    assert_eq!((again.exit_kind(), same), (None, verified));
}

/// What the set says of each snapshot is what the snapshot by itself says.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_in_the_snapshots_that_have_it() {
    for fixture in Fixture::all().into_iter().filter(|f| is_of_its_own(f) || f.name.contains("damaged")) {
        let Ok(repository) = crate::support::open_at(&fixture.repo(), &fixture.password).await else {
            continue;
        };
        let trees = all(&repository).await;
        let report = repository
            .verify_set(&trees, &SetOptions::default(), &mut Coverage::default(), Arc::new(Silent))
            .await
            .unwrap();
        let verified = report.verified.clone().unwrap();
        let mut affected = 0;
        for tree in &trees {
            let snapshot = tree.snapshot.as_ref().unwrap();
            let id = snapshot.id.as_str();
            let (failed, kind) = match verify(&repository, id, &VerifyOptions::default()).await {
                Ok(alone) => (alone.failed, alone.exit_kind()),
                Err(e) => (1, Some(e.kind())),
            };
            let of_set = verified.affected.iter().find(|tree| tree.id == id);
            assert_eq!(of_set.map_or(0, |tree| tree.entries), failed, "{} {id}: {verified:?}", fixture.name);
            assert_eq!(of_set.is_some(), kind.is_some(), "{} {id}", fixture.name);
            affected += u64::from(failed > 0);
        }
        assert_eq!(verified.affected_trees, affected, "{}", fixture.name);
        assert_eq!(report.exit_kind(), (affected > 0).then_some(ErrorKind::Corrupt), "{}", fixture.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_reads_no_file_data_and_finds_what_is_not_there() {
    for (name, is_found) in
        [("quickstart", false), ("damaged-pack-missing", true), ("damaged-pack-truncated", true)]
    {
        let fixture = Fixture::load(name);
        let settings = Settings::parse(fixture.repo().to_str().unwrap()).unwrap();
        let blobs = WatchedBlobs::new(connect(&settings).await.unwrap());
        let repository = open_blobs(blobs.clone(), &fixture.password).await.unwrap();
        let mut coverage = Coverage::default();
        let (report, verified) = set(&repository, &SetOptions::default().presence(true), &mut coverage).await;
        assert_eq!(report.exit_kind().is_some(), is_found, "{name}");
        assert_eq!(verified.affected_trees > 0, is_found, "{name}");
        assert_eq!(
            (verified.read_contents, verified.read_bytes),
            (verified.needed_contents, verified.needed_bytes),
            "{name}"
        );
        let reads_data = |r: &Request| matches!(r, Request::Read(blob, _) if blob.starts_with('p'));
        assert!(!blobs.requests().iter().any(reads_data), "{name}");
        assert_eq!(coverage, Coverage::default(), "a listing covers nothing");
    }
}

/// What turns bad after it was read is not covered any more, and is asked for again in every run.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_never_covered() {
    let mut daily = Daily::new(options());
    daily.add("a", 100);
    daily.snapshot();
    let blobs = WatchedBlobs::new(Arc::new(daily.memory.clone()));
    let repository = open_blobs(blobs.clone(), &daily.writer.options().password).await.unwrap();
    let mut coverage = Coverage::default();
    set(&repository, &SetOptions::default().now(Time::from_unix_seconds(1)), &mut coverage).await;
    let flip = |request: &Request, bytes: &mut Vec<u8>| {
        if matches!(request, Request::Read(blob, _) if blob.starts_with('p')) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
    };
    blobs.change_when(flip);
    let (report, bad) =
        set(&repository, &SetOptions::default().now(Time::from_unix_seconds(2)), &mut coverage).await;
    assert_eq!((report.exit_kind(), report.failed), (Some(ErrorKind::Corrupt), bad.damaged_contents));
    assert!(bad.damaged_contents > 0 && bad.covered_bytes == bad.needed_bytes - bad.damaged_bytes, "{bad:?}");
    assert!(bad.readable_percent() < 100.0);
    // First of all what was bad is read, and it is right again.
    blobs.change_when(|_, _| {});
    let options = SetOptions::default().now(Time::from_unix_seconds(3)).max_bytes(Some(bad.damaged_bytes));
    let (report, good) = set(&repository, &options, &mut coverage).await;
    assert_eq!((report.exit_kind(), good.covered_bytes), (None, good.needed_bytes));
    // A single flip in passing is no damage.
    let once = std::sync::atomic::AtomicBool::new(true);
    blobs.change_when(move |request, bytes| {
        if once.swap(false, std::sync::atomic::Ordering::Relaxed) {
            flip(request, bytes);
        }
    });
    let (report, _) = set(&repository, &SetOptions::default(), &mut coverage).await;
    assert_eq!(report.exit_kind(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_is_away_is_not_asked_for_everything() {
    let mut daily = Daily::new(options());
    daily.add("a", 2000);
    daily.snapshot();
    let blobs = WatchedBlobs::new(Arc::new(daily.memory.clone()));
    let repository = open_blobs(blobs.clone(), &daily.writer.options().password).await.unwrap();
    let gone = |r: &Request| matches!(r, Request::Read(blob, _) if blob.starts_with('p'));
    blobs.fail_when(move |r| gone(r).then_some(BlobErrorKind::Unavailable));
    let (report, verified) = set(&repository, &SetOptions::default(), &mut Coverage::default()).await;
    assert_eq!(report.exit_kind(), Some(ErrorKind::Storage), "{report:?}");
    assert!(verified.read_contents < verified.needed_contents, "{verified:?}");
    // A set without anything to read is right.
    let none: Vec<Resolved> = Vec::new();
    let nothing = repository
        .verify_set(&none, &SetOptions::default(), &mut Coverage::default(), Arc::new(Silent))
        .await;
    assert_eq!(nothing.unwrap().exit_kind(), None);
}

/// Maintenance may move contents while the set is walked: the index is read once more, and nothing is read twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_meanwhile_is_found() {
    let mut daily = Daily::new(options());
    daily.add("a", 200);
    daily.snapshot();
    let blobs = WatchedBlobs::new(Arc::new(daily.memory.clone()));
    let repository = open_blobs(blobs.clone(), &daily.writer.options().password).await.unwrap();
    let writer = &mut daily.writer;
    let old: Vec<BlobId> = writer.packs().into_iter().filter(|pack| pack.as_str().starts_with('p')).collect();
    let later = writer.now() + 10;
    for data in daily.files.values().take(120) {
        writer.put_content_again(0, data, later).unwrap();
    }
    writer.flush().unwrap();
    // Half of the packs go: what is left of the others is read where it is.
    let gone = &old[..old.len() / 2];
    gone.iter().for_each(|pack| writer.delete_blob(pack).unwrap());
    let lost = writer.entries().iter().filter(|entry| gone.contains(&entry.pack)).count() as u64;
    let (report, verified) = set(&repository, &SetOptions::default(), &mut Coverage::default()).await;
    assert_eq!((verified.damaged_contents, report.failed), (lost, lost), "{verified:?}");
    assert_eq!(verified.covered_bytes, verified.needed_bytes - verified.damaged_bytes);
    let twice = blobs.read_twice();
    assert!(!twice.iter().any(|(blob, _)| blob.starts_with('p')), "{twice:?}");
}
