//! Trees that would never end, and totals that lie: bounded in time, named, and nothing else is lost.

use std::sync::Arc;
use std::time::Duration;

use rekopia::{ContentId, ErrorKind, OnError, VerifyOptions};
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::writer::{
    DirectoryWriter, Entry, Metadata, NewSnapshot, RepositoryWriter, WriterOptions,
};

use crate::support::{open_blobs, quick, restore, verify};

const METADATA: Metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime_ns: 1_700_000_000_000_000_000 };

/// A repository whose root holds a good file and what `change` adds.
fn made(change: impl FnOnce(&mut RepositoryWriter, &mut DirectoryWriter)) -> MemoryBlobs {
    let memory = MemoryBlobs::default();
    let mut w = RepositoryWriter::create(memory.clone(), WriterOptions::default()).unwrap();
    let mut root = DirectoryWriter::new(&w);
    let file: Entry<'_> = w.put_file(b"good".to_vec(), METADATA, b"the bytes").unwrap();
    root.add(&mut w, &file).unwrap();
    change(&mut w, &mut root);
    let root = root.finish(&mut w, b"p", METADATA).unwrap();
    let source = rekopia::Source { user: "u".into(), host: "h".into(), path: "/p".into() };
    let start_ns = w.now() * 1_000_000_000;
    w.put_snapshot(&NewSnapshot::new(source, start_ns, root)).unwrap();
    w.flush().unwrap();
    memory
}

/// The JSON of a directory entry that leads to `object`.
fn leads_to(name: &str, object: &str) -> String {
    format!(r#"{{"name":"{name}","type":"d","mode":"0755","mtime":"2026-01-01T00:00:00Z","obj":"{object}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_inside_themselves_are_named_and_the_rest_is_restored() {
    // One that holds itself, two that hold each other, and one that is there twice, which is no circle.
    let memory = made(|w, root| {
        let id = |n: u8| ContentId::parse(&format!("k{}", format!("{n:02x}").repeat(16))).unwrap();
        let listing =
            |entries: &str| format!(r#"{{"stream":"kopia:directory","entries":[{entries}],"summary":null}}"#);
        let bodies = [
            (1, leads_to("again", &id(1).to_string())),
            (2, leads_to("other", &id(3).to_string())),
            (3, leads_to("one", &id(2).to_string())),
            (4, String::new()),
        ];
        let now = w.now();
        for (n, body) in bodies {
            w.put_false_content(id(n), listing(&body).as_bytes(), now).unwrap();
        }
        for (name, n) in [("circle", 1), ("ring", 2), ("twin-a", 4), ("twin-b", 4)] {
            root.add_raw(w, leads_to(name, &id(n).to_string()).as_bytes()).unwrap();
        }
    });
    let repository = open_blobs(Arc::new(memory), "test-password").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let options = quick();
    let restoring = restore(&repository, "latest", &target, &options);
    let report = tokio::time::timeout(Duration::from_secs(60), restoring).await.unwrap().unwrap();
    let mut named: Vec<(&str, ErrorKind)> = report.failures().iter().map(|f| (&*f.path, f.kind)).collect();
    named.sort_unstable_by_key(|(path, _)| *path);
    assert_eq!(named, [("circle/again", ErrorKind::Corrupt), ("ring/other/one", ErrorKind::Corrupt)]);
    assert!(report.failures()[0].message.contains("inside itself"), "{report:?}");
    assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete));
    assert_eq!(std::fs::read(target.join("good")).unwrap(), b"the bytes");
    assert!(target.join("twin-a").is_dir() && target.join("twin-b").is_dir());

    let stop = quick().on_error(OnError::Stop);
    let stopped = restore(&repository, "latest", &dir.path().join("stop"), &stop).await;
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Corrupt);
    let verified = verify(&repository, "latest", &VerifyOptions::default()).await.unwrap();
    assert_eq!((verified.failed, verified.exit_kind()), (2, Some(ErrorKind::Corrupt)));
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_that_lie_cost_nothing() {
    for size in [1_000_000_000_000_000_000, i64::MAX as u64] {
        let memory = made(|_, root| {
            let summary = root.summary_mut();
            (summary.size, summary.files, summary.dirs) = (size, size, size);
        });
        let repository = open_blobs(Arc::new(memory), "test-password").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let dry =
            restore(&repository, "latest", &dir.path().join("t"), &quick().dry_run(true)).await.unwrap();
        assert_eq!(dry.exit_kind(), None, "{dry:?}");
        let report = restore(&repository, "latest", &dir.path().join("t"), &quick()).await.unwrap();
        assert_eq!((report.files, report.bytes, report.exit_kind()), (1, 9, None), "{report:?}");
    }
}
