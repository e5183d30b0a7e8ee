//! What a storage far away is asked for, counted: requests, bytes, and round trips that are waited for.
//!
//! With `REKOPIA_FULL=1` at full size.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekopia::{
    OpenOptions, Password, Reference, Report, Repository, RestoreOptions, Selection, Silent, SyncMode,
};
use rekopia_blob::{
    BlobError, BlobId, BlobInfo, BlobReader, BoxFuture, Deadlines, LayerOptions, Settings, StorageProfile,
    Usage, connect_with, layer,
};
use rekopia_format::ManifestId;
use rekopia_testkit::corpus::{self, Target};
use rekopia_testkit::server::faulty::{Faulty, Seen};
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::writer::{NewSnapshot, RepositoryWriter, Result, Source, WriterOptions};
use serde_json::json;
use tokio::sync::{Notify, oneshot};

const PASSWORD: &str = "test-password";

fn full() -> bool {
    std::env::var_os("REKOPIA_FULL").is_some()
}

/// A repository in memory, and what `fill` says is the snapshot to restore.
fn repository(
    options: WriterOptions,
    fill: impl FnOnce(&mut RepositoryWriter) -> Result<ManifestId>,
) -> (MemoryBlobs, ManifestId) {
    let blobs = MemoryBlobs::default();
    let mut writer = RepositoryWriter::create(blobs.clone(), options).unwrap();
    let snapshot = fill(&mut writer).unwrap();
    writer.flush().unwrap();
    (blobs, snapshot)
}

fn tree(
    fill: impl FnOnce(&mut dyn Target) -> Result<()>,
) -> impl FnOnce(&mut RepositoryWriter) -> Result<ManifestId> {
    |writer| {
        let root = corpus::write_repository(writer, fill)?;
        let source = Source { user: "app".into(), host: "media".into(), path: "/data".into() };
        writer.put_snapshot(&NewSnapshot::new(source, writer.now() * 1_000_000_000, root))
    }
}

async fn open(blobs: Arc<dyn BlobReader>) -> Repository {
    Repository::open(blobs, &Password::new(PASSWORD), &OpenOptions::default(), Arc::new(Silent))
        .await
        .unwrap()
}

/// Answers in rounds: when as many requests wait as may be in flight, or no more of them come.
struct Rounds {
    inner: MemoryBlobs,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
    arrived: Notify,
    rounds: AtomicU64,
    lists: AtomicU64,
}

const IN_FLIGHT: usize = 128;

impl Rounds {
    fn new(inner: MemoryBlobs) -> Arc<Self> {
        let (rounds, lists) = (AtomicU64::new(0), AtomicU64::new(0));
        let new = Rounds { inner, waiting: Mutex::default(), arrived: Notify::new(), rounds, lists };
        let new = Arc::new(new);
        let driven = Arc::downgrade(&new);
        tokio::spawn(async move {
            while let Some(rounds) = driven.upgrade() {
                let more = tokio::time::timeout(Duration::from_millis(300), rounds.arrived.notified()).await;
                let mut waiting = rounds.waiting.lock().unwrap();
                if waiting.len() >= IN_FLIGHT || (more.is_err() && !waiting.is_empty()) {
                    rounds.rounds.fetch_add(1, Ordering::Relaxed);
                    waiting.drain(..).for_each(|one| one.send(()).unwrap());
                }
            }
        });
        new
    }

    async fn turn(&self) {
        let (answer, turn) = oneshot::channel();
        self.waiting.lock().unwrap().push(answer);
        self.arrived.notify_one();
        turn.await.unwrap();
    }
}

