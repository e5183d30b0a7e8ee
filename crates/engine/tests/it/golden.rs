//! Every genuine repository restores exactly.

use std::path::Path;

use rekopia::{ErrorKind, Report, Repository};
use rekopia_testkit::fixture::{Fixture, FixtureSnapshot};
use rekopia_testkit::tree::Tree;

use crate::support::{open, open_at, quick, restore, verify};

/// Owners can only be given by root; elsewhere they are not compared.
fn comparable(mut tree: Tree) -> Tree {
    if !rustix::process::geteuid().is_root() {
        for entry in tree.entries.values_mut() {
            (entry.uid, entry.gid) = (0, 0);
        }
    }
    tree
}

async fn check(
    repository: &Repository,
    fixture: &Fixture,
    snapshot: &FixtureSnapshot,
    root: &Path,
) -> Vec<String> {
    let name = format!("{} {}", fixture.name, snapshot.manifest_id);
    let target = root.join(&snapshot.manifest_id);
    let expected = fixture.expected(snapshot);
    let failures = snapshot.expect_failures.clone().unwrap_or_default();
    let report: Report = match restore(repository, &snapshot.manifest_id, &target, &quick()).await {
        Ok(report) => report,
        // A lost manifest or an unreadable root: nothing can be restored, and nothing is touched. So it may be after a bad
        // index blob, which Kopia does not open at all.
        Err(e)
            if (snapshot.expect_error || fixture.expect_open_error)
                && matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) =>
        {
            return if target.exists() {
                vec![format!("{name}: the target was touched: {e:?}")]
            } else {
                Vec::new()
            };
        }
        Err(e) => return vec![format!("{name}: {e:?}")],
    };
    let mut wrong = Vec::new();
    let Some(expected) = expected else { return wrong };
    let diff = comparable(expected.clone()).diff(&comparable(Tree::read(&target)), &failures);
    if !diff.is_empty() {
        wrong.push(format!("{name}:\n{diff}"));
    }
    // Each failed entry is named, and nothing else is.
    for failed in &failures {
        let named = report
            .failures()
            .iter()
            .any(|f| f.path == *failed || failed.starts_with(&format!("{}/", f.path)));
        if !named {
            wrong.push(format!("{name}: {failed} failed, but is not reported"));
        }
    }
    for reported in report.failures() {
        if !failures.contains(&reported.path) {
            wrong.push(format!("{name}: {} is reported, but is whole: {}", reported.path, reported.message));
        }
    }
    if report.is_complete() != failures.is_empty() {
        wrong.push(format!("{name}: complete is {}", report.is_complete()));
    }
    wrong
}

/// Keys and decoders run on the blocking pool, so fixtures can be checked side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fixture_restores_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for fixture in Fixture::all() {
        let repository = match open_at(&fixture.repo(), &fixture.password).await {
            Ok(repository) => repository,
            Err(_) if fixture.expect_open_error => continue,
            Err(e) => panic!("{}: {e:?}", fixture.name),
        };
        let root = dir.path().join(&fixture.name);
        std::fs::create_dir(&root).unwrap();
        for snapshot in &fixture.snapshots {
            wrong.extend(check(&repository, &fixture, snapshot, &root).await);
            checked += 1;
        }
        let _ = std::fs::remove_dir_all(&root);
    }
    assert!(checked >= 250, "only {checked} snapshots were checked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fixtures_that_must_be_refused_are_refused_for_the_right_reason() {
    for (name, kind) in [
        ("damaged-format-empty", ErrorKind::Corrupt),
        ("damaged-format-flipped", ErrorKind::InvalidPassword),
        ("damaged-format-missing", ErrorKind::Corrupt),
        ("damaged-format-truncated", ErrorKind::Corrupt),
        ("required-feature-unknown", ErrorKind::UnsupportedFormat),
        ("upgrade-locked", ErrorKind::Locked),
    ] {
        let fixture = Fixture::load(name);
        let error = open_at(&fixture.repo(), &fixture.password).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
    }
    let fixture = Fixture::load("damaged-none-wrong-password");
    let wrong = fixture.wrong_password.clone().unwrap();
    assert_eq!(open_at(&fixture.repo(), &wrong).await.unwrap_err().kind(), ErrorKind::InvalidPassword);
}

/// What Kopia refuses but can be read all the same: lost or broken `.shards`, unreadable `kopia.blobcfg`, LZ4, and
/// the ciphers that were dropped. Their trees are compared by the test of all fixtures.
#[tokio::test(flavor = "multi_thread")]
async fn some_are_read_though_kopia_refuses() {
    for name in [
        "damaged-blobcfg-flipped",
        "damaged-blobcfg-missing",
        "damaged-shards-broken",
        "damaged-shards-missing",
        "old-cipher-aes-256-ctr",
        "old-cipher-none",
        "old-cipher-salsa20-hmac",
        "compress-lz4",
    ] {
        let fixture = Fixture::load(name);
        let repository = open(&fixture).await;
        assert!(!repository.snapshots().await.unwrap().all().is_empty(), "{name}");
    }
}

async fn verified(name: &str) -> Report {
    let fixture = Fixture::load(name);
    let repository = open(&fixture).await;
    let snapshot = fixture.snapshots.last().unwrap();
    let options = rekopia::VerifyOptions::default().hash(true);
    verify(&repository, &snapshot.manifest_id, &options).await.unwrap()
}

/// Traps 10, 27, 30, 39: error correction around the encryption, hashes of compressed objects, manifests that are gzip
/// inside, files of many keyed pieces. Every content is hashed again and must have its own name.
#[tokio::test(flavor = "multi_thread")]
async fn trap_10_27_30_39_every_content_hashes_to_its_name() {
    for name in ["ecc-020", "format-v1", "old-0.8.4-comp", "upgraded-v1-to-v3", "deep-indirect", "compress"] {
        let report = verified(name).await;
        assert!(report.is_complete() && report.files > 0, "{name}: {:?}", report.failures);
    }
}

/// Trap 37: a directory has a time of its own, which is not that of its newest entry.
#[tokio::test(flavor = "multi_thread")]
async fn trap_37_directories_get_their_own_time() {
    let fixture = Fixture::load("quickstart");
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    restore(&repository, "latest", &target, &quick()).await.unwrap();
    let restored = Tree::read(&target);
    let below = |path: &str| {
        let inside = restored.entries.iter().filter(|(p, _)| p.starts_with(&format!("{path}/")));
        inside.filter_map(|(_, e)| e.mtime_ns).max()
    };
    let expected = fixture.expected(&fixture.snapshots[2]).unwrap();
    let mut differ = 0;
    for (path, entry) in expected.entries.iter().filter(|(path, e)| e.kind == 'd' && !path.is_empty()) {
        assert_eq!(restored.entries[path].mtime_ns, entry.mtime_ns, "{path}");
        differ += usize::from(below(path).is_some_and(|newest| Some(newest) != entry.mtime_ns));
    }
    assert!(differ > 0, "the repository shows the difference");
}
