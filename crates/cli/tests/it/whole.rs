//! A listing counts only when it is whole, and "not there" only when the storage itself says so: each lie at each answer
//! that opening a repository needs, on each kind of storage.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rekopia::{ErrorKind, OpenOptions, Password, Repository, Silent};
use rekopia_blob::{BlobErrorKind, BlobId, BlobReader, Deadlines, LayerOptions, Settings, connect_with};
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::azurite::{self, Azurite};
use rekopia_testkit::server::b2::{self, B2Server};
use rekopia_testkit::server::blobs_of;
use rekopia_testkit::server::fake_gcs::FakeGcs;
use rekopia_testkit::server::faulty::{self, Faulty};
use rekopia_testkit::server::front::Front;
use rekopia_testkit::server::lies::Lie;
use rekopia_testkit::server::s3::{self, ACCESS_KEY, S3Server, SECRET_KEY, Seen};
use rekopia_testkit::server::webdav::{self, WebdavServer};
use serde_json::json;

/// In place of 45 seconds.
const PATIENCE: Duration = Duration::from_millis(600);

fn quickstart() -> PathBuf {
    testdata().join("quickstart/repo")
}

/// What happens to the requests that are chosen.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Lie(Lie),
    Status(u16, &'static str),
}

const CUT: [Wrong; 7] = [
    Wrong::Lie(Lie::Half(1)),
    Wrong::Lie(Lie::Half(25)),
    Wrong::Lie(Lie::Half(50)),
    Wrong::Lie(Lie::Half(90)),
    Wrong::Lie(Lie::Half(98)),
    Wrong::Lie(Lie::Nothing),
    Wrong::Lie(Lie::Html),
];
const MISCOUNTED: [Wrong; 2] = [Wrong::Lie(Lie::LessThanAnnounced), Wrong::Lie(Lie::NoWayOn)];

/// Breaks all answers to the requests that the function chooses, or none any more.
type BreakAll<'a> = Box<dyn Fn(Chosen, Option<Wrong>) + 'a>;
type Chosen = fn(&Seen) -> bool;

/// A storage whose answers can be broken.
struct Storage<'a> {
    settings: Settings,
    /// Which requests are about listing.
    is_list: Chosen,
    break_all: BreakAll<'a>,
}

impl Storage<'_> {
    async fn open(&self) -> Arc<dyn BlobReader> {
        let layers = LayerOptions::default().deadlines(Deadlines::default().patience(PATIENCE));
        connect_with(&self.settings, &layers).await.unwrap()
    }

    /// Every listing is whole, or an error of the storage: never shorter.
    async fn listings_are_whole_or_fail(&self, wrongs: &[Wrong]) {
        let count =
            |prefix: &str| blobs_of(&quickstart()).keys().filter(|name| name.starts_with(prefix)).count();
        for prefix in ["x", "p", ""] {
            assert_eq!(self.open().await.list(prefix).await.unwrap().len(), count(prefix), "{prefix:?}");
        }
        for wrong in wrongs {
            (self.break_all)(self.is_list, Some(*wrong));
            let lists = ["x", "p", ""].map(|prefix| async move {
                let listed = self.open().await.list(prefix).await.map(|blobs| blobs.len());
                let error = listed.expect_err(&format!("{wrong:?} {prefix:?}"));
                assert_eq!(error.kind(), BlobErrorKind::Unavailable, "{wrong:?} {prefix:?}: {error}");
                if matches!(wrong, Wrong::Lie(Lie::Html)) {
                    assert!(error.to_string().contains("an HTML page came instead of"), "{error}");
                }
            });
            let any = async {
                let any = self.open().await.any("p").await;
                assert!(any.is_err() || any.unwrap(), "{wrong:?}: packs are there");
            };
            tokio::join!(futures::future::join_all(lists), any, self.fails_to_open(*wrong));
        }
        (self.break_all)(self.is_list, None);
    }

    /// Opening ends with the storage's error (15): neither "no repository" nor "repair it".
    async fn fails_to_open(&self, wrong: Wrong) -> String {
        let password = Password::new(Fixture::load("quickstart").password.as_str());
        let opened =
            Repository::open(self.open().await, &password, &OpenOptions::default(), Arc::new(Silent)).await;
        let error = opened.map(|_| ()).expect_err(&format!("{wrong:?}"));
        let chain = error.chain();
        assert_eq!(error.kind(), ErrorKind::Storage, "{wrong:?}: {chain}");
        chain
    }

    /// An answer in the storage's place is neither a missing blob nor a damaged one.
    async fn blobs_are_not_taken_for_missing(&self, wrongs: &[(Wrong, &str)]) {
        for (wrong, said) in wrongs {
            (self.break_all)(|_| true, Some(*wrong));
            let blobs = self.open().await;
            let id = BlobId::parse("kopia.repository").unwrap();
            for range in [None, Some(0..10)] {
                let error = blobs.read(&id, range, Vec::new()).await.unwrap_err();
                assert_eq!(error.kind(), BlobErrorKind::Unavailable, "{wrong:?}: {error}");
                assert!(error.to_string().contains(said), "{wrong:?}: {error}");
            }
            let chain = self.fails_to_open(*wrong).await;
            assert!(chain.contains(said), "{wrong:?}: {chain}");
        }
        (self.break_all)(|_| true, None);
    }
}

