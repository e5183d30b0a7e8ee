//! Reads packs: their names, the way to the local index at their end, and replicas of the format blob (§2.10, §3.7,
//! §3.8).
//!
//! ```text
//! [format replica] [preamble] [content] … [padding] [encrypted local index] [postamble]
//!                                                   ▲ offset, length, iv ────┘     └ its own length: last byte
//! ```
//! Contents are located by the index alone; what is here serves recovery.

mod postamble;
mod replica;
mod search;

pub use postamble::{Error, Postamble};
pub use replica::{REPLICA_WINDOW, find_format_replica};

use crate::ids::BlobId;

/// Prefix letters of packs: contents without a prefix are in `p`, all others in `q`.
pub const PREFIXES: [char; 2] = ['p', 'q'];

/// Bytes of a pack's end that are enough to find the postamble and, mostly, the local index.
pub const TAIL: usize = 8192;

/// Whether the blob is a pack by its name.
pub fn is_pack(blob: &BlobId) -> bool {
    blob.as_str().starts_with(PREFIXES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: &str) -> BlobId {
        BlobId::parse(name).unwrap()
    }

    #[test]
    fn trap_47_packs_are_p_and_q_with_or_without_session() {
        assert!(is_pack(&blob("p81411ac55c280560319f34a78147f19e-s656fecf95845c101147")));
        assert!(is_pack(&blob("q548b5cea76fb5f3f85c385a5ace41026")));
        assert!(!is_pack(&blob("xn0_485628df570a0f02242d865ec3675f23-s656fecf95845c101147-c1")));
        assert!(!is_pack(&blob("kopia.repository")));
    }
}
