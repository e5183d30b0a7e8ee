//! Stopping and dropping: what a run leaves behind in the process and asks of the storage. One test, because threads and
//! tasks of the process are counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekopia::blob::{BlobError, BlobId, BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};
use rekopia::{
    Cancel, ErrorKind, OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent,
    VerifyOptions,
};
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{NewSnapshot, RepositoryWriter, Source, WriterOptions};

type Decide = Box<dyn Fn(&str) -> bool + Send>;

/// A storage that never answers from the first request on that is decided upon.
struct Hanging {
    inner: MemoryBlobs,
    decide: Mutex<Decide>,
    hangs: AtomicBool,
    /// `list x`, `read p…`
    requests: Mutex<Vec<String>>,
}

impl Hanging {
    fn new(inner: MemoryBlobs) -> Arc<Self> {
        let (hangs, requests) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Hanging { inner, decide: Mutex::new(Box::new(|_| false)), hangs, requests })
    }

    fn hang_when(&self, decide: impl Fn(&str) -> bool + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
        self.hangs.store(false, Ordering::SeqCst);
        self.requests.lock().unwrap().clear();
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn pass(&self, request: String) {
        self.requests.lock().unwrap().push(request.clone());
        let is_it = (self.decide.lock().unwrap())(&request);
        if self.hangs.fetch_or(is_it, Ordering::SeqCst) || is_it {
            std::future::pending().await
        }
    }

    async fn until_it_hangs(&self) {
        while !self.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Others are sent at the same time.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl BlobReader for Hanging {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            self.pass(format!("read {id}")).await;
            self.inner.read(id, range, into).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move {
            self.pass(format!("list {prefix}")).await;
            self.inner.list(prefix).await
        })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        self.inner.stat(id)
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.list(prefix).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
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

    /// Nothing is read along where nothing is far, so that each directory is asked for.
    fn profile(&self) -> StorageProfile {
        StorageProfile::new(16).gap(0).local(true)
    }

    fn describe(&self) -> String {
        "hanging".into()
    }
}

/// Returns a repository with small files, and a large one over several packs.
fn repository() -> (MemoryBlobs, Tree) {
    let (memory, dir) = (MemoryBlobs::default(), tempfile::tempdir().unwrap());
    for n in 0..300 {
        let folder = dir.path().join(format!("folder-{}", n % 10));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{n}")), format!("file {n}").repeat(100)).unwrap();
    }
    let mut random = rekopia_testkit::random::Random::new(1);
    let mut large = vec![0; 60 << 20];
    random.fill(&mut large);
    std::fs::write(dir.path().join("large"), large).unwrap();
    let mut writer = RepositoryWriter::create(memory.clone(), WriterOptions::default()).unwrap();
    let root = writer.put_tree(dir.path()).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/p".into() };
    writer.put_snapshot(&NewSnapshot::new(source, writer.now() * 1_000_000_000, root)).unwrap();
    writer.flush().unwrap();
    (memory, Tree::read(dir.path()))
}

async fn open(blobs: &Arc<Hanging>) -> rekopia::Result<Repository> {
    let (password, options) = (Password::new("test-password"), OpenOptions::default());
    Repository::open(Arc::clone(blobs) as _, &password, &options, Arc::new(Silent)).await
}

/// Threads of ours in this process.
fn workers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("rekopia-")).count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Open,
    Snapshots,
    Restore,
    Mirror,
    DryRun,
    Verify,
}

/// Opens and does a job, which hangs after so many requests that begin like this.
const ROWS: &[(Job, &str, usize)] = &[
    (Job::Open, "read kopia.repository", 0),
    (Job::Open, "list x", 0),
    (Job::Open, "read x", 0),
    (Job::Snapshots, "read q", 0),
    (Job::Restore, "read q", 0),
    (Job::Restore, "read p", 0),
    (Job::Restore, "read p", 4),
    (Job::Mirror, "list p", 0),
    (Job::Mirror, "read q", 0),
    (Job::Mirror, "read p", 0),
    (Job::DryRun, "list p", 0),
    (Job::DryRun, "read q", 0),
    (Job::Verify, "read q", 0),
    (Job::Verify, "read p", 0),
    (Job::Verify, "read p", 4),
];

