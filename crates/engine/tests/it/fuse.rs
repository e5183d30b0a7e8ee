//! File systems without nameless files, and those that say only at the end that writing failed: existing files are what
//! they were, or marked, or right.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rekopia::{ErrorKind, Repository};
use rekopia_format::BlobId;
use rekopia_testkit::fuse::{Faults, FuseMount, Op};
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::writer::{BlobSink, DirectorySink, WriterOptions};
use rustix::io::Errno;

use crate::damage::{METADATA, built, file};
use crate::support::{open_at, open_blobs, quick, restore};

/// A file system on a folder, with a target in it.
pub(crate) struct Place {
    pub(crate) faults: Faults,
    mount: FuseMount,
    backing: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Option<Self> {
        let (faults, backing) = (Faults::default(), tempfile::tempdir().unwrap());
        let mount = FuseMount::or_skip(backing.path(), &faults)?;
        std::fs::create_dir(backing.path().join("t")).unwrap();
        Some(Place { faults, mount, backing })
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.mount.path().join("t")
    }

    /// Returns the path of an entry without the file system.
    pub(crate) fn behind(&self, name: &str) -> PathBuf {
        self.backing.path().join("t").join(name)
    }

    /// Puts an existing file there; returns what has to be found again.
    fn put(&self, name: &str, bytes: &[u8]) -> (Vec<u8>, i64, u64) {
        std::fs::write(self.behind(name), bytes).unwrap();
        let old = std::fs::File::options().write(true).open(self.behind(name)).unwrap();
        old.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
        self.state(name)
    }

