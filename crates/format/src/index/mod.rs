//! Index files: which pack holds which content, where (§4.1).
//!
//! Both layouts are header, sorted fixed-size entries, then the names of the packs:
//!
//! ```text
//! v1   01 K 0014 N    │ N × (key K, entry 20)                            │ pack names, rest ignored
//! v2   02 K E N Q F B │ N × (key K, entry E) │ Q × pack 5 │ F × format 6 │ pack names, rest ignored
//! ```
//!
//! Nothing is copied: an [`IndexFile`] borrows the decrypted bytes, and reading an entry allocates nothing.

pub mod merge;
mod v1;
mod v2;

use std::collections::HashMap;

use crate::reader::EndOfData;

/// A checked view of the bytes of one index file, either layout.
#[derive(Debug, Clone)]
pub struct IndexFile<'a> {
    layout: Layout<'a>,
}

#[derive(Debug, Clone)]
enum Layout<'a> {
    V1(v1::File<'a>),
    V2(v2::File<'a>),
}

/// One entry as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawIndexEntry<'a> {
    /// Prefix byte (0 = none) and hash: see [`crate::ContentId::from_key`].
    pub key: &'a [u8],
    /// The pack; its name is [`IndexFile::pack_name`].
    pub pack: PackRef,
    /// Where the stored bytes begin, from the start of the pack.
    pub offset: u32,
    /// Stored bytes.
    pub packed_len: u32,
    /// Plaintext bytes, after decompression.
    pub original_len: u32,
    /// Unix seconds when the entry was written.
    pub timestamp: u64,
    /// Marked as deleted. The bytes can still be read (§4.5).
    pub deleted: bool,
    /// Compression ID, 0 = none.
    pub compression: u32,
    /// The repository's `version` when the entry was written.
    pub format_version: u8,
    /// Encryption key ID; only 0 is known.
    pub key_id: u8,
}

/// A pack inside one index file. Equal references are the same name; the opposite does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackRef(u64);

/// The bytes are not an index file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header or section does not fit.
    #[error("index file: {0}")]
    Short(#[from] EndOfData),
    /// The first byte is not a known layout.
    #[error("index file has layout {found}, expected 1 or 2")]
    Layout {
        /// The first byte.
        found: u8,
    },
    /// Keys and entries have impossible sizes.
    #[error("index file has keys of {key} bytes and entries of {entry}")]
    Sizes {
        /// Size of a key in bytes.
        key: u8,
        /// Size of an entry in bytes.
        entry: u16,
    },
    /// The entries reach beyond the end.
    #[error("index file of {len} bytes cannot hold the {count} {what} its header announces")]
    Section {
        /// Which section.
        what: &'static str,
        /// Announced elements.
        count: u32,
        /// Bytes there are.
        len: usize,
    },
    /// An entry names a pack or a format that is not there.
    #[error("index entry refers to {what} {found} of {count}")]
    Reference {
        /// Pack or format.
        what: &'static str,
        /// The number in the entry.
        found: u32,
        /// How many there are.
        count: u32,
    },
    /// A pack's name lies outside the file or is not text.
    #[error("index file has no pack name of {len} bytes at offset {offset}")]
    PackName {
        /// From the start of the file, in bytes.
        offset: u32,
        /// Length of the name in bytes.
        len: u8,
    },
    /// An entry is shorter than the encryption of nothing.
    #[error("index entry of {packed} packed bytes, expected at least {overhead}")]
    PackedLength {
        /// Packed bytes.
        packed: u32,
        /// Bytes that encryption adds.
        overhead: u32,
    },
    /// There is no entry with this number.
    #[error("index entry {found} of {count}")]
    NoEntry {
        /// The number asked for.
        found: usize,
        /// How many there are.
        count: usize,
    },
}