/// Whether the run that ended was stopped.
async fn work(
    blobs: &Arc<Hanging>,
    (job, at, after): (Job, &'static str, usize),
    target: &Path,
    cancel: Cancel,
) -> bool {
    let hang = || {
        let count = AtomicUsize::new(0);
        blobs.hang_when(move |request| {
            request.starts_with(at) && count.fetch_add(1, Ordering::SeqCst) >= after
        });
    };
    if matches!(job, Job::Open | Job::Snapshots) {
        hang();
    }
    let repository = open(blobs).await.unwrap();
    if job == Job::Snapshots {
        repository.snapshots().await.unwrap();
    }
    let selection = Selection::default();
    let from = repository.resolve(&Reference::parse("u@h").unwrap(), &selection).await.unwrap();
    hang();
    if job == Job::Verify {
        let options = VerifyOptions::default().cancel(cancel).threads(3);
        return repository.verify(&from, &options, Arc::new(Silent)).await.unwrap().cancelled;
    }
    let options = RestoreOptions::default()
        .cancel(cancel)
        .threads(3)
        .delete_extra(job == Job::Mirror)
        .dry_run(job == Job::DryRun);
    let report = repository.restore(&from, target, &options, Arc::new(Silent)).await.unwrap();
    assert!(!report.cancelled || report.exit_kind() == Some(ErrorKind::Cancelled));
    report.cancelled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_on_after_a_run_was_dropped_or_stopped() {
    let (memory, expected) = repository();
    let dir = tempfile::tempdir().unwrap();
    // What a runtime makes once it makes here.
    open(&Hanging::new(memory.clone())).await.unwrap();
    for (number, row) in ROWS.iter().copied().enumerate() {
        for drops in [true, false] {
            let (job, what) = (row.0, format!("{row:?}, dropped: {drops}"));
            let target = dir.path().join(format!("{number}{drops}"));
            if matches!(job, Job::Mirror | Job::DryRun) {
                std::fs::create_dir(&target).unwrap();
                std::fs::write(target.join("extra"), "from before").unwrap();
            }
            let blobs = Hanging::new(memory.clone());
            let (before, cancel) = (tasks(), Cancel::new());
            let working = work(&blobs, row, &target, cancel.clone());
            let began;
            {
                let mut working = std::pin::pin!(working);
                let reached = tokio::time::timeout(Duration::from_secs(60), async {
                    tokio::select! {
                        _ = &mut working => true,
                        () = blobs.until_it_hangs() => false,
                    }
                });
                let ended = reached.await.unwrap_or_else(|_| panic!("{what}: never asked for"));
                assert!(!ended, "{what}: it never hung");
                blobs.requests.lock().unwrap().clear();
                began = Instant::now();
                // Opening and listing are stopped by dropping them.
                if !drops && !matches!(job, Job::Open | Job::Snapshots) {
                    cancel.cancel();
                    assert!(working.await, "{what}");
                }
            }
            while workers() > 0 || tasks() > before {
                let (workers, tasks) = (workers(), tasks());
                assert!(
                    began.elapsed() < Duration::from_secs(10),
                    "{what}: {workers} threads, {tasks} tasks instead of {before}"
                );
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(blobs.requests(), Vec::<String>::new(), "{what}");
            // A file is there and right, or not there; nothing extra is gone.
            let found = if target.exists() { Tree::read(&target) } else { Tree::default() };
            for (path, entry) in found.entries.iter().filter(|(_, entry)| entry.kind == 'f') {
                let is_right = expected.entries.get(path).is_some_and(|e| e.sha256 == entry.sha256);
                assert!(is_right || path == "extra", "{what}: {path}");
            }
            assert_eq!(
                found.entries.contains_key("extra"),
                matches!(job, Job::Mirror | Job::DryRun),
                "{what}"
            );
        }
    }
}
