//! The directory provider, against real directories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use rekopia_blob::provider::filesystem::FilesystemBlobs;
use rekopia_blob::{BlobErrorKind, BlobId, BlobReader};

fn repo(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.as_bytes()).unwrap();
    }
    dir
}

fn id(text: &str) -> BlobId {
    BlobId::parse(text).unwrap()
}

const PACK: &str = "p81411ac55c280560319f34a78147f19e-s656fecf95845c101147";

/// Trap 14: half-written files, layout files and leftovers are no blobs.
#[tokio::test]
async fn trap_14_only_whole_blobs_are_listed() {
    let dir = repo(&[
        "p/814/11ac55c280560319f34a78147f19e-s656fecf95845c101147.f",
        "p/814/11ac55c280560319f34a78147f19f-s656fecf95845c101147.f.tmp.0123456789abcdef",
        "kopia.repository.f",
        ".storageconfig",
        "_lo/g_1.f",
        "x/e/1.f",
    ]);
    std::fs::write(dir.path().join(".shards"), r#"{"default":[1,3],"maxNonShardedLength":20}"#).unwrap();
    let blobs = FilesystemBlobs::open(dir.path(), None).unwrap();
    let listed = async |prefix: &str| {
        let mut ids: Vec<String> =
            blobs.list(prefix).await.unwrap().iter().map(|b| b.id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(listed("p").await, [PACK]);
    assert_eq!(listed("").await, ["_log_1", "kopia.repository", PACK, "xe1"]);
    assert_eq!(listed("xe").await, ["xe1"]);
    assert_eq!(listed("q").await, Vec::<String>::new());
    assert!(blobs.any("x").await.unwrap() && !blobs.any("n").await.unwrap());
}

#[tokio::test]
async fn ranges_are_exact_and_missing_is_not_short() {
    let dir = repo(&["p/814/11ac55c280560319f34a78147f19e-s656fecf95845c101147.f"]);
    std::fs::write(dir.path().join(".shards"), r#"{"default":[1,3],"maxNonShardedLength":20}"#).unwrap();
    let blobs = FilesystemBlobs::open(dir.path(), None).unwrap();
    let read = |id: BlobId, range| {
        let blobs = &blobs;
        async move { blobs.read(&id, range, vec![9; 3]).await }
    };
    let whole = read(id(PACK), None).await.unwrap();
    assert_eq!(read(id(PACK), Some(2..5)).await.unwrap(), whole[2..5]);
    assert_eq!(read(id(PACK), Some(2..2)).await.unwrap(), b"");
    let short = read(id(PACK), Some(2..1000)).await.unwrap_err();
    assert_eq!(short.kind(), BlobErrorKind::Truncated);
    let missing = read(id("p00000000000000000000000000000000-s0"), Some(0..1)).await.unwrap_err();
    assert!(missing.is_not_found());
    assert_eq!(blobs.stat(&id(PACK)).await.unwrap().len, whole.len() as u64);
}

/// A lost layout file is not the end: the folders show the layout.
#[tokio::test]
async fn a_lost_layout_is_seen() {
    for file in [
        "p/814/11ac55c280560319f34a78147f19e-s656fecf95845c101147.f",
        "p81411ac55c280560319f34a78147f19e-s656fecf95845c101147.f",
        "p8/141/1ac55c280560319f34a78147f19e-s656fecf95845c101147.f",
        "p81/411/ac55c280560319f34a78147f19e-s656fecf95845c101147.f",
    ] {
        for broken in [false, true] {
            let dir = repo(&[file, "kopia.repository.f"]);
            if broken {
                std::fs::write(dir.path().join(".shards"), "{ what").unwrap();
            }
            let blobs = FilesystemBlobs::open(dir.path(), None).unwrap();
            assert!(blobs.read(&id(PACK), None, Vec::new()).await.is_ok(), "{file} {broken}");
            assert!(!dir.path().join(".shards").exists() || broken, "nothing is written");
        }
    }
    let nothing = repo(&[]);
    std::fs::write(nothing.path().join(".shards"), "{ what").unwrap();
    assert_eq!(FilesystemBlobs::open(nothing.path(), None).unwrap_err().kind(), BlobErrorKind::Damaged);
}
