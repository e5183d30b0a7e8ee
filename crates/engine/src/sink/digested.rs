//! Holds what hashing a tree on the disk comes to, as values (docs/receipt.md).

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// The digest of a tree as it stands on the disk, with what it is over. Its definition is docs/receipt.md.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeDigest {
    /// SHA-256 of the root's record: 64 lower-case hexadecimal digits.
    pub hash: String,
    /// Regular files that the digest is over.
    pub files: u64,
    /// Directories that the digest is over, the root included where it is one.
    pub directories: u64,
    /// Symbolic links that the digest is over.
    pub symlinks: u64,
    /// Bytes of the regular files that the digest is over.
    pub bytes: u64,
    /// The directories nearest to the root, breadth first, those of one depth in byte order of their paths: at most
    /// 1,000, and none of a path over 4,096 bytes.
    pub nearest: Vec<DirectoryDigest>,
    /// Entries that stand in the tree and are left out: paths relative to the root, in byte order, a directory for all
    /// below it.
    pub others: Vec<PathBuf>,
    /// Whether the receipt's own file is among [`others`](Self::others), in a directory that the digest is over.
    pub(crate) holds_receipt: bool,
}

/// The digests of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectoryDigest {
    /// The path of the directory, relative to the root of the tree; empty for the root.
    pub path: PathBuf,
    /// The digest over all that is below the directory, in hexadecimal.
    pub digest: String,
    /// The digest over the directory's own entries, without what is in its subdirectories, in hexadecimal.
    pub own: String,
}

/// Counters of what has been hashed so far.
#[derive(Debug, Default)]
pub(crate) struct Hashed {
    pub(crate) files: AtomicU64,
    pub(crate) directories: AtomicU64,
    pub(crate) symlinks: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Hashed {
    /// Adds to one of the counters.
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Returns what a counter says now.
    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
