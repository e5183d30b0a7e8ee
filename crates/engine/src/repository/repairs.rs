//! Counts damage that error correction made good: nothing is missing, but the storage is failing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rekopia_format::BlobId;

/// Shards that were damaged, by pack.
#[derive(Debug, Default)]
pub(crate) struct Repairs(Mutex<BTreeMap<BlobId, u64>>);

impl Repairs {
    /// Counts damaged shards of a pack.
    pub(crate) fn note(&self, pack: &BlobId, shards: u64) {
        if shards > 0 {
            let mut packs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = packs.entry(pack.clone()).or_default();
            *count = count.saturating_add(shards);
        }
    }

    /// Returns the packs, in their order, each with its damaged shards.
    pub(crate) fn packs(&self) -> Vec<(BlobId, u64)> {
        let packs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        packs.iter().map(|(pack, shards)| (pack.clone(), *shards)).collect()
    }
}
