//! Breaks one answer in passing, at any request of a restore from any storage behind HTTP, alone or with many requests
//! in flight: the restore is complete. A fault that stays is named with every file that it costs.
//!
//! All deadlines are shortened together. With `REKOPIA_FULL=1` every fault meets every request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use rekopia::{
    Error, OpenOptions, Password, Reference, Report, Repository, RestoreOptions, Selection, Silent, SyncMode,
};
use rekopia_blob::{Deadlines, LayerOptions, Settings, connect_with};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::server::azurite::{self, Azurite};
use rekopia_testkit::server::b2::{self, B2Server, Key};
use rekopia_testkit::server::fake_gcs::FakeGcs;
use rekopia_testkit::server::faulty::{Fault, Faulty, Seen};
use rekopia_testkit::server::lies::Lie;
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::server::webdav::{self, WebdavServer};
use rekopia_testkit::tree::Tree;
use serde_json::json;

/// In place of 45 seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// Cases at once.
const AT_ONCE: usize = 12;

const FAULTS: &[Fault] = &[
    Fault::Busy(429, "TooManyRequests", 1),
    Fault::Busy(503, "SlowDown", 1),
    Fault::BusyUntil(503, "ServerBusy", 2),
    Fault::Lie(Lie::ShortPart),
    Fault::Cut,
    Fault::Hang,
    Fault::HangMidway,
    Fault::Reset,
];

/// A repository on one kind of storage.
struct Storage {
    server: Server,
    fixture: Fixture,
    reference: String,
    expected: Tree,
    _dir: tempfile::TempDir,
}

enum Server {
    S3(S3Server),
    Azure(Azurite),
    Gcs(FakeGcs),
    B2(B2Server),
    Webdav(WebdavServer),
}

impl Storage {
    /// `None` where its server is not installed.
    async fn start(kind: &str, name: &str) -> Option<Self> {
        let (fixture, dir) = (Fixture::load(name), tempfile::tempdir().unwrap());
        let repo = fixture.repo();
        let server = match kind {
            "s3" => {
                let server = S3Server::start(dir.path()).await;
                server.upload(&repo, "bucket", "");
                Server::S3(server)
            }
            "azure" => {
                let server = Azurite::start().await?;
                server.upload(&repo, "bucket", "").await;
                Server::Azure(server)
            }
            "gcs" => {
                let server = FakeGcs::start(None).await;
                server.upload(&repo, "bucket", "").await;
                Server::Gcs(server)
            }
            "b2" => {
                let server = B2Server::start(Key::default()).await;
                server.upload(&repo, "bucket", "");
                Server::B2(server)
            }
            _ => Server::Webdav(WebdavServer::nginx(&repo)?),
        };
        let snapshot = fixture.snapshots.last().unwrap();
        let (expected, reference) = (fixture.expected(snapshot).unwrap(), snapshot.manifest_id.clone());
        Some(Storage { server, fixture, reference, expected, _dir: dir })
    }

    /// Starts a proxy before the server; returns it and the way through it.
    async fn proxy(&self) -> (Faulty, Settings) {
        let upstream = match &self.server {
            Server::S3(server) => server.endpoint.clone(),
            Server::Azure(server) => server.front.endpoint.clone(),
            Server::Gcs(server) => server.front.endpoint.clone(),
            Server::B2(server) => server.front.endpoint.clone(),
            Server::Webdav(server) => server.address.clone(),
        };
        let proxy = Faulty::start(&upstream).await;
        let address = &proxy.address;
        let (kind, config) = match &self.server {
            Server::S3(_) => (
                "s3",
                json!({"bucket": "bucket", "endpoint": address, "doNotUseTLS": true, "region": "us-east-1",
                    "accessKeyID": ACCESS_KEY, "secretAccessKey": SECRET_KEY}),
            ),
            Server::Azure(_) => (
                "azureBlob",
                json!({"container": "bucket", "storageAccount": azurite::ACCOUNT, "sasToken": azurite::sas("rl"),
                    "endpoint": format!("http://{address}/{}", azurite::ACCOUNT)}),
            ),
            Server::Gcs(_) => {
                proxy.name_host(&upstream);
                (
                    "gcs",
                    json!({"bucket": "bucket", "endpoint": format!("http://{address}"), "anonymous": true}),
                )
            }
            Server::B2(_) => (
                "b2",
                json!({"bucket": "bucket", "keyID": b2::KEY_ID, "key": b2::KEY, "endpoint": format!("http://{address}")}),
            ),
            Server::Webdav(_) => (
                "webdav",
                json!({"url": format!("http://{address}"), "username": webdav::USER, "password": webdav::PASSWORD}),
            ),
        };
        (proxy, Settings::from_kopia(kind, config).unwrap())
    }

