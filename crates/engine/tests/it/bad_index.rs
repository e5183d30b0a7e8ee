//! Index blobs that are empty, cut, flipped or noise: the rest is read, and what is sure to be right works.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rekopia::{ErrorKind, Reference, Repository, Selection};
use rekopia_format::BlobId;
use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::storage::{Request, WatchedBlobs};
use rekopia_testkit::tree::Tree;

use crate::support::{open, open_at, open_blobs, quick, resolve, restore};

/// What is done to a blob.
const KINDS: [&str; 4] = ["empty", "cut", "flipped", "noise"];

fn spoil(damage: &Damaged, blob: &BlobId, kind: &str) {
    let len = std::fs::metadata(damage.path(blob)).unwrap().len();
    match kind {
        "empty" => damage.truncate(blob, 0),
        "cut" => damage.truncate(blob, len / 2),
        "flipped" => damage.flip(blob, len / 2),
        _ => {
            let noise: Vec<u8> = (0..len).map(|n| (n * 151 % 251) as u8).collect();
            damage.overwrite(blob, 0, &noise);
        }
    }
}

/// Markers of epochs and watermarks say what they say by their names.
fn index_blobs(damage: &Damaged) -> Vec<BlobId> {
    let mut blobs = [damage.blobs("xn"), damage.blobs("xs"), damage.blobs("xr")].concat();
    if blobs.is_empty() {
        blobs = [damage.blobs("n"), damage.blobs("m")].concat();
    }
    blobs
}

async fn ids(repository: &Repository) -> BTreeSet<String> {
    repository.snapshots().await.unwrap().all().iter().map(|s| s.id.to_string()).collect()
}

/// The tree of a snapshot whose entries all could be restored.
fn is_exact(fixture: &Fixture, id: &str, target: &Path) -> bool {
    let snapshot = fixture.snapshots.iter().find(|s| s.manifest_id == id).unwrap();
    fixture.expected(snapshot).is_none_or(|tree| tree.diff(&Tree::read(target), &[]).is_empty())
}

