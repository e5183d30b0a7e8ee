//! Packs an index entry: what a lookup needs, in 36 bytes whatever the hash.

use std::cmp::Ordering;

use rekopia_format::ContentId;
use rekopia_format::content::Packed;
use rekopia_format::index::merge::{Candidate, exists, wins};

use super::location::{Location, PackIdx};
use super::packs::Packs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Last 16 bytes of the hash: what the encryption binds (§3.3).
    pub(super) tail: [u8; 16],
    pub(super) timestamp: u32,
    /// Bit 31: deleted; below: offset in the pack.
    pub(super) offset: u32,
    /// Bits 8..32: pack; bits 0..8: position in the table of compression IDs.
    pub(super) pack: u32,
    /// Bits 28..32: high nibble of the prefix letter; below: packed length.
    pub(super) packed: u32,
    /// Bits 28..32: low nibble of the prefix letter; below: original length.
    pub(super) original: u32,
}

/// The key that records are sorted by: the hash's tail, then the prefix letter.
pub(super) type Key = (u128, u8);

pub(super) const LEN_BITS: u32 = 28;
pub(super) const LEN_MASK: u32 = (1 << LEN_BITS) - 1;
pub(super) const DELETED: u32 = 1 << 31;

impl Record {
    /// Bytes of a record in a file.
    pub(super) const BYTES: usize = 36;

    pub(super) fn prefix(&self) -> u8 {
        ((self.packed >> LEN_BITS) as u8) << 4 | (self.original >> LEN_BITS) as u8
    }

    pub(super) fn key(&self) -> Key {
        (u128::from_be_bytes(self.tail), self.prefix())
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.offset & DELETED != 0
    }

    /// Whether the record's pack is there, and long enough.
    fn is_in(&self, packs: &Packs) -> bool {
        let end = u64::from(self.offset & !DELETED) + u64::from(self.packed & LEN_MASK);
        end <= packs.len_of(self.pack())
    }

    pub(super) fn pack(&self) -> PackIdx {
        PackIdx(self.pack >> 8)
    }

    /// Returns where the content is; `None` when its compression is not in the table.
    pub(super) fn location(&self, compressions: &[u32]) -> Option<Location> {
        Some(Location {
            pack: self.pack(),
            offset: self.offset & !DELETED,
            packed: Packed {
                packed_len: self.packed & LEN_MASK,
                original_len: self.original & LEN_MASK,
                compression: compressions.get((self.pack & 0xff) as usize).copied()?,
            },
            deleted: self.is_deleted(),
        })
    }

    /// Returns the record as it stands in a file.
    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (tail, rest) = bytes.split_at_mut(16);
        tail.copy_from_slice(&self.tail);
        let words = [self.timestamp, self.offset, self.pack, self.packed, self.original];
        for (place, word) in rest.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut tail = [0; 16];
        tail.copy_from_slice(&bytes[..16]);
        let mut words = [0u32; 5];
        for (word, place) in words.iter_mut().zip(bytes[16..].as_chunks().0) {
            *word = u32::from_le_bytes(*place);
        }
        let [timestamp, offset, pack, packed, original] = words;
        Record { tail, timestamp, offset, pack, packed, original }
    }
}

/// Returns the key that a content is looked up by.
pub(super) fn key_of(id: &ContentId) -> Key {
    (u128::from_be_bytes(tail(id)), id.prefix())
}

pub(super) fn tail(id: &ContentId) -> [u8; 16] {
    let iv = id.iv();
    let mut tail = [0; 16];
    tail[16 - iv.len()..].copy_from_slice(iv);
    tail
}

/// Compares two entries of a content; where they agree in all that §4.5 names, the place in the pack decides, so that
/// the order in which blobs arrive never does.
fn precedence(a: &Record, b: &Record, packs: &Packs) -> Ordering {
    let candidate = |r: &Record| Candidate {
        timestamp: r.timestamp.into(),
        deleted: r.is_deleted(),
        pack: packs.name(r.pack()),
    };
    wins(&candidate(a), &candidate(b))
        .then_with(|| (a.offset, a.packed, a.original, a.pack).cmp(&(b.offset, b.packed, b.original, b.pack)))
}

/// Returns the record that counts, of two records of one content. Where only the other one's pack is there, the content
/// is read from that.
pub(super) fn winner(a: Record, b: Record, packs: &Packs) -> Record {
    let (best, other) = if precedence(&b, &a, packs) == Ordering::Greater { (b, a) } else { (a, b) };
    if best.is_in(packs) || !other.is_in(packs) {
        return best;
    }
    let offset = other.offset & !DELETED | best.offset & DELETED;
    Record { timestamp: best.timestamp, offset, ..other }
}

/// Whether the content of a winner exists (§4.5).
pub(super) fn is_there(winner: &Record, watermark: Option<u64>) -> bool {
    exists(winner.timestamp.into(), winner.is_deleted(), watermark)
}