    async fn restore(&self, settings: &Settings, target: &Path, patience: Duration) -> Result<Report, Error> {
        let layers =
            LayerOptions::default().deadlines(Deadlines::default().patience(patience)).in_flight(Some(64));
        let blobs =
            connect_with(settings, &layers).await.map_err(|e| Error::from_storage(e, "cannot connect"))?;
        let password = Password::new(self.fixture.password.as_str());
        let repository =
            Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
        let from = repository.resolve(&Reference::parse(&self.reference)?, &Selection::default()).await?;
        let options = RestoreOptions::default().sync(SyncMode::None).threads(2);
        repository.restore(&from, target, &options, Arc::new(Silent)).await
    }

    /// What is wrong with a restore through a proxy that breaks what `decide` says; also when nothing was broken.
    async fn survives(
        &self,
        decide: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static,
        patience: Duration,
    ) -> Result<(), String> {
        let (proxy, settings) = self.proxy().await;
        if let Server::B2(server) = &self.server {
            server.behind(&proxy.address);
        }
        proxy.break_answers(decide);
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let report = self.restore(&settings, &target, patience).await.map_err(|e| e.chain())?;
        if !report.is_complete() || proxy.broken() == 0 {
            return Err(format!("{} broken: {:?}", proxy.broken(), report.failures()));
        }
        let diff = self.expected.diff(&Tree::read(&target), &[]);
        if diff.is_empty() { Ok(()) } else { Err(diff.to_string()) }
    }
}

/// Returns what a request is about: `k` the format blob, `l` a listing, `n` and `x` the index, `q` manifests and
/// directories, `p` data, `s` signing in.
fn class(seen: &Seen) -> char {
    if seen.is_list() || seen.query.contains("comp=list") || seen.path.contains("b2_list_file_names") {
        return 'l';
    }
    if seen.path.contains("b2api") {
        return 's';
    }
    let name = seen.path.split("bucket/").last().unwrap().trim_start_matches('/');
    name.chars().next().unwrap_or('?')
}

/// Returns the first, the middle and the last request of each class.
fn positions(requests: &[Seen]) -> Vec<usize> {
    let mut classes: BTreeMap<char, Vec<usize>> = BTreeMap::new();
    for seen in requests {
        classes.entry(class(seen)).or_default().push(seen.number);
    }
    for class in ['k', 'l', 'q', 'p'] {
        assert!(classes.contains_key(&class), "no request for {class}: {requests:?}");
    }
    let mut positions: Vec<usize> =
        classes.values().flat_map(|all| [all[0], all[all.len() / 2], all[all.len() - 1]]).collect();
    positions.sort_unstable();
    positions.dedup();
    positions
}