fn by_proxy(proxy: &Faulty) -> BreakAll<'_> {
    Box::new(move |chosen, wrong| {
        proxy.break_answers(move |seen| {
            let fault = match wrong? {
                Wrong::Lie(lie) => faulty::Fault::Lie(lie),
                Wrong::Status(status, code) => faulty::Fault::Status(status, code),
            };
            chosen(&(seen.method.clone(), seen.path.clone(), seen.query.clone())).then_some(fault)
        });
    })
}

fn by_front(front: &Front) -> BreakAll<'_> {
    Box::new(move |chosen, wrong| {
        front.break_answers(move |_, seen| {
            let fault = match wrong? {
                Wrong::Lie(lie) => s3::Fault::Lie(lie),
                Wrong::Status(status, code) => s3::Fault::Status(status, code),
            };
            chosen(seen).then_some(fault)
        });
    })
}

const HTML: (Wrong, &str) = (Wrong::Lie(Lie::Html), "an HTML page came instead of");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3() {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    server.upload(&quickstart(), "bucket", "");
    let proxy = Faulty::start(&server.endpoint).await;
    let config = json!({"bucket": "bucket", "endpoint": proxy.address, "doNotUseTLS": true, "region": "us-east-1",
        "accessKeyID": ACCESS_KEY, "secretAccessKey": SECRET_KEY});
    let storage = Storage {
        settings: Settings::from_kopia("s3", config).unwrap(),
        is_list: |(_, _, query)| query.contains("list-type"),
        break_all: by_proxy(&proxy),
    };
    storage.listings_are_whole_or_fail(&CUT).await;
    storage.listings_are_whole_or_fail(&MISCOUNTED).await;
    let user = Wrong::Status(404, "XAdminUserNotFound");
    storage.blobs_are_not_taken_for_missing(&[HTML, (user, "XAdminUserNotFound on command")]).await;
    storage
        .listings_are_whole_or_fail(&[user, Wrong::Status(404, "NoSuchKey"), Wrong::Status(404, "")])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webdav() {
    let servers = [WebdavServer::nginx(&quickstart()), WebdavServer::rclone(&quickstart())];
    for server in servers.into_iter().flatten() {
        let proxy = Faulty::start(&server.address).await;
        let config = json!({"url": format!("http://{}", proxy.address), "username": webdav::USER,
            "password": webdav::PASSWORD});
        let storage = Storage {
            settings: Settings::from_kopia("webdav", config).unwrap(),
            is_list: |(method, _, _)| method == "PROPFIND",
            break_all: by_proxy(&proxy),
        };
        storage.listings_are_whole_or_fail(&CUT).await;
        storage.blobs_are_not_taken_for_missing(&[HTML]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure() {
    let Some(azurite) = Azurite::start().await else { return };
    azurite.upload(&quickstart(), "backups", "").await;
    let config = json!({"container": "backups", "storageAccount": azurite::ACCOUNT, "storageKey": azurite::key(),
        "endpoint": azurite.address()});
    let storage = Storage {
        settings: Settings::from_kopia("azureBlob", config).unwrap(),
        is_list: |(_, _, query)| query.contains("comp=list"),
        break_all: by_front(&azurite.front),
    };
    storage.listings_are_whole_or_fail(&CUT).await;
    let gone = Wrong::Status(404, "AccountNotFound");
    storage.blobs_are_not_taken_for_missing(&[HTML, (gone, "AccountNotFound on command")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google() {
    let gcs = FakeGcs::start(None).await;
    gcs.upload(&quickstart(), "backups", "").await;
    let config =
        json!({"bucket": "backups", "endpoint": format!("http://{}", gcs.front.endpoint), "anonymous": true});
    let storage = Storage {
        settings: Settings::from_kopia("gcs", config).unwrap(),
        is_list: |(_, _, query)| query.contains("list-type"),
        break_all: by_front(&gcs.front),
    };
    storage.listings_are_whole_or_fail(&CUT).await;
    let gone = Wrong::Status(404, "UserProjectMissing");
    storage.blobs_are_not_taken_for_missing(&[HTML, (gone, "UserProjectMissing on command")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2() {
    let b2 = B2Server::start(b2::Key::default()).await;
    b2.upload(&quickstart(), "backups", "");
    let config = json!({"bucket": "backups", "keyID": b2::KEY_ID, "key": b2::KEY,
        "endpoint": format!("http://{}", b2.front.endpoint)});
    let storage = Storage {
        settings: Settings::from_kopia("b2", config).unwrap(),
        is_list: |(_, path, _)| path.ends_with("b2_list_file_names"),
        break_all: by_front(&b2.front),
    };
    storage.listings_are_whole_or_fail(&CUT).await;
    let gone = Wrong::Status(404, "no_such_account");
    storage.blobs_are_not_taken_for_missing(&[HTML, (gone, "no_such_account on command")]).await;
}
