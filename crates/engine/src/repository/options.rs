//! How a repository is opened.

use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::index::IndexLimit;

/// The password of a repository; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Arc<Zeroizing<Vec<u8>>>);

impl Password {
    /// Takes the bytes as they are: nothing is trimmed.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Password(Arc::new(Zeroizing::new(bytes.into())))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How to open a repository.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Read although an upgrade lock is in force: a crashed upgrade leaves its lock for ever.
    pub ignore_upgrade_lock: bool,
    /// Bytes of memory for the index; 0: as many as it takes. See [`index_memory_bytes`](crate::index_memory_bytes).
    pub index_memory_bytes: u64,
    /// A folder on a disk for an index that needs more, made when only it is missing. Nothing stays in it. Without one
    /// such an index stays in memory, with a warning.
    pub index_dir: Option<PathBuf>,
    /// Look beyond what damage hides: the index that each pack has of itself, and the copies of the format blob that packs
    /// may hold. Costs a request for each pack. What is found is that of the moment of opening, and is not read once more.
    pub salvage: bool,
    /// A file that keeps what a salvage has read of the packs for the next one, which reads only packs that are new. Made
    /// when it is missing; it holds what the packs hold, encrypted as there, and is its user's alone.
    pub salvage_index: Option<PathBuf>,
    /// The bytes of `kopia.repository`, where the repository's own are lost: the cache of any client of Kopia has a copy.
    pub format_blob: Option<Vec<u8>>,
}

impl OpenOptions {
    rekopia_blob::setters! {
        ignore_upgrade_lock: bool,
        index_memory_bytes: u64,
        index_dir: Option<PathBuf>,
        salvage: bool,
        salvage_index: Option<PathBuf>,
        format_blob: Option<Vec<u8>>,
    }
}

impl OpenOptions {
    pub(super) fn index_limit(&self) -> IndexLimit {
        IndexLimit { bytes: self.index_memory_bytes, dir: self.index_dir.clone() }
    }
}
