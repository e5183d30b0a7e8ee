//! Names what can be wrong with an index file.

use crate::reader::EndOfData;

/// The reason why the bytes are not an index file.
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
        /// The size of a key in bytes.
        key: u8,
        /// The size of an entry in bytes.
        entry: u16,
    },
    /// The entries reach beyond the end.
    #[error("index file of {len} bytes cannot hold the {count} {what} its header announces")]
    Section {
        /// The section that does not fit.
        what: &'static str,
        /// The number of elements that are announced.
        count: u32,
        /// The number of bytes that there are.
        len: usize,
    },
    /// An entry names a pack or a format that is not there.
    #[error("index entry refers to {what} {found} of {count}")]
    Reference {
        /// The kind of what is missing: a pack or a format.
        what: &'static str,
        /// The number in the entry.
        found: u32,
        /// The number of packs or formats that there are.
        count: u32,
    },
    /// A pack's name lies outside the file or is not text.
    #[error("index file has no pack name of {len} bytes at offset {offset}")]
    PackName {
        /// The offset of the name from the start of the file, in bytes.
        offset: u32,
        /// The length of the name in bytes.
        len: u8,
    },
    /// An entry is shorter than the encryption of nothing.
    #[error("index entry of {packed} packed bytes, expected at least {overhead}")]
    PackedLength {
        /// The number of packed bytes.
        packed: u32,
        /// The number of bytes that encryption adds.
        overhead: u32,
    },
    /// The file has no entry with this number.
    #[error("index entry {found} of {count}")]
    NoEntry {
        /// The number that was asked for.
        found: usize,
        /// The number of entries that there are.
        count: usize,
    },
}
