//! Whole repositories, damaged before they were sealed: opened, listed, examined, verified, restored.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use rekopia::blob::BlobReader;
use rekopia::{
    Coverage, ExaminationOptions, OpenOptions, Password, Reference, Repository, RestoreOptions, Selection,
    SetOptions, Silent, SyncMode, VerifyOptions, examine,
};
use rekopia_testkit::storage::MemoryBlobs;
use tokio::runtime::Runtime;

use crate::written::{PASSWORD, TEXT, written};

/// A run that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(10);
const MEMORY: u64 = 8 << 20;

/// A tiny repository whose objects, manifest and index entries the input changes.
pub fn repository(data: &[u8]) {
    watch_threads();
    let memory = MemoryBlobs::default();
    let Ok(is_whole) = written(&memory, data) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("kept"), b"kept").expect("a file");
    let before = state(&outside);
    let target = dir.path().join("target");
    let restored = runtime().block_on(async {
        let all = tokio::time::timeout(LONGEST, use_it(memory, &target));
        all.await.expect("it hangs")
    });
    assert!(!PANICKED.load(Ordering::SeqCst), "a thread panicked");
    assert!(restored.is_ok() || !is_whole, "a whole repository cannot be used: {restored:?}");
    assert_eq!(before, state(&outside), "something outside of the target changed");
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    names.retain(|name| name != "target" && name != "outside");
    assert!(names.is_empty(), "beside the target there are {names:?}");
    if is_whole {
        assert_eq!(fs::read(dir.path().join("target/sub/a")).expect("a file"), TEXT, "a file's bytes");
        assert_eq!(fs::read(dir.path().join("target/b")).expect("a file"), TEXT.repeat(2), "a file's bytes");
    }
}

/// Everything that a program would ask; the first error ends it, which is fine for what is damaged.
async fn use_it(memory: MemoryBlobs, target: &Path) -> rekopia::Result<()> {
    let (blobs, password): (Arc<dyn BlobReader>, _) = (Arc::new(memory), Password::new(PASSWORD));
    let _ = examine(Arc::clone(&blobs), &password, &ExaminationOptions::default(), Arc::new(Silent)).await;
    let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
    let snapshots = repository.snapshots().await?;
    let mut trees = Vec::new();
    for snapshot in snapshots.all().iter().take(3) {
        let reference = Reference::of_id(snapshot.id.to_string());
        trees.extend(repository.resolve(&reference, &Selection::default()).await);
    }
    let verify = VerifyOptions::default().memory_bytes(MEMORY).threads(1);
    let restore = RestoreOptions::default().memory_bytes(MEMORY).threads(1).sync(SyncMode::None);
    for tree in &trees {
        let _ = repository.verify(tree, &verify, Arc::new(Silent)).await;
        let _ =
            repository.for_each_entry(&tree.entry, |entry| assert!(entry.name_text().len() < 1 << 20)).await;
        let report = repository.restore(tree, target, &restore, Arc::new(Silent)).await;
        let compared = repository.compare(tree, target, &restore, Arc::new(Silent)).await;
        if let (Ok(report), Ok(compared)) = (report, compared)
            && report.is_complete()
            && trees.len() == 1
        {
            assert!(compared.is_complete(), "restored whole, but it differs: {:?}", compared.failures());
        }
    }
    let set = SetOptions::default().verify(verify);
    let _ = repository.verify_set(&trees, &set, &mut Coverage::default(), Arc::new(Silent)).await;
    if trees.is_empty() {
        repository.resolve(&Reference::parse("latest")?, &Selection::default()).await.map(drop)
    } else {
        Ok(())
    }
}

/// A folder with its file, as far as a restore could touch them.
fn state(dir: &Path) -> impl PartialEq + std::fmt::Debug {
    let of = |path: &Path| {
        let meta = fs::symlink_metadata(path).expect("it was made");
        (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec())
    };
    let names = fs::read_dir(dir).expect("a folder").count();
    (of(dir), names, of(&dir.join("kept")), fs::read(dir.join("kept")).expect("a file"))
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

static PANICKED: AtomicBool = AtomicBool::new(false);

/// The engine turns the panic of a thread into an error; here it is a fault.
fn watch_threads() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::SeqCst);
            before(info);
        }));
    });
}
