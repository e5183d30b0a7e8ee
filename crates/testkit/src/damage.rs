//! Damages the copy of a repository on disk.

use std::fs;
use std::path::{Path, PathBuf};

use rekopia_format::BlobId;
use rekopia_format::sharding::Sharding;

use crate::fixture::copy_dir;

/// The harm that is done to a blob in a matrix of damages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The blob is gone.
    Missing,
    /// The blob has no bytes.
    Empty,
    /// The first byte has all bits inverted.
    FirstByte,
    /// The byte in the middle has all bits inverted.
    MiddleByte,
    /// The last byte has all bits inverted.
    LastByte,
    /// The second half of the blob is gone.
    Cut,
    /// The blob is followed by a hundred bytes.
    Appended,
    /// The blob and another one of its kind have changed places.
    Swapped,
    /// The blob is there, and cannot be read.
    Unreadable,
}

impl Harm {
    /// Every harm.
    pub const ALL: [Harm; 9] = [
        Harm::Missing,
        Harm::Empty,
        Harm::FirstByte,
        Harm::MiddleByte,
        Harm::LastByte,
        Harm::Cut,
        Harm::Appended,
        Harm::Swapped,
        Harm::Unreadable,
    ];
}

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

    /// Uses a repository that is nobody else's, in its place.
    pub fn in_place(root: &Path) -> Self {
        let shards = fs::read(root.join(".shards"));
        let sharding = shards.map_or_else(|_| Sharding::legacy(), |json| Sharding::parse(&json).unwrap());
        Damaged { root: root.to_owned(), sharding }
    }

    /// Returns the repository's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the names of all blobs that start with `prefix`, in order.
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

    /// Returns the file of a blob.
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

    /// Does this to a blob, which has bytes; `other` is the one that it changes places with.
    pub fn harm(&self, blob: &BlobId, other: Option<&BlobId>, harm: Harm) {
        let path = self.path(blob);
        match harm {
            Harm::Missing => self.delete(blob),
            Harm::Empty => self.change(blob, Vec::clear),
            Harm::FirstByte => self.change(blob, |bytes| bytes[0] ^= 0xff),
            Harm::MiddleByte => self.change(blob, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0xff;
            }),
            Harm::LastByte => self.change(blob, |bytes| *bytes.last_mut().unwrap() ^= 0xff),
            Harm::Cut => self.change(blob, |bytes| bytes.truncate(bytes.len() / 2)),
            Harm::Appended => self.change(blob, |bytes| bytes.extend([0x5a; 100])),
            Harm::Swapped => self.swap(blob, other.unwrap()),
            // To whoever is root nothing is forbidden: a folder in its place is as good.
            Harm::Unreadable => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
        }
    }

    fn change(&self, blob: &BlobId, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(blob);
        let mut bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}
