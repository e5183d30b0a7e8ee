//! Reads an entry of an index file, and the section that holds the entries.

use super::error::Error;

/// An entry as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawIndexEntry<'a> {
    /// The prefix byte (0 = none) and the hash: see [`crate::ContentId::from_key`].
    pub key: &'a [u8],
    /// The pack; its name is [`super::IndexFile::pack_name`].
    pub pack: PackRef,
    /// The start of the stored bytes, in bytes from the start of the pack.
    pub offset: u32,
    /// Number of stored bytes.
    pub packed_len: u32,
    /// Number of plaintext bytes, after decompression.
    pub original_len: u32,
    /// The time when the entry was written, in Unix seconds.
    pub timestamp: u64,
    /// Whether the content is marked as deleted. The bytes can still be read (§4.5).
    pub deleted: bool,
    /// The compression ID, 0 = none.
    pub compression: u32,
    /// The repository's `version` when the entry was written.
    pub format_version: u8,
    /// The encryption key ID; only 0 is known.
    pub key_id: u8,
}

/// A pack inside one index file. Equal references are the same name; the opposite does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackRef(pub(super) u64);

/// The section of fixed-size records: key, then entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) key_len: usize,
    pub(super) stride: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len().checked_div(self.stride).unwrap_or(0)
    }

    pub(super) fn get(&self, number: usize) -> Result<(&'a [u8], &'a [u8]), Error> {
        let record = || {
            let start = number.checked_mul(self.stride)?;
            self.bytes.get(start..start.checked_add(self.stride)?)?.split_at_checked(self.key_len)
        };
        record().ok_or(Error::NoEntry { found: number, count: self.len() })
    }
}

/// Cuts off the first `count × size` bytes of `rest`; returns them and what follows.
pub(super) fn section<'a>(
    rest: &'a [u8],
    count: u32,
    size: usize,
    what: &'static str,
) -> Result<(&'a [u8], &'a [u8]), Error> {
    let len = usize::try_from(count).ok().and_then(|n| n.checked_mul(size));
    len.and_then(|n| rest.split_at_checked(n)).ok_or(Error::Section { what, count, len: rest.len() })
}

pub(super) fn name_at(data: &[u8], offset: u32, len: u8) -> Result<&str, Error> {
    let find = || {
        let start = usize::try_from(offset).ok()?;
        std::str::from_utf8(data.get(start..start.checked_add(usize::from(len))?)?).ok()
    };
    find().filter(|name| !name.is_empty()).ok_or(Error::PackName { offset, len })
}

/// Splits a word: bit 31 says "deleted"; the rest is the offset.
pub(super) fn deleted_and_offset(word: u32) -> (bool, u32) {
    (word >> 31 == 1, word & 0x7fff_ffff)
}
