//! A stored file by tokio's traits, and a repository that is looked at again.

use std::io::SeekFrom;
use std::sync::Arc;

use rekopia::{ErrorKind, VerifyOptions};
use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::Fixture;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::set::{Daily, options};
use crate::support::{open, open_at, open_blobs, resolve, verify};

#[tokio::test]
async fn reads_in_order_and_from_anywhere_what_chunks_give() {
    for name in ["quickstart", "ecc-020", "format-v1"] {
        let fixture = Fixture::load(name);
        let repository = open(&fixture).await;
        for snapshot in repository.snapshots().await.unwrap().all() {
            let Some(root) = &snapshot.root else { continue };
            let mut files = Vec::new();
            repository.for_each_entry(root, |entry| files.extend(entry.object)).await.unwrap();
            for object in files {
                let mut chunks = repository.open_object(&object).await.unwrap();
                let mut whole = Vec::new();
                while let Some(chunk) = chunks.next_chunk().await.unwrap() {
                    whole.extend(chunk);
                }
                let mut file = repository.open_object(&object).await.unwrap().into_async_read();
                assert_eq!(file.len(), whole.len() as u64);
                let mut read = Vec::new();
                file.read_to_end(&mut read).await.unwrap();
                assert_eq!(read, whole, "{name} {object}");
                // Backwards, across the chunks, and beyond the end.
                for at in [whole.len() / 2, whole.len().saturating_sub(1), 0, whole.len() + 7] {
                    assert_eq!(file.seek(SeekFrom::Start(at as u64)).await.unwrap(), at as u64);
                    read.clear();
                    file.read_to_end(&mut read).await.unwrap();
                    assert_eq!(read, whole.get(at..).unwrap_or_default(), "{name} {object} from {at}");
                }
                file.seek(SeekFrom::End(-(whole.len().min(3) as i64))).await.unwrap();
                read.clear();
                file.read_to_end(&mut read).await.unwrap();
                assert_eq!(read, whole[whole.len() - whole.len().min(3)..]);
                assert!(file.seek(SeekFrom::Start(0)).await.is_ok());
                assert!(file.seek(SeekFrom::Current(-1)).await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn damage_is_invalid_data_and_the_error_is_its_source() {
    let fixture = Fixture::load("deep-indirect");
    let dir = tempfile::tempdir().unwrap();
    let damaged = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    let repository = open_at(damaged.root(), &fixture.password).await.unwrap();
    let from = resolve(&repository, "latest").await.unwrap();
    let mut files = Vec::new();
    repository.for_each_entry(&from.entry, |entry| files.extend(entry.object)).await.unwrap();
    let object = files.iter().find(|object| object.indirection() > 0).unwrap();
    let mut file = repository.open_object(object).await.unwrap().into_async_read();
    damaged.blobs("p").iter().for_each(|pack| damaged.delete(pack));
    let e = file.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::InvalidData, "{e}");
    let source = e.get_ref().unwrap().downcast_ref::<rekopia::Error>().unwrap();
    assert_eq!(source.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_refreshed_repository_has_what_was_taken_since() {
    let mut daily = Daily::new(options());
    daily.add("a", 3);
    daily.snapshot();
    let blobs = Arc::new(daily.memory.clone());
    let repository = open_blobs(blobs, "test-password").await.unwrap();
    assert_eq!(repository.snapshots().await.unwrap().all().len(), 1);
    daily.add("b", 3);
    daily.snapshot();
    assert_eq!(repository.snapshots().await.unwrap().all().len(), 1, "as of the last look");
    repository.refresh().await.unwrap();
    assert_eq!(repository.snapshots().await.unwrap().all().len(), 2);
    let whole = verify(&repository, "latest", &VerifyOptions::default()).await.unwrap();
    assert!(whole.is_complete() && whole.files == 6, "{whole:?}");
}