impl<'a> IndexFile<'a> {
    /// Checks header and section bounds. Entries are checked when they are read.
    ///
    /// `v1_overhead` is what the cipher adds to a content in bytes (28): layout 1 does not store the original
    /// length (§4.2).
    pub fn parse(data: &'a [u8], v1_overhead: u32) -> Result<Self, Error> {
        let layout = match data.first() {
            Some(1) => Layout::V1(v1::File::parse(data, v1_overhead)?),
            Some(2) => Layout::V2(v2::File::parse(data)?),
            Some(&found) => return Err(Error::Layout { found }),
            None => return Err(EndOfData { offset: 0, wanted: 1, available: 0 }.into()),
        };
        Ok(IndexFile { layout })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        match &self.layout {
            Layout::V1(file) => file.entries.len(),
            Layout::V2(file) => file.entries.len(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of a key in bytes: 1 + hash length. 255 in an empty v1 file (§4.2).
    pub fn key_len(&self) -> usize {
        match &self.layout {
            Layout::V1(file) => file.entries.key_len,
            Layout::V2(file) => file.entries.key_len,
        }
    }

    /// The entry with this number, in key order.
    pub fn entry(&self, number: usize) -> Result<RawIndexEntry<'a>, Error> {
        match &self.layout {
            Layout::V1(file) => file.decode(file.entries.get(number)?),
            Layout::V2(file) => file.decode(file.entries.get(number)?),
        }
    }

    /// All entries, in key order.
    pub fn entries(&self) -> impl Iterator<Item = Result<RawIndexEntry<'a>, Error>> {
        (0..self.len()).map(|number| self.entry(number))
    }

    /// The name of a pack. The text is foreign: check it with [`crate::BlobId::parse`].
    pub fn pack_name(&self, pack: PackRef) -> Result<&'a str, Error> {
        match &self.layout {
            Layout::V1(file) => file.pack_name(pack),
            Layout::V2(file) => file.pack_name(pack),
        }
    }

    /// An empty memo for the packs of this file.
    pub fn pack_memo<T: Copy>(&self) -> PackMemo<T> {
        match &self.layout {
            Layout::V1(_) => PackMemo { dense: Vec::new(), sparse: HashMap::new() },
            Layout::V2(file) => PackMemo { dense: vec![None; file.pack_count()], sparse: HashMap::new() },
        }
    }
}

/// What the caller made of each pack's name, so that every name is looked at once per file, not once per entry.
#[derive(Debug)]
pub struct PackMemo<T> {
    /// Indexed by pack number (layout 2).
    dense: Vec<Option<T>>,
    /// Where packs have no numbers (layout 1).
    sparse: HashMap<PackRef, T>,
}

impl<T: Copy> PackMemo<T> {
    /// The value of `pack`, made by `intern` from the name when it is met first.
    pub fn get<E: From<Error>>(
        &mut self,
        file: &IndexFile<'_>,
        pack: PackRef,
        intern: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, E> {
        let slot = usize::try_from(pack.0).ok().and_then(|i| self.dense.get_mut(i));
        if let Some(Some(value)) = slot {
            return Ok(*value);
        }
        if let Some(value) = self.sparse.get(&pack) {
            return Ok(*value);
        }
        let value = intern(file.pack_name(pack)?)?;
        match slot {
            Some(slot) => *slot = Some(value),
            None => {
                self.sparse.insert(pack, value);
            }
        }
        Ok(value)
    }
}

/// The section of fixed-size records: key, then entry.
#[derive(Debug, Clone, Copy)]
struct Entries<'a> {
    bytes: &'a [u8],
    key_len: usize,
    stride: usize,
}

impl<'a> Entries<'a> {
    fn len(&self) -> usize {
        self.bytes.len().checked_div(self.stride).unwrap_or(0)
    }

    fn get(&self, number: usize) -> Result<(&'a [u8], &'a [u8]), Error> {
        let record = || {
            let start = number.checked_mul(self.stride)?;
            self.bytes.get(start..start.checked_add(self.stride)?)?.split_at_checked(self.key_len)
        };
        record().ok_or(Error::NoEntry { found: number, count: self.len() })
    }
}

/// The first `count × size` bytes of `rest`, and what follows.
fn section<'a>(
    rest: &'a [u8],
    count: u32,
    size: usize,
    what: &'static str,
) -> Result<(&'a [u8], &'a [u8]), Error> {
    let len = usize::try_from(count).ok().and_then(|n| n.checked_mul(size));
    len.and_then(|n| rest.split_at_checked(n)).ok_or(Error::Section { what, count, len: rest.len() })
}

fn name_at(data: &[u8], offset: u32, len: u8) -> Result<&str, Error> {
    let find = || {
        let start = usize::try_from(offset).ok()?;
        std::str::from_utf8(data.get(start..start.checked_add(usize::from(len))?)?).ok()
    };
    find().filter(|name| !name.is_empty()).ok_or(Error::PackName { offset, len })
}

/// Bit 31 of an offset says "deleted"; the rest is the offset.
fn deleted_and_offset(word: u32) -> (bool, u32) {
    (word >> 31 == 1, word & 0x7fff_ffff)
}

#[cfg(test)]
mod encode;
#[cfg(test)]
mod tests;
