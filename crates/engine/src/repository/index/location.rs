//! Tells where a content is stored.

use rekopia_format::content::Packed;

/// The position of a pack in the table of pack names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackIdx(pub(crate) u32);

/// The place where a content is stored, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) pack: PackIdx,
    /// Bytes from the start of the pack.
    pub(crate) offset: u32,
    pub(crate) packed: Packed,
    pub(crate) deleted: bool,
}

impl Location {
    /// Returns the bytes of the pack that hold the content.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        let start = u64::from(self.offset);
        start..start + u64::from(self.packed.packed_len)
    }
}
