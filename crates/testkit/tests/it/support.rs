//! What the tests share: a tree with a bit of everything, and there and back again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use rekopia::{
    OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent, Snapshot, SyncMode,
};
use rekopia_testkit::random::Random;
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{NewSnapshot, RepositoryWriter, Source, WriterOptions};

/// Returns the source `app@media:<path>`.
pub(crate) fn source(path: &str) -> Source {
    Source { user: "app".into(), host: "media".into(), path: path.into() }
}

/// Makes a writer into memory that need not derive its key twice as long as it has to.
pub(crate) fn in_memory(options: WriterOptions) -> (MemoryBlobs, RepositoryWriter) {
    let blobs = MemoryBlobs::default();
    let writer = RepositoryWriter::create(blobs.clone(), options).unwrap();
    (blobs, writer)
}

/// Opens what was written with the default password.
pub(crate) async fn open(blobs: &MemoryBlobs) -> Repository {
    let password = Password::new("test-password");
    Repository::open(Arc::new(blobs.clone()), &password, &OpenOptions::default(), Arc::new(Silent))
        .await
        .unwrap()
}

/// Returns all snapshots, by time.
pub(crate) async fn snapshots(repository: &Repository) -> Vec<Snapshot> {
    let mut all = repository.snapshots().await.unwrap().all().to_vec();
    all.sort_by_key(|s| s.start.unix_nanos());
    all
}

/// Restores a snapshot into a directory that does not exist yet; everything must succeed.
pub(crate) async fn restore(repository: &Repository, snapshot: &str, target: &Path) -> Tree {
    let options = RestoreOptions::default().sync(SyncMode::None).threads(2).verify(true);
    let from = repository.resolve(&Reference::parse(snapshot).unwrap(), &Selection::default()).await.unwrap();
    let report = repository.restore(&from, target, &options, Arc::new(Silent)).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures());
    Tree::read(target)
}

/// Writes the tree, restores it, and compares.
pub(crate) async fn there_and_back(options: WriterOptions, tree: &Path) -> MemoryBlobs {
    let what = format!("{options:?}");
    let (blobs, mut writer) = in_memory(options);
    let root = writer.put_tree(tree).unwrap();
    let snapshot = NewSnapshot::new(source("/data"), writer.now() * 1_000_000_000, root);
    let id = writer.put_snapshot(&snapshot).unwrap();
    writer.flush().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let restored = restore(&open(&blobs).await, id.as_str(), &dir.path().join("out")).await;
    let diff = Tree::read(tree).diff(&restored, &[]);
    assert!(diff.is_empty(), "{what}:\n{diff}");
    blobs
}

/// A small tree: directories, an empty one among them, files of all sizes up to `largest`, links, odd names and modes.
pub(crate) fn make_tree(root: &Path, largest: usize) {
    let mut random = Random::new(11);
    for directory in ["a/b/c", "empty", "weiß <&>"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for (number, len) in [0, 1, 27, 4095, 4096, 70_000, largest].into_iter().enumerate() {
        let mut noise = vec![0; len];
        random.fill(&mut noise);
        fs::write(root.join(format!("a/b/noise-{number}")), noise).unwrap();
        let text = "The quick brown fox. ".repeat(len / 21 + 1);
        fs::write(root.join(format!("weiß <&>/text \"{number}\"")), &text[..len]).unwrap();
    }
    fs::write(root.join("same"), vec![7; 70_000]).unwrap();
    fs::write(root.join("a/same again"), vec![7; 70_000]).unwrap();
    symlink("../same", root.join("a/link")).unwrap();
    fs::set_permissions(root.join("same"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o2750)).unwrap();
}
