//! What damage hides is found: lost index blobs, lost format blobs, packs under another name.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rekopia::blob::{BlobErrorKind, Settings, connect};
use rekopia::{BlobId, ErrorKind, OpenOptions, Password, Reference, Repository, Result, Selection, Silent};
use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::{Fixture, FixtureSnapshot};
use rekopia_testkit::storage::{Request, WatchedBlobs};
use rekopia_testkit::tree::Tree;

use crate::support::{is_of_its_own, open, open_at, quick, restore};

async fn salvage(repo: &Path, password: &str, format_blob: Option<Vec<u8>>) -> Result<Repository> {
    let blobs = connect(&Settings::parse(repo.to_str().unwrap()).unwrap()).await.unwrap();
    let options = OpenOptions::default().salvage(true).format_blob(format_blob);
    Repository::open(blobs, &Password::new(password), &options, Arc::new(Silent)).await
}

async fn ids(repository: &Repository) -> BTreeSet<String> {
    repository.snapshots().await.unwrap().all().iter().map(|s| s.id.to_string()).collect()
}

fn lose_index(damage: &Damaged) {
    for prefix in ["x", "n", "m", "l"] {
        damage.blobs(prefix).iter().for_each(|blob| damage.delete(blob));
    }
}

/// How the restored tree differs from what it has to be.
async fn difference(
    repository: &Repository,
    fixture: &Fixture,
    snapshot: &FixtureSnapshot,
    target: &Path,
) -> Option<String> {
    let failures = snapshot.expect_failures.clone().unwrap_or_default();
    let restored = restore(repository, &snapshot.manifest_id, target, &quick()).await;
    let tree = fixture.expected(snapshot)?;
    if let Err(e) = restored {
        return (!snapshot.expect_error).then(|| format!("{e:?}"));
    }
    let diff = tree.diff(&Tree::read(target), &failures);
    let _ = std::fs::remove_dir_all(target);
    (!diff.is_empty()).then(|| diff.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_index_blob_every_snapshot_is_listed_and_restored_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for fixture in Fixture::all() {
        // Where blobs are is not known there, neither to us nor to this test.
        if fixture.name.starts_with("damaged-shards") || !is_of_its_own(&fixture) {
            continue;
        }
        let Ok(whole) = open_at(&fixture.repo(), &fixture.password).await else { continue };
        let listed = ids(&whole).await;
        let root = dir.path().join(&fixture.name);
        let damage = Damaged::copy(&fixture.repo(), &root.join("repo"));
        lose_index(&damage);
        let repository = match salvage(damage.root(), &fixture.password, None).await {
            Ok(repository) => repository,
            Err(e) => {
                wrong.push(format!("{}: {e:?}", fixture.name));
                continue;
            }
        };
        let found = ids(&repository).await;
        let lost = Vec::from_iter(listed.difference(&found));
        if !lost.is_empty() && !fixture.name.starts_with("damaged") {
            wrong.push(format!("{}: {lost:?} are not listed", fixture.name));
        }
        // What is expected there is what is left without salvage.
        let is_damaged = fixture.name.starts_with("damaged") || fixture.name.starts_with("ecc-damaged");
        for snapshot in fixture.snapshots.iter().filter(|s| !is_damaged && found.contains(&s.manifest_id)) {
            checked += 1;
            let target = root.join(&snapshot.manifest_id);
            if let Some(diff) = difference(&repository, &fixture, snapshot, &target).await {
                wrong.push(format!("{} {}: {diff}", fixture.name, snapshot.manifest_id));
            }
        }
        let _ = std::fs::remove_dir_all(&root);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 90, "{checked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_format_blob_is_found_in_the_packs_or_taken_from_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (mut replicas, mut none) = (0, 0);
    for name in ["format-v1", "format-v2", "format-v3", "old-0.8.4", "old-0.10.7", "upgraded-v1-to-v3"] {
        let fixture = Fixture::load(name);
        let listed = ids(&open(&fixture).await).await;
        let damage = Damaged::copy(&fixture.repo(), &dir.path().join(name));
        let format = damage.blobs("kopia.repository").remove(0);
        let copy = std::fs::read(damage.path(&format)).unwrap();
        for spoil in ["missing", "empty", "flipped"] {
            match spoil {
                "missing" => damage.delete(&format),
                "empty" => std::fs::write(damage.path(&format), b"").unwrap(),
                _ => {
                    let mut flipped = copy.clone();
                    flipped[copy.len() / 2] ^= 1;
                    std::fs::write(damage.path(&format), flipped).unwrap();
                }
            }
            match salvage(damage.root(), &fixture.password, None).await {
                Ok(repository) => {
                    assert_eq!(ids(&repository).await, listed, "{name} {spoil}");
                    replicas += 1;
                }
                Err(e) => {
                    none += 1;
                    let wanted = [ErrorKind::Corrupt, ErrorKind::InvalidPassword];
                    assert!(wanted.contains(&e.kind()), "{name} {spoil}: {e:?}");
                    if spoil == "missing" {
                        assert!(e.chain().contains("can be given instead"), "{e:?}");
                    }
                    let given = salvage(damage.root(), &fixture.password, Some(copy.clone())).await.unwrap();
                    assert_eq!(ids(&given).await, listed, "{name} {spoil}");
                }
            }
        }
    }
    assert!(replicas >= 3 && none >= 3, "{replicas} {none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packs_that_changed_places_are_read_where_they_are() {
    let fixture = Fixture::load("damaged-packs-swapped");
    let repository = salvage(&fixture.repo(), &fixture.password, None).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    for snapshot in &fixture.snapshots {
        let target = dir.path().join(&snapshot.manifest_id);
        let report = restore(&repository, &snapshot.manifest_id, &target, &quick()).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures());
        let diff = fixture.expected(snapshot).unwrap().diff(&Tree::read(&target), &[]);
        assert!(diff.is_empty(), "{diff}");
    }
}

/// An index blob that cannot be read, and no pack of its session: what it named is lost, and that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_lost_altogether_is_named() {
    let fixture = Fixture::load("volsync");
    let dir = tempfile::tempdir().unwrap();
    let damage = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    let whole = ids(&open(&fixture).await).await;
    let session =
        |blob: &BlobId| blob.as_str().split("-s").nth(1).unwrap().split('-').next().unwrap().to_owned();
    let (mut lost, mut named) = (0, 0);
    for blob in damage.blobs("xn").into_iter().step_by(4) {
        let packs =
            Vec::from_iter(damage.blobs("q").into_iter().filter(|pack| session(pack) == session(&blob)));
        let kept = Vec::from_iter(packs.iter().map(|pack| std::fs::read(damage.path(pack)).unwrap()));
        packs.iter().for_each(|pack| damage.delete(pack));
        damage.flip(&blob, 40);
        let repository = salvage(damage.root(), &fixture.password, None).await.unwrap();
        for id in whole.difference(&ids(&repository).await) {
            lost += 1;
            assert!(repository.lost_sessions().contains(&blob), "{:?}", repository.lost_sessions());
            let asked = repository.resolve(&Reference::parse(id).unwrap(), &Selection::default()).await;
            assert_eq!(asked.unwrap_err().kind(), ErrorKind::Corrupt);
        }
        named += repository.lost_sessions().len();
        damage.flip(&blob, 40);
        packs.iter().zip(kept).for_each(|(pack, bytes)| std::fs::write(damage.path(pack), bytes).unwrap());
    }
    assert!(lost > 0 && named > 0, "{lost} {named}");
    assert!(salvage(damage.root(), &fixture.password, None).await.unwrap().lost_sessions().is_empty());
}

/// A sector of a disk that is dying, a file that nobody may read: as good as lost, as long as the storage answers at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_storage_does_not_give_is_made_up_for() {
    let fixture = Fixture::load("volsync");
    let listed = ids(&open(&fixture).await).await;
    let options = OpenOptions::default().salvage(true);
    let open_with = async |kind: BlobErrorKind, refused: &'static [&'static str]| {
        let inner = connect(&Settings::parse(fixture.repo().to_str().unwrap()).unwrap()).await.unwrap();
        let blobs = WatchedBlobs::new(inner);
        blobs.fail_when(move |request| {
            let Request::Read(id, _) = request else { return None };
            refused.iter().any(|blob| id.starts_with(blob)).then_some(kind)
        });
        Repository::open(blobs, &Password::new(&*fixture.password), &options, Arc::new(Silent)).await
    };
    for kind in [BlobErrorKind::Denied, BlobErrorKind::Unavailable] {
        let repository = open_with(kind, &["xn"]).await.unwrap();
        assert_eq!(ids(&repository).await, listed, "{kind:?}");
        // Half of the metadata packs: the rest is listed, and what is hidden is named.
        let repository = open_with(kind, &["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7"]).await.unwrap();
        let snapshots = repository.snapshots().await.unwrap();
        let left = snapshots.all().len();
        assert!(
            left > 0 && left < listed.len(),
            "{kind:?}: {left} of {}: {:?}",
            listed.len(),
            snapshots.damage()
        );
        assert!(snapshots.damage().iter().any(|e| e.chain().contains("pack q")), "{:?}", snapshots.damage());
        // A storage that gives nothing is not damaged.
        let e = open_with(kind, &["p", "q", "x"]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Storage, "{e:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scan_has_read_is_not_read_again() {
    let fixture = Fixture::load("volsync");
    let dir = tempfile::tempdir().unwrap();
    let damage = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    lose_index(&damage);
    let packs = damage.blobs("p").len() + damage.blobs("q").len();
    let kept = dir.path().join("kept");
    let listed = ids(&open(&fixture).await).await;
    let requests = async || {
        let blobs = connect(&Settings::parse(damage.root().to_str().unwrap()).unwrap()).await.unwrap();
        let options = OpenOptions::default().salvage(true).salvage_index(Some(kept.clone()));
        let opened = Repository::open(blobs, &Password::new(&*fixture.password), &options, Arc::new(Silent))
            .await
            .unwrap();
        let requests = opened.traffic().requests;
        assert_eq!(ids(&opened).await, listed);
        requests
    };
    let first = requests().await;
    let second = requests().await;
    assert_eq!(first - second, packs as u64, "{first} {second}");
    // What is broken in the file, and what is behind it, is read from the packs.
    let mut bytes = std::fs::read(&kept).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&kept, &bytes).unwrap();
    let third = requests().await;
    assert!(third > second && third < first, "{first} {second} {third}");
    assert_eq!(requests().await, second);
    // A pack that is new is read, and a file of another repository is left alone.
    bytes.truncate(bytes.len() - 10);
    std::fs::write(&kept, &bytes).unwrap();
    assert!(requests().await > second);
    let other = Fixture::load("quickstart");
    let blobs = connect(&Settings::parse(other.repo().to_str().unwrap()).unwrap()).await.unwrap();
    let options = OpenOptions::default().salvage(true).salvage_index(Some(kept.clone()));
    let e = Repository::open(blobs, &Password::new(&*other.password), &options, Arc::new(Silent))
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Usage, "{e:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&kept).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_and_is_in_no_index_is_damage() {
    let fixture = Fixture::load("volsync");
    let dir = tempfile::tempdir().unwrap();
    let damage = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    let whole = open(&fixture).await;
    let newest = whole.snapshots().await.unwrap();
    let newest = newest.all().iter().max_by_key(|s| s.start.unix_nanos()).unwrap().clone();
    // The index blob of the newest backup is lost.
    let blobs = damage.blobs("xn");
    let mut hidden = None;
    for blob in &blobs {
        let bytes = std::fs::read(damage.path(blob)).unwrap();
        damage.delete(blob);
        match open_at(damage.root(), &fixture.password).await {
            Ok(repository) if !ids(&repository).await.contains(newest.id.as_str()) => {
                hidden = Some(repository);
                break;
            }
            _ => std::fs::write(damage.path(blob), bytes).unwrap(),
        }
    }
    let repository = hidden.expect("one of the index blobs names the newest manifest");
    let ask = |text: String| {
        let repository = &repository;
        async move { repository.resolve(&Reference::parse(&text).unwrap(), &Selection::default()).await }
    };
    let e = ask(newest.id.to_string()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt, "{e:?}");
    assert!(e.chain().contains("salvage reads") && e.chain().contains("in no index"), "{e:?}");
    let e = ask("0123456789abcdef0123456789abcdef".to_owned()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e:?}");
    assert!(e.chain().contains("in none of them"), "{e:?}");
    let salvaged = salvage(damage.root(), &fixture.password, None).await.unwrap();
    let snapshots = salvaged.snapshots().await.unwrap();
    let found = snapshots.all().iter().find(|s| s.id == newest.id).unwrap();
    assert!(snapshots.is_salvaged(found));
    let resolved = salvaged
        .resolve(&Reference::parse(&newest.source.to_string()).unwrap(), &Selection::default())
        .await
        .unwrap();
    assert_eq!(resolved.snapshot.unwrap().id, newest.id);
}
