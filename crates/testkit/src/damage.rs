//! Damage to the copy of a repository on disk.

use std::fs;
use std::path::{Path, PathBuf};

use rekopia_format::BlobId;
use rekopia_format::sharding::Sharding;

use crate::fixture::copy_dir;

/// A repository on disk that may be damaged.
#[derive(Debug)]
pub struct Damaged {
    root: PathBuf,
    sharding: Sharding,
}

impl Damaged {
    /// Copies the repository at `from` to `to`, which is created.
    pub fn copy(from: &Path, to: &Path) -> Self {
        copy_dir(from, to);
        Self::in_place(to)
    }

    /// A repository that is nobody else's.
    pub fn in_place(root: &Path) -> Self {
        let shards = fs::read(root.join(".shards"));
        let sharding = shards.map_or_else(|_| Sharding::legacy(), |json| Sharding::parse(&json).unwrap());
        Damaged { root: root.to_owned(), sharding }
    }

    /// The repository's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The names of all blobs that start with `prefix`, in order.
    pub fn blobs(&self, prefix: &str) -> Vec<BlobId> {
        let mut found = Vec::new();
        let mut open = vec![(self.root.clone(), String::new())];
        while let Some((directory, name)) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let below = format!("{name}{}", entry.file_name().to_str().unwrap());
                if entry.file_type().unwrap().is_dir() {
                    open.push((entry.path(), below));
                } else if let Some(blob) = below.strip_suffix(".f").filter(|blob| blob.starts_with(prefix)) {
                    found.push(BlobId::parse(blob).unwrap());
                }
            }
        }
        found.sort();
        found
    }

    /// The file of a blob.
    pub fn path(&self, blob: &BlobId) -> PathBuf {
        self.root.join(self.sharding.path(blob))
    }

    /// Loses a blob.
    pub fn delete(&self, blob: &BlobId) {
        fs::remove_file(self.path(blob)).unwrap();
    }

    /// Cuts a blob after `len` bytes.
    pub fn truncate(&self, blob: &BlobId, len: u64) {
        self.change(blob, |bytes| {
            assert!(len < bytes.len() as u64, "{blob} has only {} bytes", bytes.len());
            bytes.truncate(len as usize);
        });
    }

    /// Inverts all bits of the byte at `offset`.
    pub fn flip(&self, blob: &BlobId, offset: u64) {
        self.change(blob, |bytes| bytes[offset as usize] ^= 0xff);
    }

    /// Replaces the bytes from `offset` on.
    pub fn overwrite(&self, blob: &BlobId, offset: u64, with: &[u8]) {
        self.change(blob, |bytes| bytes[offset as usize..][..with.len()].copy_from_slice(with));
    }

    /// Exchanges the contents of two blobs.
    pub fn swap(&self, a: &BlobId, b: &BlobId) {
        let (first, second) = (fs::read(self.path(a)).unwrap(), fs::read(self.path(b)).unwrap());
        fs::write(self.path(a), second).unwrap();
        fs::write(self.path(b), first).unwrap();
    }

    fn change(&self, blob: &BlobId, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(blob);
        let mut bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}
