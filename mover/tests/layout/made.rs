//! Repositories made for the occasion, with one identity, `app@ns:/data`.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rekopia_testkit::random::Random;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Source, WriterOptions};

pub(crate) const PASSWORD: &str = "made-for-the-occasion";

/// A directory and a repository with a snapshot of it.
pub(crate) struct Made {
    pub(crate) dir: tempfile::TempDir,
    /// What was put in.
    pub(crate) tree: Tree,
}

impl Made {
    /// `fill` makes the directory.
    pub(crate) fn of(fill: impl FnOnce(&Path)) -> Self {
        Self::after_days(1, fill)
    }

    /// Makes a repository after so many backups, of which each leaves an index blob.
    pub(crate) fn after_days(days: i64, fill: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        std::fs::create_dir(&source).unwrap();
        fill(&source);
        let sink = DirectorySink::create(&dir.path().join("repo")).unwrap();
        let options =
            WriterOptions { password: PASSWORD.into(), max_pack_size: 2 << 20, ..WriterOptions::default() };
        let mut writer = RepositoryWriter::create(sink, options).unwrap();
        for day in 0..days {
            let root = writer.put_tree(&source).unwrap();
            let start_ns = (writer.now() + day * 86_400) * 1_000_000_000;
            let whose = Source { user: "app".into(), host: "ns".into(), path: "/data".into() };
            writer.put_snapshot(&NewSnapshot::new(whose, start_ns, root)).unwrap();
            writer.flush().unwrap();
        }
        let tree = Tree::read(&source);
        Made { dir, tree }
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// Returns [`Made::tree`] as it becomes when `uid` restores it without capabilities into a volume that hands down
    /// `gid`: nothing of somebody else's, and none of their powers. The root is left out.
    pub(crate) fn as_made_by(&self, uid: u32, gid: u32) -> Tree {
        let mut tree = self.tree.clone();
        tree.entries.remove("");
        for entry in tree.entries.values_mut() {
            if (entry.uid, entry.gid) != (uid, gid) {
                entry.mode &= 0o1777;
            }
            (entry.uid, entry.gid) = (uid, gid);
        }
        tree
    }
}

/// Files and directories that even their owner must not read, list or change, and powers of others.
pub(crate) fn odd_modes(root: &Path) {
    let noise = |len: usize, seed: u64| {
        let mut bytes = vec![0; len];
        Random::new(seed).fill(&mut bytes);
        bytes
    };
    for folder in ["fixed/deeper", "blind/deeper", "closed", "sticky"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let files = [
        ("plain", 0o644, 1000, 30),
        ("secret", 0o400, 1000, 5000),
        ("nothing", 0o000, 1000, 70_000),
        ("large", 0o400, 1000, 3 << 20),
        ("fixed/plain", 0o644, 1000, 31),
        ("fixed/secret", 0o400, 1234, 32),
        ("fixed/deeper/nothing", 0o000, 1234, 33),
        ("blind/inside", 0o600, 1000, 34),
        ("blind/deeper/inside", 0o440, 0, 35),
        ("closed/inside", 0o000, 0, 36),
        ("sticky/empty", 0o666, 0, 0),
        ("powers of another", 0o6755, 1000, 37),
        ("powers of ours", 0o6755, 1234, 38),
        ("powers of root", 0o6755, 0, 39),
    ];
    for (seed, (name, mode, owner, len)) in files.into_iter().enumerate() {
        let path = root.join(name);
        std::fs::write(&path, noise(len, seed as u64)).unwrap();
        chown(&path, Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    symlink("fixed/plain", root.join("link")).unwrap();
    std::os::unix::fs::lchown(root.join("link"), Some(1000), Some(1000)).unwrap();
    let folders = [
        ("fixed/deeper", 0o500, 1000),
        ("fixed", 0o555, 1000),
        ("blind/deeper", 0o555, 1234),
        ("blind", 0o300, 1234),
        ("closed", 0o000, 0),
        ("sticky", 0o3777, 1000),
        ("", 0o750, 1000),
    ];
    for (name, mode, owner) in folders {
        let path = if name.is_empty() { root.to_path_buf() } else { root.join(name) };
        chown(&path, Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}

/// `files` files of `bytes` bytes each, twenty to a directory: more blocks than bytes when they are small.
pub(crate) fn small_files(root: &Path, files: usize, bytes: usize) {
    let mut random = Random::new(3);
    let mut data = vec![0; bytes];
    for number in 0..files {
        let folder = root.join(format!("folder-{:03}", number / 20));
        std::fs::create_dir_all(&folder).unwrap();
        random.fill(&mut data);
        std::fs::write(folder.join(format!("file-{number:05}")), &data).unwrap();
    }
}

/// Files of several packs each.
pub(crate) fn large_files(root: &Path, files: usize, bytes: usize) {
    let mut data = vec![0; bytes];
    for number in 0..files {
        Random::new(number as u64).fill(&mut data);
        std::fs::write(root.join(format!("large-{number}")), &data).unwrap();
    }
}