#[derive(Default)]
struct Seen {
    harmless: usize,
    by_id: usize,
    refused: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_one_index_blob() {
    let mut seen = Seen::default();
    for name in
        ["epoch-singles", "epochs", "legacy-compacted", "maintained", "volsync", "index-v2-legacy-set"]
    {
        let fixture = Fixture::load(name);
        let whole = ids(&open(&fixture).await).await;
        let dir = tempfile::tempdir().unwrap();
        let damage = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
        let blobs = index_blobs(&damage);
        assert!(!blobs.is_empty(), "{name}");
        for (n, blob) in blobs.iter().rev().take(5).enumerate() {
            let before = std::fs::read(damage.path(blob)).unwrap();
            // Each opening takes as long as a password is to be guessed.
            for kind in KINDS.into_iter().skip(if n == 0 { 0 } else { 2 }).take(if n == 0 { 4 } else { 1 }) {
                spoil(&damage, blob, kind);
                let what = format!("{name} {blob} {kind}");
                one_bad(&fixture, damage.root(), &whole, (blob, kind), dir.path(), &what, &mut seen).await;
                std::fs::write(damage.path(blob), &before).unwrap();
            }
        }
    }
    let Seen { harmless, by_id, refused } = seen;
    assert!(harmless > 5 && by_id > 5 && refused > 5, "{harmless} {by_id} {refused}");
}

async fn one_bad(
    fixture: &Fixture,
    repo: &Path,
    whole: &BTreeSet<String>,
    (blob, kind): (&BlobId, &str),
    dir: &Path,
    what: &str,
    seen: &mut Seen,
) {
    let repository = open_at(repo, &fixture.password).await.unwrap();
    let snapshots = repository.snapshots().await.unwrap();
    if snapshots.damage().is_empty() {
        assert_eq!(ids(&repository).await, *whole, "{what}: nothing is hidden, they say");
        seen.harmless += 1;
        return;
    }
    let named: Vec<String> = snapshots.damage().iter().map(|e| e.chain()).collect();
    assert!(named.iter().any(|line| line.contains(blob.as_str())), "{what}: {named:?}");
    for source in snapshots.by_source().keys() {
        let owner = format!("{}@{}", source.user, source.host);
        for text in ["latest", &owner, &source.to_string()] {
            let reference = Reference::parse(text).unwrap();
            for as_of in [None, Some(rekopia::Time::MAX)] {
                let selection = Selection::default().as_of(as_of);
                let e = repository.resolve(&reference, &selection).await.unwrap_err();
                assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Usage), "{what} {text}: {e:?}");
            }
        }
    }
    let e = resolve(&repository, "0123456789abcdef0123456789abcdef").await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt, "{what}: it may be hidden");
    if kind != "flipped" {
        return;
    }
    for snapshot in [fixture.snapshots.first(), fixture.snapshots.last()].into_iter().flatten() {
        let (id, target) = (&snapshot.manifest_id, dir.join("target"));
        match restore(&repository, id, &target, &quick()).await {
            Ok(report) => {
                assert!(report.is_complete() && is_exact(fixture, id, &target), "{what} {id}");
                std::fs::remove_dir_all(&target).unwrap();
                seen.by_id += 1;
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Corrupt, "{what} {id}: {e:?}");
                assert!(!target.exists(), "{what} {id}: the target was touched");
                seen.refused += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_index_blob_is_proven_around_before_anything_is_changed() {
    let fixture = Fixture::load("damaged-index-flipped");
    let repository = open(&fixture).await;
    assert_eq!(repository.index_damage().len(), 1);
    let dir = tempfile::tempdir().unwrap();
    let mut codes = Vec::new();
    for snapshot in &fixture.snapshots {
        let target = dir.path().join(&snapshot.manifest_id);
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("mine"), "mine").unwrap();
        let options = quick().delete_extra(true);
        match restore(&repository, &snapshot.manifest_id, &target, &options).await {
            Ok(report) => {
                assert!(report.is_complete());
                assert!(is_exact(&fixture, &snapshot.manifest_id, &target));
                codes.push(0);
            }
            Err(e) => {
                let what = std::fs::read_dir(&target).unwrap().count();
                assert_eq!((e.kind(), what), (ErrorKind::Corrupt, 1), "{e:?}");
                codes.push(14);
            }
        }
    }
    assert!(codes.contains(&14) && codes.contains(&0), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_content_that_cannot_be_read_hides_no_other() {
    let fixture = Fixture::load("volsync");
    let dir = tempfile::tempdir().unwrap();
    let damage = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    let whole = ids(&open(&fixture).await).await;
    let mut hidden = 0;
    for pack in damage.blobs("q") {
        let before = std::fs::read(damage.path(&pack)).unwrap();
        for at in (40..before.len() as u64).step_by(60) {
            damage.flip(&pack, at);
        }
        let repository = open_at(damage.root(), &fixture.password).await.unwrap();
        let snapshots = repository.snapshots().await.unwrap();
        let found = ids(&repository).await;
        if snapshots.damage().is_empty() {
            assert_eq!(found, whole);
        } else {
            hidden += 1;
            if let Some(source) = snapshots.by_source().into_keys().next() {
                let e = resolve(&repository, &source.to_string()).await.unwrap_err();
                assert_eq!(e.kind(), ErrorKind::Corrupt);
            }
            // What is listed is what it is.
            for id in &found {
                assert!(resolve(&repository, id).await.is_ok(), "{pack} {id}");
            }
        }
        std::fs::write(damage.path(&pack), &before).unwrap();
        // Each opening takes as long as a password is to be guessed.
        if hidden == 3 {
            return;
        }
    }
    panic!("{hidden} packs hide a snapshot");
}

/// Something that is no file under the name of an index blob is that blob, and cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_not_nothing() {
    use std::os::unix::fs::symlink;
    use std::process::Command;
    let dir = tempfile::tempdir().unwrap();
    for name in ["quickstart", "index-v2-legacy-set", "sharding-flat"] {
        let fixture = Fixture::load(name);
        let whole = ids(&open(&fixture).await).await;
        let damage = Damaged::copy(&fixture.repo(), &dir.path().join(name));
        let blob = index_blobs(&damage).pop().unwrap();
        let path = damage.path(&blob);
        for kind in ["folder", "pipe", "nowhere", "itself", "link to a folder", "device"] {
            if std::fs::remove_file(&path).is_err() {
                std::fs::remove_dir(&path).unwrap();
            }
            match kind {
                "folder" => std::fs::create_dir(&path).unwrap(),
                "pipe" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                "nowhere" => symlink("/nonexistent/place", &path).unwrap(),
                "itself" => symlink(&path, &path).unwrap(),
                "link to a folder" => symlink("/etc", &path).unwrap(),
                _ => symlink("/dev/zero", &path).unwrap(),
            }
            let what = format!("{name}: {kind}");
            let repository = match open_at(damage.root(), &fixture.password).await {
                Ok(repository) => repository,
                // The only one: its packs have no index.
                Err(e) => panic!("{what}: {e:?}"),
            };
            let snapshots = repository.snapshots().await.unwrap();
            assert!(!snapshots.damage().is_empty() || ids(&repository).await == whole, "{what}");
            let named: Vec<String> = repository.index_damage().iter().map(|e| e.chain()).collect();
            assert!(named.iter().any(|line| line.contains(blob.as_str())), "{what}: {named:?}");
            let e = resolve(&repository, "latest").await.unwrap_err();
            assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Usage), "{what}: {e:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_longer_than_any_index_is_not_read() {
    let fixture = Fixture::load("volsync");
    let dir = tempfile::tempdir().unwrap();
    let damage = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    let blob = index_blobs(&damage).pop().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(damage.path(&blob)).unwrap();
    file.set_len(3 << 30).unwrap();
    let repository = open_at(damage.root(), &fixture.password).await.unwrap();
    let bytes = repository.traffic().fetched_bytes;
    assert!(bytes < 10 << 20, "{bytes} bytes were read");
    let named = repository.index_damage().iter().map(|e| e.chain()).collect::<String>();
    assert!(named.contains("more than an index has"), "{named}");
}

/// Each answer of a whole restore is damaged once on its way, or each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_do_not_match_are_asked_for_once_more() {
    let fixture = Fixture::load("epochs");
    let settings = rekopia::blob::Settings::parse(fixture.repo().to_str().unwrap()).unwrap();
    let blobs = rekopia::blob::connect(&settings).await.unwrap();
    let id = &fixture.snapshots.last().unwrap().manifest_id;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let healthy = WatchedBlobs::new(Arc::clone(&blobs));
    let repository = open_blobs(healthy.clone(), &fixture.password).await.unwrap();
    restore(&repository, id, &target, &quick()).await.unwrap();
    let reads = |watched: &WatchedBlobs| {
        watched.requests().iter().filter(|request| matches!(request, Request::Read(..))).count()
    };
    let total = reads(&healthy);
    assert!(total > 5, "{total}");
    for position in 0..total {
        std::fs::remove_dir_all(&target).unwrap();
        let watched = WatchedBlobs::new(Arc::clone(&blobs));
        let (seen, hit) = (AtomicUsize::new(0), Arc::new(Mutex::new(String::new())));
        let changed = Arc::clone(&hit);
        watched.change_when(move |request, bytes| {
            if seen.fetch_add(1, Ordering::Relaxed) == position {
                *changed.lock().unwrap() = format!("{request:?}");
                bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
            }
        });
        let repository = open_blobs(watched.clone(), &fixture.password).await.unwrap();
        let report = restore(&repository, id, &target, &quick()).await.unwrap();
        let what = hit.lock().unwrap().clone();
        assert!(repository.index_damage().is_empty(), "{what}");
        assert!(report.is_complete() && is_exact(&fixture, id, &target), "{what}: {:?}", report.failures());
        let more = if what.contains("kopia.blobcfg") { 0 } else { 1 };
        assert!(reads(&watched) >= total + more, "{what} was asked for once");
    }
}
