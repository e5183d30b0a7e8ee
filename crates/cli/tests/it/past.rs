//! A bucket as it was at an earlier time, and listings in pages of any size.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rekopia::{
    Error, ErrorKind, OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent,
};
use rekopia_blob::{BlobId, Settings, connect};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::server::s3::{ACCESS_KEY, SECRET_KEY};
use rekopia_testkit::server::versioned::{BUCKET, VersionedServer, read_blobs};
use rekopia_testkit::tree::Tree;
use serde_json::json;

/// When the repository was written, in seconds since 1970: 2026-01-01.
const WRITTEN: u64 = 1_767_225_600;
const DAY: u64 = 86_400;

fn settings(server: &VersionedServer, at: Option<u64>) -> Settings {
    let at = at.map(|s| jiff::Timestamp::from_second(s as i64).unwrap().to_string());
    let config = json!({"bucket": BUCKET, "prefix": "backups/", "endpoint": server.address, "doNotUseTLS": true,
        "accessKeyID": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "pointInTime": at});
    Settings::from_kopia("s3", config).unwrap()
}

async fn restore(settings: &Settings, target: &Path) -> Result<(), Error> {
    let fixture = Fixture::load("quickstart");
    let blobs = connect(settings).await.unwrap();
    let password = Password::new(fixture.password.as_str());
    let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
    let reference = Reference::parse("paperless@media:/data")?;
    let from = repository.resolve(&reference, &Selection::default()).await?;
    let report = repository.restore(&from, target, &RestoreOptions::default(), Arc::new(Silent)).await?;
    assert!(report.is_complete(), "{:?}", report.failures());
    let diff = fixture.expected(&fixture.snapshots[2]).unwrap().diff(&Tree::read(target), &[]);
    assert!(diff.is_empty(), "{diff}");
    Ok(())
}

/// Writes the repository, overwrites half of it with rubbish and deletes the rest, then writes it anew with other
/// contents; some objects are deleted and come back meanwhile.
async fn history() -> (VersionedServer, BTreeMap<String, Bytes>) {
    let server = VersionedServer::start().await;
    let blobs = read_blobs(&Fixture::load("quickstart").repo());
    for (number, (name, data)) in blobs.iter().enumerate() {
        let key = format!("backups/{name}");
        // Older versions of the same name, and a deletion in the same second as the write that undoes it.
        if number % 3 == 0 {
            server.put(&key, WRITTEN - 9 * DAY, Some("older".into()));
            server.put(&key, WRITTEN - 8 * DAY, None);
        }
        server.put(&key, WRITTEN, Some(data.clone()));
        let attacked = WRITTEN + 5 * DAY;
        server.put(&key, attacked, (number % 2 == 0).then(|| "encrypted by somebody".into()));
        server.put(&key, attacked + DAY, None);
    }
    server.put("backups/kopia.repository.backup", WRITTEN, Some("not a blob of ours".into()));
    server.put("backups/sub/xn0_aaaa", WRITTEN, Some("below another folder".into()));
    (server, blobs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restores_what_was_there_before_it_was_destroyed() {
    let (server, _) = history().await;
    let dir = tempfile::tempdir().unwrap();
    for page in [1000, 2, 1] {
        server.page(page);
        for (name, at) in [("the moment", WRITTEN), ("the day before", WRITTEN + 4 * DAY)] {
            let target = dir.path().join(format!("{name} in pages of {page}"));
            restore(&settings(&server, Some(at)), &target).await.unwrap();
        }
        let kind_at = async |at| {
            let target = dir.path().join("refused");
            let error = restore(&settings(&server, at), &target).await.unwrap_err();
            assert!(!target.exists());
            error.kind()
        };
        assert_eq!(kind_at(Some(WRITTEN - 1)).await, ErrorKind::NoRepository);
        assert_eq!(kind_at(Some(WRITTEN + 5 * DAY)).await, ErrorKind::Corrupt);
        assert_eq!(kind_at(None).await, ErrorKind::NoRepository);
    }
}

/// A tree that was copied to a bucket, and was destroyed there: its versions are found in its folders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_layout_has_a_past_too() {
    let server = VersionedServer::start().await;
    for (name, data) in read_blobs(&Fixture::load("quickstart").repo()) {
        let key = match name.as_str() {
            "kopia.repository" => format!("backups/{name}.f"),
            _ => format!("backups/{}/{}/{}.f", &name[..1], &name[1..4], &name[4..]),
        };
        server.put(&key, WRITTEN, Some(data));
        server.put(&key, WRITTEN + DAY, Some("encrypted by somebody".into()));
        server.put(&key, WRITTEN + 2 * DAY, None);
    }
    let dir = tempfile::tempdir().unwrap();
    for page in [1000, 2] {
        server.page(page);
        let target = dir.path().join(format!("in pages of {page}"));
        restore(&settings(&server, Some(WRITTEN)), &target).await.unwrap();
        let error =
            restore(&settings(&server, Some(WRITTEN - 1)), &dir.path().join("before")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoRepository);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_back_in_the_same_second_is_there() {
    let server = VersionedServer::start().await;
    for (name, data) in read_blobs(&Fixture::load("quickstart").repo()) {
        let key = format!("backups/{name}");
        server.put(&key, WRITTEN, Some("first".into()));
        server.put(&key, WRITTEN, None);
        server.put(&key, WRITTEN, Some(data));
    }
    server.put("backups/xn9_gone", WRITTEN, Some("rubbish".into()));
    server.put("backups/xn9_gone", WRITTEN, None);
    let dir = tempfile::tempdir().unwrap();
    restore(&settings(&server, Some(WRITTEN)), &dir.path().join("target")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pages_of_any_size() {
    let server = VersionedServer::start().await;
    let names: Vec<String> = (0..25).map(|n| format!("p{n:04x}")).collect();
    for name in &names {
        server.put(&format!("backups/{name}"), WRITTEN, Some("pack".into()));
    }
    server.put("backups/q1", WRITTEN, Some("another".into()));
    for at in [None, Some(WRITTEN)] {
        for page in [1, 2, 24, 25, 1000] {
            server.page(page);
            let blobs = connect(&settings(&server, at)).await.unwrap();
            let found = blobs.list("p").await.unwrap();
            let mut found: Vec<String> = found.iter().map(|b| b.id.to_string()).collect();
            found.sort();
            assert_eq!(found, names, "{page}");
            let pages = if page == 25 { 1 } else { 25_usize.div_ceil(page) as u64 };
            assert_eq!(blobs.usage().requests, pages, "every page is counted");
            assert!(blobs.any("q").await.unwrap() && !blobs.any("r").await.unwrap());
            assert_eq!(blobs.stat(&BlobId::parse("q1").unwrap()).await.unwrap().len, 7);
        }
    }
}
