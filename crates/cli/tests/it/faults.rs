//! Breaks what servers and networks can break: a restore ends soon, with identical bytes or with the reason, and never
//! with wrong ones.
//!
//! Each case puts a proxy in front of a real server, breaks the answer to one request of a restore (or to all from one
//! on), and restores with the library. All deadlines are shortened together. With `REKOPIA_FULL=1` every request of the
//! restore is broken in turn, otherwise each fault meets every third of the first twelve.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rekopia::{
    Error, ErrorKind, OpenOptions, Password, Reference, Report, Repository, RestoreOptions, Selection,
    Silent, SyncMode,
};
use rekopia_blob::{BlobId, BlobReader, Deadlines, LayerOptions, Settings, connect_with};
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::faulty::{Fault, Faulty};
use rekopia_testkit::server::lies::Lie;
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::server::webdav::{self, WebdavServer};
use rekopia_testkit::tree::Tree;
use serde_json::json;

/// In place of 45 seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// A restore that takes longer hangs; generous, because the machine may be busy.
const HANGS: Duration = Duration::from_secs(90);
/// Cases at once: most of them wait most of the time, but each derives a key in 64 MiB.
const AT_ONCE: usize = 12;

/// What a fault may lead to.
#[derive(Debug, Clone, Copy)]
enum Promise {
    /// The restore is complete all the same.
    Survived,
    /// Complete, or it fails for one of these reasons.
    Explained(&'static [ErrorKind]),
}
use Promise::{Explained, Survived};

const STORAGE: Promise = Explained(&[ErrorKind::Storage]);
const DAMAGE: Promise = Explained(&[
    ErrorKind::Corrupt,
    ErrorKind::InvalidPassword,
    ErrorKind::UnsupportedFormat,
    ErrorKind::Storage,
]);

/// What S3 does wrong, what that leads to when it happens once, and when it does not end.
const S3_FAULTS: &[(Fault, Promise, Promise)] = &[
    (Fault::Reset, Survived, STORAGE),
    (Fault::Cut, Survived, STORAGE),
    (Fault::Drip, Survived, STORAGE),
    (Fault::Hang, Survived, STORAGE),
    (Fault::HangMidway, Survived, STORAGE),
    (Fault::WrongRange, Survived, STORAGE),
    (Fault::WholeBlob, Survived, STORAGE),
    (Fault::PageAgain, Survived, STORAGE),
    (Fault::Lie(Lie::ShortPart), Survived, STORAGE),
    (Fault::Lie(Lie::Html), Survived, STORAGE),
    (Fault::Status(404, "XAdminUserNotFound"), STORAGE, STORAGE),
    (Fault::Status(500, "InternalError"), Survived, STORAGE),
    (Fault::Status(503, "SlowDown"), Survived, STORAGE),
    (Fault::Busy(503, "SlowDown", 1), Survived, STORAGE),
    (Fault::Busy(429, "TooManyRequests", 1), Survived, STORAGE),
    (Fault::Status(400, "RequestTimeout"), Survived, STORAGE),
    (Fault::Status(403, "AccessDenied"), STORAGE, STORAGE),
    (Fault::Status(400, "ExpiredToken"), STORAGE, STORAGE),
    (Fault::Status(403, "RequestTimeTooSkewed"), STORAGE, STORAGE),
    (
        Fault::Status(403, "InvalidObjectState"),
        Explained(&[ErrorKind::Archived]),
        Explained(&[ErrorKind::Archived]),
    ),
    // A list that lags: what it names is not there.
    (Fault::Status(404, "NoSuchKey"), DAMAGE, DAMAGE),
    (Fault::Flipped, DAMAGE, DAMAGE),
];

/// The faults of WebDAV servers, what each leads to when it happens once, and when it does not end.
const WEBDAV_FAULTS: &[(Fault, Promise, Promise)] = &[
    (Fault::Reset, Survived, STORAGE),
    (Fault::Cut, Survived, STORAGE),
    (Fault::Drip, Survived, STORAGE),
    (Fault::Hang, Survived, STORAGE),
    (Fault::HangMidway, Survived, STORAGE),
    (Fault::WrongRange, Survived, STORAGE),
    (Fault::WholeBlob, Survived, Survived),
    (Fault::Lie(Lie::ShortPart), Survived, STORAGE),
    (Fault::Lie(Lie::Html), Survived, STORAGE),
    (Fault::Status(500, ""), Survived, STORAGE),
    (Fault::Status(502, ""), Survived, STORAGE),
    (Fault::Busy(503, "", 1), Survived, STORAGE),
    (Fault::Busy(429, "", 1), Survived, STORAGE),
    (Fault::Status(401, ""), STORAGE, STORAGE),
    (Fault::Status(403, ""), STORAGE, STORAGE),
    (Fault::Flipped, DAMAGE, DAMAGE),
];

/// A server with the quickstart repository behind it.
struct Upstream {
    address: String,
    settings: fn(&str) -> Settings,
    expected: Tree,
}

fn s3_settings(address: &str) -> Settings {
    let config = json!({"bucket": "bucket", "endpoint": address, "doNotUseTLS": true, "region": "us-east-1",
        "accessKeyID": ACCESS_KEY, "secretAccessKey": SECRET_KEY});
    Settings::from_kopia("s3", config).unwrap()
}

fn webdav_settings(address: &str) -> Settings {
    let config =
        json!({"url": format!("http://{address}"), "username": webdav::USER, "password": webdav::PASSWORD});
    Settings::from_kopia("webdav", config).unwrap()
}

fn expected() -> Tree {
    let fixture = Fixture::load("quickstart");
    fixture.expected(&fixture.snapshots[2]).unwrap()
}

async fn restore(settings: &Settings, target: &Path, patience: Duration) -> Result<Report, Error> {
    restore_of((&Fixture::load("quickstart"), "paperless@media:/data"), settings, target, patience).await
}

async fn restore_of(
    (fixture, reference): (&Fixture, &str),
    settings: &Settings,
    target: &Path,
    patience: Duration,
) -> Result<Report, Error> {
    let layers = LayerOptions::default().deadlines(Deadlines::default().patience(patience));
    let blobs =
        connect_with(settings, &layers).await.map_err(|e| Error::from_storage(e, "cannot connect"))?;
    let password = Password::new(fixture.password.as_str());
    let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
    let reference = Reference::parse(reference)?;
    let from = repository.resolve(&reference, &Selection::default()).await?;
    let options = RestoreOptions::default().sync(SyncMode::None).threads(2);
    repository.restore(&from, target, &options, Arc::new(Silent)).await
}

/// A fault, and where it happens.
#[derive(Debug, Clone, Copy)]
struct Case {
    fault: Fault,
    /// The first request that is broken.
    at: usize,
    /// All later ones are broken, too.
    always: bool,
    promise: Promise,
}

/// Restores through a proxy with this fault; what is wrong with the outcome, if anything.
async fn case(
    upstream: &Upstream,
    Case { fault, at, always, promise }: Case,
    patience: Duration,
) -> Result<(), String> {
    let proxy = Faulty::start(&upstream.address).await;
    proxy.break_answers(move |seen| (seen.number == at || (always && seen.number > at)).then_some(fault));
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let settings = (upstream.settings)(&proxy.address);
    let Ok(result) = tokio::time::timeout(HANGS, restore(&settings, &target, patience)).await else {
        return Err(format!("it hangs after {} requests", proxy.take_requests().len()));
    };
    let allowed = match promise {
        Survived => &[],
        Explained(kinds) => kinds,
    };
    let report = match result {
        Ok(report) => report,
        Err(e) if !allowed.contains(&e.kind()) => return Err(format!("{e:?}")),
        Err(e) if target.exists() => return Err(format!("the target was touched: {e:?}")),
        Err(_) => return Ok(()),
    };
    if let Some(wrong) = report.failures().iter().find(|f| !allowed.contains(&f.kind)) {
        return Err(format!("{}: {:?}: {}", wrong.path, wrong.kind, wrong.message));
    }
    if report.is_complete() != report.failures().is_empty() {
        return Err(format!(
            "complete is {}, with {} failures",
            report.is_complete(),
            report.failures().len()
        ));
    }
    let failed: Vec<String> = report.failures().iter().map(|f| f.path.clone()).collect();
    let diff = upstream.expected.diff(&Tree::read(&target), &failed);
    if diff.is_empty() { Ok(()) } else { Err(format!("with {failed:?} failed:\n{diff}")) }
}

async fn matrix(upstream: &Upstream, faults: &[(Fault, Promise, Promise)]) {
    // How many requests there are, and that all is well without faults.
    let proxy = Faulty::start(&upstream.address).await;
    let dir = tempfile::tempdir().unwrap();
    let clean = restore(&(upstream.settings)(&proxy.address), &dir.path().join("t"), PATIENCE).await.unwrap();
    assert!(clean.is_complete());
    let requests = proxy.take_requests().len();
    assert!(requests >= 8, "only {requests} requests");
    let all = std::env::var_os("REKOPIA_FULL").is_some();
    let broken = requests.min(if all { 50 } else { 12 });
    let mut cases = Vec::new();
    for (row, (fault, once, always)) in faults.iter().enumerate() {
        let (fault, once, always) = (*fault, *once, *always);
        let some = (0..broken).filter(|at| all || (row + at) % 3 == 0);
        cases.extend(some.map(|at| Case { fault, at, always: false, promise: once }));
        let from: &[usize] = if all { &[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12] } else { &[0, 5] };
        cases.extend(from.iter().map(|at| Case { fault, at: *at, always: true, promise: always }));
    }
    let count = cases.len();
    let suspect: Vec<Case> = futures::stream::iter(cases)
        .map(|one| async move { case(upstream, one, PATIENCE).await.is_err().then_some(one) })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |suspect| suspect)
        .collect()
        .await;
    // A busy machine may have been slower than the shortened deadlines: what fails now has no excuse.
    let mut wrong = Vec::new();
    for one in suspect.iter().take(20) {
        if let Err(what) = case(upstream, *one, PATIENCE * 5).await {
            wrong.push(format!(
                "{:?} {} {}: {what}",
                one.fault,
                if one.always { "from" } else { "at" },
                one.at
            ));
        }
    }
    let first = suspect.len();
    assert!(
        wrong.is_empty() && first < 20,
        "{first} of {count} cases of {requests} requests:\n{}",
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_may_fail_at_any_request() {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let upstream = Upstream { address: server.endpoint.clone(), settings: s3_settings, expected: expected() };
    matrix(&upstream, S3_FAULTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_may_fail_at_any_request() {
    let Some(server) = WebdavServer::nginx(&testdata().join("quickstart/repo")) else { return };
    let upstream =
        Upstream { address: server.address.clone(), settings: webdav_settings, expected: expected() };
    matrix(&upstream, WEBDAV_FAULTS).await;
}

/// A storage that stops to answer is waited for once, not at every request: with the real deadlines a restore ends
/// within 90 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_is_gone_ends_a_restore_soon() {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    let fixture = Fixture::load("many-files");
    server.upload(&fixture.repo(), "bucket", "");
    let full = std::env::var_os("REKOPIA_FULL").is_some();
    let patience = if full { Deadlines::default().patience } else { Duration::from_secs(4) };
    // What is computed takes its time, too.
    let bound = patience * 5 + Duration::from_secs(if full { 0 } else { 30 });
    let faults = [Fault::Hang, Fault::HangMidway, Fault::Drip, Fault::Reset, Fault::Status(503, "SlowDown")];
    let cases = faults.into_iter().flat_map(|fault| [0, 4, 6, 9].map(|from| (fault, from)));
    let cases = cases.map(|(fault, from)| {
        let (server, fixture) = (&server, &fixture);
        async move {
            let proxy = Faulty::start(&server.endpoint).await;
            proxy.break_answers(move |seen| (seen.number >= from).then_some(fault));
            let target = tempfile::tempdir().unwrap();
            let began = std::time::Instant::now();
            let settings = s3_settings(&proxy.address);
            let what = (fixture, fixture.snapshots[0].manifest_id.as_str());
            let result = restore_of(what, &settings, &target.path().join("t"), patience).await;
            assert!(!result.is_ok_and(|report| report.is_complete()), "{fault:?} from {from}: nothing broke");
            (began.elapsed() > bound).then(|| format!("{fault:?} from {from}: {:?}", began.elapsed()))
        }
    });
    let slow: Vec<_> = futures::stream::iter(cases.collect::<Vec<_>>())
        .buffer_unordered(20)
        .filter_map(async |slow| slow)
        .collect()
        .await;
    assert!(slow.is_empty(), "more than {bound:?}: {slow:?}");
}

/// With many requests in flight, of which every third is broken in another way: none of them is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_in_passing_are_survived_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    let fixture = Fixture::load("many-files");
    server.upload(&fixture.repo(), "bucket", "");
    let faults = [
        Fault::Lie(Lie::ShortPart),
        Fault::Reset,
        Fault::HangMidway,
        Fault::Cut,
        Fault::Busy(503, "SlowDown", 1),
        Fault::WrongRange,
        Fault::Lie(Lie::Html),
        Fault::Hang,
    ];
    for shift in 0..3 {
        let proxy = Faulty::start(&server.endpoint).await;
        proxy.delay(Duration::from_millis(20));
        proxy.break_answers(move |seen| {
            let broken = (seen.number + shift) % 3 == 0;
            broken.then(|| faults[seen.number / 3 % faults.len()])
        });
        let target = dir.path().join(format!("target {shift}"));
        let what = (&fixture, fixture.snapshots[0].manifest_id.as_str());
        let report = restore_of(what, &s3_settings(&proxy.address), &target, PATIENCE * 5).await;
        let report = report.unwrap_or_else(|e| panic!("{shift}: {}", e.chain()));
        assert!(report.is_complete() && proxy.broken() > 3, "{shift}: {} broken", proxy.broken());
        let diff = fixture.expected(&fixture.snapshots[0]).unwrap().diff(&Tree::read(&target), &[]);
        assert!(diff.is_empty(), "{shift}: {diff}");
    }
}

/// A storage that says when to come back is not asked again before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_to_wait_is_left_alone_so_long() {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let proxy = Faulty::start(&server.endpoint).await;
    for busy in
        [Fault::Busy(503, "SlowDown", 1), Fault::Busy(429, "TooManyRequests", 1), Fault::Busy(503, "", 1)]
    {
        proxy.take_requests();
        proxy.break_answers(move |seen| (seen.number == 0).then_some(busy));
        let blobs = connect_with(&s3_settings(&proxy.address), &LayerOptions::default()).await.unwrap();
        let began = std::time::Instant::now();
        blobs.read(&BlobId::parse("kopia.repository").unwrap(), None, Vec::new()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(1), "{busy:?}: {:?}", began.elapsed());
        assert_eq!(proxy.take_requests().len(), 2, "{busy:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_try_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let proxy = Faulty::start(&server.endpoint).await;
    let faults = [Fault::Status(500, "InternalError"), Fault::Cut, Fault::Reset];
    proxy.break_answers(move |seen| faults.get(seen.number).copied());
    let layers = LayerOptions::default().deadlines(Deadlines::default().patience(PATIENCE));
    let blobs = connect_with(&s3_settings(&proxy.address), &layers).await.unwrap();
    let read = blobs.read(&BlobId::parse("kopia.repository").unwrap(), None, Vec::new()).await.unwrap();
    let usage = blobs.usage();
    assert_eq!((usage.requests, usage.retries), (4, 3));
    // What broke off was received all the same; so was the text of the refusal.
    assert!(usage.bytes > read.len() as u64 * 3 / 2, "{usage:?} for {} bytes", read.len());
    assert!(usage.bytes < read.len() as u64 * 2 + 200, "{usage:?} for {} bytes", read.len());
    let latency = usage.latency;
    assert!(!latency.is_zero() && latency < PATIENCE, "{latency:?}");
    // A list that fails is begun again: two pages and one more try.
    proxy.take_requests();
    let faults = [Fault::PageAgain, Fault::Status(503, "SlowDown")];
    proxy.break_answers(move |seen| faults.get(seen.number).copied());
    let listed = blobs.list("p").await.unwrap().len();
    proxy.break_answers(|_| None);
    assert_eq!(blobs.list("p").await.unwrap().len(), listed);
    let after = blobs.usage();
    assert_eq!((after.requests - usage.requests, after.retries - usage.retries), (4, 1));
}