async fn one_fault_anywhere(kind: &str) {
    let Some(storage) = Storage::start(kind, "quickstart").await else { return };
    let storage = &storage;
    let (proxy, settings) = storage.proxy().await;
    if let Server::B2(server) = &storage.server {
        server.behind(&proxy.address);
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(storage.restore(&settings, &dir.path().join("t"), PATIENCE).await.unwrap().is_complete());
    let requests = proxy.take_requests();
    let full = std::env::var_os("REKOPIA_FULL").is_some();
    let positions = if full { (0..requests.len()).collect() } else { positions(&requests) };
    let mut cases = Vec::new();
    for (row, at) in positions.iter().enumerate() {
        let faults = FAULTS.iter().enumerate().filter(|(column, _)| full || (row + column) % 2 == 0);
        cases.extend(faults.map(|(_, fault)| (*at, *fault)));
    }
    let count = cases.len();
    let suspect: Vec<_> = futures::stream::iter(cases)
        .map(|(at, fault)| async move {
            let broken = move |seen: &Seen| (seen.number == at).then_some(fault);
            // This server tells of a single proxy, and so serves a single restore.
            let result = match &storage.server {
                Server::B2(_) => {
                    let storage = Storage::start("b2", "quickstart").await.unwrap();
                    storage.survives(broken, PATIENCE).await
                }
                _ => storage.survives(broken, PATIENCE).await,
            };
            result.err().map(|what| (at, fault, what))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |suspect| suspect)
        .collect()
        .await;
    // A busy machine may have been slower than the shortened deadlines: what fails now has no excuse.
    let mut wrong = Vec::new();
    for (at, fault, first) in &suspect {
        let (at, fault) = (*at, *fault);
        // How many requests there are depends on what is read together: the last one may not be made again.
        let done = AtomicBool::new(false);
        let broken =
            move |seen: &Seen| (seen.number + 2 >= at && !done.swap(true, Ordering::SeqCst)).then_some(fault);
        if let Err(what) = storage.survives(broken, PATIENCE * 5).await {
            wrong.push(format!("{fault:?} at {at}: {what} (first {first})"));
        }
    }
    assert!(
        wrong.is_empty() && suspect.len() < 20,
        "{kind}: {} of {count}: {}",
        suspect.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_fault_at_any_request_of_s3() {
    one_fault_anywhere("s3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_fault_at_any_request_of_azure() {
    one_fault_anywhere("azure").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_fault_at_any_request_of_google() {
    one_fault_anywhere("gcs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_fault_at_any_request_of_b2() {
    one_fault_anywhere("b2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_fault_at_any_request_of_nginx() {
    one_fault_anywhere("webdav").await;
}

/// Many requests in flight: so many in a row are broken together, each of them once, at the beginning and in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_faults_under_load() {
    let full = std::env::var_os("REKOPIA_FULL").is_some();
    let faults = [Fault::Hang, Fault::Busy(503, "SlowDown", 1), Fault::HangMidway, Fault::Reset];
    let faults = &faults[..if full { 4 } else { 2 }];
    let kinds = ["s3", "azure", "gcs", "b2", "webdav"].map(|kind| async move {
        let Some(storage) = Storage::start(kind, "many-files").await else { return };
        for (from, many) in [(0, 3), (4, 16)] {
            for fault in faults.iter().copied() {
                let burst = || {
                    let known = Mutex::new(BTreeSet::new());
                    move |seen: &Seen| {
                        let mut known = known.lock().unwrap();
                        let what = (seen.path.clone(), seen.query.clone(), seen.range);
                        let hit = seen.number >= from && known.len() < many && known.insert(what);
                        hit.then_some(fault)
                    }
                };
                // On a busy machine with more patience, too.
                if storage.survives(burst(), PATIENCE).await.is_err() {
                    let result = storage.survives(burst(), PATIENCE * 5).await;
                    assert!(result.is_ok(), "{kind}: {fault:?} from {from}: {}", result.unwrap_err());
                }
            }
        }
    });
    futures::future::join_all(kinds).await;
}

/// A request goes silent three times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_silent_connections_one_after_the_other() {
    let storage = Storage::start("s3", "quickstart").await.unwrap();
    let count = AtomicUsize::new(0);
    let silent = move |seen: &Seen| {
        (class(seen) == 'k' && count.fetch_add(1, Ordering::SeqCst) < 3).then_some(Fault::Hang)
    };
    storage.survives(silent, PATIENCE).await.unwrap();
}

/// A pack that cannot be read costs the files that have something of it, and each of them is named, with the pack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_stays_is_named_with_every_file() {
    let faults = [
        Fault::Status(500, "InternalError"),
        Fault::Status(403, "AccessDenied"),
        Fault::Lie(Lie::ShortPart),
        Fault::Flipped,
    ];
    let full = std::env::var_os("REKOPIA_FULL").is_some();
    for (row, kind) in ["s3", "azure", "gcs", "b2", "webdav"].into_iter().enumerate() {
        let Some(storage) = Storage::start(kind, "quickstart").await else { continue };
        for (_, fault) in faults.into_iter().enumerate().filter(|(column, _)| full || (row + column) % 2 == 0)
        {
            let (proxy, settings) = storage.proxy().await;
            if let Server::B2(server) = &storage.server {
                server.behind(&proxy.address);
            }
            proxy.break_answers(move |seen| (class(seen) == 'p').then_some(fault));
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("target");
            let report = storage.restore(&settings, &target, PATIENCE / 4).await.unwrap();
            let failed: Vec<String> = report.failures().iter().map(|failure| failure.path.clone()).collect();
            assert!(!failed.is_empty() && !report.is_complete(), "{kind} {fault:?}: {report:?}");
            let diff = storage.expected.diff(&Tree::read(&target), &failed);
            assert!(diff.is_empty(), "{kind} {fault:?}: a file fails in silence: {diff}");
            for failure in report.failures() {
                let message = &failure.message;
                assert!(
                    message.contains(" p") || message.contains("blob p"),
                    "{kind} {fault:?}: no pack: {message}"
                );
                assert!(message.contains("content"), "{kind} {fault:?}: no content: {message}");
            }
        }
    }
}
