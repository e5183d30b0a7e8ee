//! Knows the contents that a repository has, for deduplication.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rekopia_format::ContentId;

/// The facts that are known of a content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) timestamp: i64,
    pub(super) deleted: bool,
}

/// The known contents, by content ID. IDs are hashes already, so they are only folded.
pub(super) type KnownContents = HashMap<ContentId, Known, BuildHasherDefault<Fold>>;

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