impl BlobReader for Rounds {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, std::result::Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            self.turn().await;
            self.inner.read(id, range, into).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, std::result::Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move {
            self.lists.fetch_add(1, Ordering::Relaxed);
            self.turn().await;
            self.inner.list(prefix).await
        })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, std::result::Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            self.turn().await;
            self.inner.stat(id).await
        })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, std::result::Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.list(prefix).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, std::result::Result<bool, BlobError>> {
        self.inner.look_elsewhere()
    }

    fn distrust(&self, id: &BlobId) {
        self.inner.distrust(id);
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn folder(&self) -> Option<PathBuf> {
        self.inner.folder()
    }

    fn profile(&self) -> StorageProfile {
        self.inner.profile()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[tokio::test(start_paused = true)]
async fn many_index_blobs_are_opened_in_few_round_trips() {
    let count = if full() { 4000 } else { 800 };
    let (blobs, _) = repository(WriterOptions::default(), |writer| {
        Ok(corpus::many_indexes(writer, count, 1)?.pop().unwrap())
    });
    let rounds = Rounds::new(blobs);
    let repository = open(layer::around(rounds.clone(), &LayerOptions::default())).await;
    let index_blobs = repository.info().index_blobs;
    assert!(index_blobs >= count, "{index_blobs} index blobs");
    let (least, waited) = (index_blobs.div_ceil(IN_FLIGHT as u64), rounds.rounds.load(Ordering::Relaxed));
    println!("index: {index_blobs} blobs in {waited} round trips of at least {least}");
    assert!(waited <= least * 3 / 2 + 10, "{waited} round trips for {index_blobs} index blobs");
    assert!(waited > least, "{waited}: that is not possible");
    assert_eq!(rounds.lists.load(Ordering::Relaxed), 1, "one listing for each prefix");
}

/// What one restore from S3 asked for.
#[derive(Debug, Default)]
struct Cost {
    lists: usize,
    /// Blobs that are not packs.
    metadata: usize,
    packs: BTreeSet<String>,
    /// Requests for packs.
    requests: usize,
    /// Bytes of packs that were asked for.
    bytes: u64,
    /// Bytes of packs of metadata that were asked for.
    metadata_bytes: u64,
    /// Bytes of packs that were asked for more than once.
    twice: u64,
}

impl Cost {
    fn of(requests: &[Seen]) -> Self {
        let mut cost = Cost::default();
        let mut ranges: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for seen in requests {
            let blob = seen.path.trim_start_matches("/bucket/");
            if seen.is_list() {
                cost.lists += 1;
            } else if let (true, Some((first, last))) = (blob.starts_with(['p', 'q']), seen.range) {
                cost.packs.insert(blob.to_owned());
                cost.requests += 1;
                cost.bytes += last + 1 - first;
                cost.metadata_bytes += if blob.starts_with('q') { last + 1 - first } else { 0 };
                ranges.entry(blob).or_default().push((first, last + 1));
            } else {
                cost.metadata += 1;
            }
        }
        for of_pack in ranges.values_mut() {
            of_pack.sort_unstable();
            let mut reached = 0;
            for (start, end) in of_pack {
                cost.twice += reached.min(*end).saturating_sub(*start);
                reached = reached.max(*end);
            }
        }
        cost
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cost { lists, metadata, packs, requests, bytes, metadata_bytes, twice } = self;
        let packs = packs.len();
        write!(
            f,
            "{bytes} bytes ({metadata_bytes} of metadata, {twice} twice) in {requests} requests from {packs} "
        )?;
        write!(f, "packs, {lists} lists, {metadata} other blobs")
    }
}

/// A read is between 1 and 8 MiB long where so much lies together.
const SMALLEST_READ: u64 = 1 << 20;
/// What lies between wanted contents is read along when another request would cost more: an eighth at most.
const DATA_PERCENT: u64 = 113;
/// Listings that are read along before it shows that they are of no use.
const SPARE_METADATA: u64 = 1 << 20;

/// Restores through a real S3 server.
async fn restore(blobs: &MemoryBlobs, snapshot: &ManifestId) -> (Cost, Report) {
    let dir = tempfile::tempdir().unwrap();
    let bucket = dir.path().join("s3/bucket");
    std::fs::create_dir_all(&bucket).unwrap();
    for (name, data) in blobs.blobs.lock().unwrap().iter() {
        std::fs::write(bucket.join(name), data).unwrap();
    }
    let server = S3Server::start(&dir.path().join("s3")).await;
    let proxy = Faulty::start(&server.endpoint).await;
    proxy.delay(Duration::from_millis(30));
    let config = json!({"bucket": "bucket", "endpoint": proxy.address, "doNotUseTLS": true, "region": "us-east-1",
        "accessKeyID": ACCESS_KEY, "secretAccessKey": SECRET_KEY});
    // Nothing fails here, however slow the machine is.
    let deadlines = Deadlines::default().patience(Duration::from_secs(1000));
    let layers = LayerOptions::default().deadlines(deadlines);
    let storage = connect_with(&Settings::from_kopia("s3", config).unwrap(), &layers).await.unwrap();
    let repository = open(Arc::clone(&storage)).await;
    let report = restore_from(&repository, snapshot, &dir.path().join("target")).await;
    let cost = Cost::of(&proxy.take_requests());
    assert_eq!(cost.lists, 1, "one listing for each prefix");
    assert_eq!(cost.metadata as u64, repository.info().index_blobs + 2, "index blobs and two of kopia's");
    let usage = storage.usage();
    assert_eq!(usage.requests as usize, cost.lists + cost.metadata + cost.requests, "the usage is right");
    assert_eq!((usage.bytes, usage.retries), (proxy.sent() as u64, 0), "the usage is right");
    assert!(!usage.latency.is_zero());
    (cost, report)
}

async fn restore_from(repository: &Repository, snapshot: &ManifestId, target: &Path) -> Report {
    let reference = Reference::parse(snapshot.as_str()).unwrap();
    let from = repository.resolve(&reference, &Selection::default()).await.unwrap();
    let options = RestoreOptions::default().sync(SyncMode::None).threads(2);
    let report = repository.restore(&from, target, &options, Arc::new(Silent)).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_is_read_in_few_large_requests() {
    let thousandths = if full() { 100 } else { 20 };
    let (blobs, snapshot) =
        repository(WriterOptions::default(), tree(|target| corpus::mixed_volume(target, thousandths, 1)));
    let (cost, report) = restore(&blobs, &snapshot).await;
    println!("volume: {} needed, {cost}", report.needed_bytes);
    assert!(cost.bytes * 100 <= report.needed_bytes * 105, "{} needed, {cost}", report.needed_bytes);
    let most = cost.bytes * 13 / 10 / SMALLEST_READ + 2 * cost.packs.len() as u64;
    assert!(cost.requests as u64 <= most, "{cost}; {most} requests are allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_history_costs_little_more() {
    let (snapshots, files) = if full() { (200, 10_000) } else { (40, 1000) };
    let (blobs, snapshot) = repository(WriterOptions::default(), |writer| {
        Ok(corpus::deep_history(writer, snapshots, files, 1)?.pop().unwrap())
    });
    let (cost, report) = restore(&blobs, &snapshot).await;
    println!("history: {} needed, {cost}", report.needed_bytes);
    let (needed, data) = (report.needed_bytes, cost.bytes - cost.metadata_bytes);
    assert!(data * 100 <= needed * DATA_PERCENT, "{needed} needed, {cost}");
    assert!(cost.bytes * 100 <= needed * 125 + SPARE_METADATA * 100, "{needed} needed, {cost}");
    assert!(!full() || cost.bytes * 100 <= needed * 125, "{needed} needed, {cost}");
    // How many requests it takes depends on how fast the walk is: on a busy machine windows go out early.
    assert!(cost.requests >= cost.packs.len(), "{cost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scattered_short_reads_fly_together() {
    let options = WriterOptions { max_pack_size: 4 << 10, ..WriterOptions::default() };
    let (blobs, snapshot) = repository(options, tree(|target| corpus::small_files(target, 2000, 4096.0, 1)));
    let rounds = Rounds::new(blobs);
    let repository = open(layer::around(rounds.clone(), &LayerOptions::default())).await;
    let opened = rounds.rounds.load(Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    restore_from(&repository, &snapshot, &dir.path().join("target")).await;
    let (packs, waited) = (repository.info().packs, rounds.rounds.load(Ordering::Relaxed) - opened);
    println!("scattered: {packs} packs in {waited} round trips");
    assert!(packs > 1000, "{packs} packs");
    assert!(
        waited <= packs.div_ceil(IN_FLIGHT as u64) * 3 / 2 + 20,
        "{waited} round trips for {packs} packs"
    );
}
