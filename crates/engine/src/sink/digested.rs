//! What hashing a tree on the disk comes to, as values (docs/receipt.md).

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// The digest of a tree as it stands on the disk, with what it is over. Its definition is docs/receipt.md.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeDigest {
    /// SHA-256 of the root's record: 64 lower-case hexadecimal digits.
    pub hash: String,
    /// Regular files that it is over.
    pub files: u64,
    /// Directories that it is over, the root included where it is one.
    pub directories: u64,
    /// Symbolic links that it is over.
    pub symlinks: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// The directories nearest to the root, breadth first, those of one depth in byte order of their paths: at most
    /// 1,000, and none of a path over 4,096 bytes.
    pub nearest: Vec<DirectoryDigest>,
    /// What stands in the tree and is left out: paths relative to the root, in byte order, a directory for all below it.
    pub others: Vec<PathBuf>,
    /// The receipt's own file is among [`others`](Self::others), in a directory that the digest is over.
    pub(crate) holds_receipt: bool,
}

/// The digests of one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectoryDigest {
    /// Relative to the root of the tree; empty for the root.
    pub path: PathBuf,
    /// Over all that is below it, in hexadecimal.
    pub digest: String,
    /// Over its own entries, without what is in its subdirectories.
    pub own: String,
}

/// What has been hashed so far.
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

    /// What a counter says now.
    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