    /// Bytes, time and inode.
    fn state(&self, name: &str) -> (Vec<u8>, i64, u64) {
        let meta = std::fs::metadata(self.behind(name)).unwrap();
        (std::fs::read(self.behind(name)).unwrap(), meta.mtime(), meta.ino())
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.backing.path().join("t")).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// 640 KiB in five contents, each in a pack of its own.
fn large() -> Vec<u8> {
    (0..640_u32 << 10).map(|n| (n.wrapping_mul(n) >> 9) as u8 ^ (n >> 17) as u8).collect()
}

async fn repository() -> (MemoryBlobs, Repository) {
    let options = WriterOptions {
        splitter: "FIXED-128K".into(),
        max_pack_size: 100_000,
        key_algo: "pbkdf2-sha256-600000".into(),
        ..WriterOptions::default()
    };
    built(options, |w| vec![file(w, "file", &large()), file(w, "small", b"small")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nameless_files_a_file_keeps_its_inode_and_nothing_stays_beside_it() {
    let Some(place) = Place::new() else { return };
    let (_, repository) = repository().await;
    let (.., inode) = place.put("file", &vec![7; 300_000]);
    let report = restore(&repository, "u@h", &place.target(), &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    assert_eq!(place.state("file"), (large(), METADATA.mtime_ns / 1_000_000_000, inode));
    assert_eq!(place.names(), ["file", "small"]);
    assert!(place.faults.count(Op::Create) > 1, "nothing was staged");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nameless_files_a_damaged_pack_leaves_the_old_file_as_it_was() {
    let Some(place) = Place::new() else { return };
    let (memory, _) = repository().await;
    let packs = |memory: &MemoryBlobs| -> Vec<String> {
        let blobs = memory.blobs.lock().unwrap();
        blobs.iter().filter(|(id, b)| id.starts_with('p') && b.len() > 100_000).map(|b| b.0.clone()).collect()
    };
    assert_eq!(packs(&memory).len(), 5);
    for (case, pack) in ["lost", "damaged", "no room beside it"].into_iter().zip(packs(&memory)) {
        let damaged = MemoryBlobs { blobs: Arc::new(Mutex::new(memory.blobs.lock().unwrap().clone())) };
        match case {
            "lost" => drop(damaged.blobs.lock().unwrap().remove(&pack)),
            "damaged" => {
                damaged.blobs.lock().unwrap().get_mut(&pack).unwrap().iter_mut().for_each(|b| *b ^= 1);
            }
            // What is staged did not arrive either.
            _ => place.faults.fail(Op::Flush, Errno::IO, |name| name.starts_with(".rekopia-new-")),
        }
        let repository = open_blobs(Arc::new(damaged), "test-password").await.unwrap();
        let before = place.put("file", &vec![7; large().len()]);
        let report = restore(&repository, "u@h", &place.target(), &quick()).await.unwrap();
        let failed: Vec<_> = report.failures().iter().map(|f| (f.path.as_str(), f.mixed)).collect();
        assert_eq!(failed, [("file", false)], "{case}: {:?}", report.failures());
        assert!(place.state("file") == before, "{case}: the old file was changed");
        assert_eq!(place.names(), ["file", "small"], "{case}");
    }
}

/// The child of the next test; alone it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn restores_until_it_is_killed() {
    let Ok(places) = std::env::var("REKOPIA_TEST_KILLED") else { return };
    let (repo, target) = places.split_once('|').unwrap();
    let repository = open_at(Path::new(repo), "test-password").await.unwrap();
    restore(&repository, "u@h", Path::new(target), &quick()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_leaves_files_old_or_marked_and_the_next_one_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let (memory, repository) = repository().await;
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    let mut sink = DirectorySink::create(&repo).unwrap();
    for (id, bytes) in &*memory.blobs.lock().unwrap() {
        sink.put(&BlobId::parse(id).unwrap(), bytes).unwrap();
    }
    let size = large().len() as u64;
    let mut marked = 0;
    // While it is staged, at the first and a later copied range, and when it is cut to its length.
    for (op, of, number) in [
        (Op::Write, ".rekopia-new-0", 2),
        (Op::Write, "file", 0),
        (Op::Write, "file", 3),
        (Op::Setattr, "file", 1),
        (Op::Setattr, "file", 2),
    ] {
        place.faults.clear();
        let before = place.put("file", &vec![7; large().len()]);
        let (child, calls) = (Arc::new(Mutex::new(None::<Child>)), AtomicUsize::new(0));
        let victim = Arc::clone(&child);
        place.faults.before(op, move |call| {
            if call.name == of && calls.fetch_add(1, Ordering::Relaxed) == number {
                victim.lock().unwrap().as_mut().unwrap().kill().unwrap();
                return Err(Errno::IO);
            }
            Ok(())
        });
        {
            // Held, so that it is not killed before it is known.
            let mut child = child.lock().unwrap();
            let places = format!("{}|{}", repo.display(), place.target().display());
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "fuse::restores_until_it_is_killed"]).env("REKOPIA_TEST_KILLED", places);
            *child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }
        assert!(!wait(&child), "{op:?} {of} {number}: it was not killed");
        place.faults.clear();
        let after = place.state("file");
        let is_marked = after.0.len() as u64 == size + 1;
        marked += usize::from(is_marked);
        let is_whole = after.0 == large();
        assert!(
            is_marked || is_whole || after == before,
            "{op:?} {of} {number}: mixed, {} bytes",
            after.0.len()
        );
        let report = restore(&repository, "u@h", &place.target(), &quick()).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures());
        assert!(place.state("file").0 == large());
        assert_eq!(place.names(), ["file", "small"], "{op:?} {of} {number}");
    }
    assert!(marked >= 2, "{marked}");
}

fn wait(child: &Mutex<Option<Child>>) -> bool {
    loop {
        // Not held while waiting: whoever kills it needs it.
        if let Some(status) = child.lock().unwrap().as_mut().unwrap().try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_at_close_fails_that_file_alone() {
    let Some(place) = Place::new() else { return };
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    let (_, repository) = built(options, |w| {
        let mut entries: Vec<_> =
            ["bad-large", "good-large"].iter().map(|name| file(w, name, &large())).collect();
        let small = ["bad-small", "good-small", "bad-patched", "good-patched", "bad-linked", "good-linked"];
        entries.extend(small.iter().map(|name| file(w, name, b"what is wanted")));
        entries
    })
    .await;
    let patched = place.put("bad-patched", b"what was there");
    place.put("good-patched", b"what was there");
    let linked = place.put("bad-linked", b"what was there");
    place.put("good-linked", b"what was there");
    for name in ["bad-linked", "good-linked"] {
        std::fs::hard_link(place.behind(name), place.backing.path().join(name)).unwrap();
    }
    let staged = std::sync::atomic::AtomicBool::new(false);
    place.faults.fail(Op::Flush, Errno::IO, move |name| {
        // The first file that takes the place of another.
        name.starts_with("bad-") || name.starts_with(".rekopia-new-") && !staged.swap(true, Ordering::Relaxed)
    });
    let options = quick().threads(1);
    let report = restore(&repository, "u@h", &place.target(), &options).await.unwrap();
    place.faults.clear();
    let failed: Vec<_> = report.failures().iter().map(|f| (f.path.as_str(), f.mixed)).collect();
    let expected = [("bad-large", false), ("bad-linked", false), ("bad-patched", true), ("bad-small", false)];
    assert_eq!(failed, expected, "{:?}", report.failures());
    assert!(report.failures().iter().all(|f| f.kind == ErrorKind::Destination));
    let names = ["bad-linked", "bad-patched", "good-large", "good-linked", "good-patched", "good-small"];
    assert_eq!(place.names(), names);
    assert_eq!(place.state("bad-linked"), linked);
    let after = place.state("bad-patched");
    assert_eq!((after.0.len(), after.2), (patched.0.len() + 1, patched.2), "it is not marked");
    let report = restore(&repository, "u@h", &place.target(), &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    assert_eq!(place.state("bad-patched").0, b"what is wanted");
}

/// Between the look at a file and its change another program puts its own one there.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_has_put_there_meanwhile_is_left_alone() {
    let Some(place) = Place::new() else { return };
    let (_, repository) = repository().await;
    let right = large();
    // Staged; in memory; only attributes; a whole new file.
    for case in ["staged", "in memory", "attributes", "linked"] {
        place.faults.clear();
        let mut old = right.clone();
        match case {
            "staged" => old.fill(7),
            "attributes" => {}
            _ => old.truncate(right.len() - 5),
        }
        place.put("file", &old);
        if case == "linked" {
            std::fs::hard_link(place.behind("file"), place.backing.path().join("other")).unwrap();
        }
        let theirs = place.backing.path().join("theirs");
        std::fs::write(&theirs, "of another program").unwrap();
        let (from, to, done) = (theirs.clone(), place.behind("file"), AtomicUsize::new(0));
        place.faults.before(Op::Read, move |call| {
            if call.name == "file" && done.fetch_add(1, Ordering::Relaxed) == 0 {
                std::fs::rename(&from, &to).unwrap();
            }
            Ok(())
        });
        let report = restore(&repository, "u@h", &place.target(), &quick()).await.unwrap();
        let failed: Vec<_> = report.failures().iter().map(|f| (f.path.as_str(), f.mixed)).collect();
        assert_eq!(failed, [("file", false)], "{case}: {:?}", report.failures());
        let message = &report.failures()[0].message;
        assert!(message.contains("another program has replaced it meanwhile"), "{message}");
        assert_eq!(place.state("file").0, b"of another program", "{case}");
        assert_eq!(place.names(), ["file", "small"], "{case}");
    }
}
