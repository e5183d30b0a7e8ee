//! The directory provider, against real directories.

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

/// What is no file is never waited for: a pipe, a socket, a device, a folder of that name, a link to nothing. Only what
/// nothing but a blob is called by is listed all the same: it is there, and cannot be read.
#[tokio::test]
async fn what_is_no_file_is_never_waited_for() {
    use std::os::unix::fs::symlink;

    let dir = repo(&["kopia.blobcfg.f", "x/e/1.f"]);
    let at = |name: &str| dir.path().join(name);
    let fifo = |name: &str| {
        rustix::fs::mkfifoat(rustix::fs::CWD, at(name), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .unwrap();
    };
    fifo("kopia.repository.f");
    fifo("xe2.f");
    symlink(at("xe2.f"), at("xe3.f")).unwrap();
    symlink("/dev/zero", at("xe4.f")).unwrap();
    symlink("/dev/tty", at("xe5.f")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("xe6.f")).unwrap();
    symlink(at("nowhere"), at("xe7.f")).unwrap();
    std::fs::create_dir(at("xe8.f")).unwrap();
    std::fs::create_dir_all(at("p/814")).unwrap();
    std::fs::create_dir_all(at("q/814")).unwrap();
    fifo("p/814/11ac55c280560319f34a78147f19e-s656fecf95845c101147.f");
    std::fs::create_dir(at("q/814/11ac55c280560319f34a78147f19e-s656fecf95845c101147.f")).unwrap();
    let whole = [PACK.to_owned(), PACK.replacen('p', "q", 1)];
    let blobs = FilesystemBlobs::open(dir.path(), None).unwrap();
    let asked = async {
        let short = ["kopia.repository", "xe2", "xe3", "xe4", "xe5", "xe6", "xe7", "xe8"];
        for name in short.into_iter().chain(whole.iter().map(String::as_str)) {
            for range in [None, Some(0..1)] {
                let error = blobs.read(&id(name), range, Vec::new()).await.unwrap_err();
                assert_eq!(error.kind(), BlobErrorKind::Damaged, "{name}: {error}");
            }
            assert!(blobs.stat(&id(name)).await.is_err(), "{name}");
        }
        let mut listed: Vec<String> =
            blobs.list("").await.unwrap().iter().map(|b| b.id.to_string()).collect();
        listed.sort();
        assert_eq!(listed, ["kopia.blobcfg", &whole[0], &whole[1], "xe1"]);
        assert!(!blobs.any("xe2").await.unwrap());
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), asked).await.expect("it waits for a pipe");
}

/// A layout file that is a pipe is not waited for either.
#[test]
fn a_layout_that_is_no_file_is_named() {
    let dir = repo(&["kopia.repository.f"]);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join(".shards"), mode).unwrap();
    let error = FilesystemBlobs::open(dir.path(), None).unwrap_err();
    assert!(error.to_string().contains(".shards"), "{error}");
}

/// What other programs leave in a repository's folders is no blob, and does not hide one.
#[tokio::test]
async fn what_others_leave_is_ignored() {
    let rest = "11ac55c280560319f34a78147f19e-s656fecf95845c101147.f";
    let dir = repo(&[
        "kopia.repository.f",
        &format!("p/814/{rest}"),
        &format!("p/814/._{rest}"),
        &format!("p/814/{} (conflict).f", rest.trim_end_matches(".f")),
        &format!("p/814/{rest}.tmp.0123456789abcdef"),
        &format!("p/814/{rest}-1234567"),
        &format!("p/814/{rest}.sync-conflict-20261124-101112"),
        "._kopia.repository.f",
        "README.f",
        "README",
        ".DS_Store",
        "lost+found/x.f",
        "photos/p1.f",
    ]);
    std::fs::write(dir.path().join(".shards"), r#"{"default":[1,3],"maxNonShardedLength":20}"#).unwrap();
    let blobs = FilesystemBlobs::open(dir.path(), None).unwrap();
    let mut listed: Vec<String> = blobs.list("").await.unwrap().iter().map(|b| b.id.to_string()).collect();
    listed.sort();
    assert_eq!(listed, ["kopia.repository", PACK]);
}
