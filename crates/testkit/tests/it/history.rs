//! Index sets of all kinds.

use rekopia_testkit::corpus::{deep_history, many_indexes};
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{IndexBlobKind, NewSnapshot, PolicyTarget, RepositoryWriter, WriterOptions};

use crate::support::{in_memory, open, restore, snapshots, source};

fn count(blobs: &MemoryBlobs, prefix: &str) -> usize {
    blobs.blobs.lock().unwrap().keys().filter(|name| name.starts_with(prefix)).count()
}

/// Writes a snapshot of one file with this text, and flushes.
fn snapshot(writer: &mut RepositoryWriter, text: &str) -> rekopia::ManifestId {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), text).unwrap();
    writer.set_now(writer.now() + 60);
    let root = writer.put_tree(dir.path()).unwrap();
    let id =
        writer.put_snapshot(&NewSnapshot::new(source("/data"), writer.now() * 1_000_000_000, root)).unwrap();
    writer.flush().unwrap();
    id
}

async fn restores(blobs: &MemoryBlobs, ids: &[rekopia::ManifestId]) {
    let repository = open(blobs).await;
    let dir = tempfile::tempdir().unwrap();
    for (number, id) in ids.iter().enumerate() {
        let target = dir.path().join(number.to_string());
        restore(&repository, id.as_str(), &target).await;
        assert_eq!(std::fs::read_to_string(target.join("file")).unwrap(), format!("text {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_with_singles_and_ranges() {
    let (blobs, mut writer) = in_memory(WriterOptions::default());
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(snapshot(&mut writer, &format!("text {number}")));
        if number % 2 == 1 {
            writer.advance_epoch().unwrap();
        }
    }
    assert_eq!((count(&blobs, "xe"), count(&blobs, "xn")), (6, 12));
    writer.compact_epoch(2).unwrap();
    writer.compact_epoch(3).unwrap();
    restores(&blobs, &ids).await;
    writer.delete_superseded(2, 3).unwrap();
    assert_eq!((count(&blobs, "xs"), count(&blobs, "xn")), (2, 8));
    restores(&blobs, &ids).await;
    writer.compact_range(0, 3).unwrap();
    writer.delete_superseded(0, 1).unwrap();
    assert_eq!((count(&blobs, "xr0_3_"), count(&blobs, "xn")), (1, 4));
    restores(&blobs, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_in_several_blobs() {
    let (blobs, mut writer) = in_memory(WriterOptions::default());
    let ids = [snapshot(&mut writer, "text 0"), snapshot(&mut writer, "text 1")];
    writer.advance_epoch().unwrap();
    writer.advance_epoch().unwrap();
    let entries = writer.entries();
    let set = writer.put_index(IndexBlobKind::Single(0), entries, 3).unwrap();
    assert!(set.len() == 3 && set.iter().all(|blob| blob.as_str().ends_with("-c3")), "{set:?}");
    writer.delete_superseded(0, 0).unwrap();
    restores(&blobs, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_compaction() {
    let (blobs, mut writer) = in_memory(WriterOptions::of_version(1));
    let ids: Vec<_> = (0..5).map(|number| snapshot(&mut writer, &format!("text {number}"))).collect();
    let inputs = writer.compact_legacy(None).unwrap();
    assert_eq!((inputs.len(), count(&blobs, "n"), count(&blobs, "m")), (5, 6, 1));
    restores(&blobs, &ids).await;
    inputs.iter().for_each(|blob| writer.delete_blob(blob).unwrap());
    assert_eq!(count(&blobs, "n"), 1);
    restores(&blobs, &ids).await;
    let deleted = writer.entries().iter().find(|e| e.id.prefix() == b'm').unwrap().id;
    writer.delete_content(&deleted).unwrap();
    writer.flush().unwrap();
    writer.compact_legacy(Some(writer.now())).unwrap();
    assert_eq!(snapshots(&open(&blobs).await).await.len(), 4);
}

/// Deleted contents stay readable until the watermark passes them.
#[tokio::test(flavor = "multi_thread")]
async fn watermarks_end_deleted_contents() {
    let (blobs, mut writer) = in_memory(WriterOptions::default());
    let id = snapshot(&mut writer, "text 0");
    let data = writer.entries().iter().find(|e| e.id.prefix() == 0).unwrap().id;
    writer.delete_content(&data).unwrap();
    writer.flush().unwrap();
    restores(&blobs, std::slice::from_ref(&id)).await;
    writer.put_watermark(writer.now() - 1).unwrap();
    restores(&blobs, std::slice::from_ref(&id)).await;
    writer.put_watermark(writer.now() + 1).unwrap();
    let repository = open(&blobs).await;
    let all = snapshots(&repository).await;
    assert_eq!(all.len(), 1);
    assert_eq!(repository.info().contents, 2, "directory and manifest, but no data");
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_and_other_manifests() {
    let (blobs, mut writer) = in_memory(WriterOptions::default());
    let ids: Vec<_> = (0..3).map(|number| snapshot(&mut writer, &format!("text {number}"))).collect();
    let policy =
        serde_json::json!({ "retention": { "keepLatest": 3 }, "compression": { "compressorName": "zstd" } });
    for target in [
        PolicyTarget::Global,
        PolicyTarget::Host("media".into()),
        PolicyTarget::User("app".into(), "media".into()),
        PolicyTarget::Path(source("/data")),
    ] {
        writer.put_policy(&target, policy.clone()).unwrap();
    }
    writer.delete_manifest(&ids[1]);
    writer.flush().unwrap();
    let left: Vec<_> = snapshots(&open(&blobs).await).await.into_iter().map(|s| s.id).collect();
    assert_eq!(left, [ids[0].clone(), ids[2].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn corpora_of_many_indexes_and_snapshots() {
    let (blobs, mut writer) = in_memory(WriterOptions::default());
    let ids = many_indexes(&mut writer, 30, 1).unwrap();
    assert_eq!(count(&blobs, "xn0_"), 30);
    let repository = open(&blobs).await;
    assert_eq!(repository.info().index_blobs, 30);
    assert_eq!(snapshots(&repository).await.len(), ids.len());

    for options in [WriterOptions::default(), WriterOptions::of_version(1)] {
        let (blobs, mut writer) = in_memory(options);
        let ids = deep_history(&mut writer, 65, 100, 1).unwrap();
        let repository = open(&blobs).await;
        assert_eq!(snapshots(&repository).await.len(), 65);
        let dir = tempfile::tempdir().unwrap();
        let restored: Vec<Tree> = vec![
            restore(&repository, ids[0].as_str(), &dir.path().join("first")).await,
            restore(&repository, ids[64].as_str(), &dir.path().join("last")).await,
        ];
        assert!(restored.iter().all(|tree| tree.entries.len() == 106));
        assert_ne!(restored[0], restored[1]);
    }
}
