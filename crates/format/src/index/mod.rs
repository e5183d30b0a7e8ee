//! Reads index files: which pack holds which content, where (§4.1).
//!
//! Both layouts are header, sorted fixed-size entries, then the names of the packs:
//!
//! ```text
//! v1   01 K 0014 N    │ N × (key K, entry 20)                            │ pack names, rest ignored
//! v2   02 K E N Q F B │ N × (key K, entry E) │ Q × pack 5 │ F × format 6 │ pack names, rest ignored
//! ```
//!
//! Nothing is copied: an [`IndexFile`] borrows the decrypted bytes, and reading an entry allocates nothing.

mod entry;
mod error;
pub mod merge;
mod v1;
mod v2;

use std::collections::HashMap;

pub use entry::{PackRef, RawIndexEntry};
pub use error::Error;

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

impl<'a> IndexFile<'a> {
    /// Reads an index file: checks the header and the bounds of sections. Entries are checked when they are read.
    ///
    /// `v1_overhead` is what the cipher adds to a content in bytes (28): layout 1 does not store the original
    /// length (§4.2).
    ///
    /// # Errors
    /// [`Error`] when a header or section does not fit.
    pub fn parse(data: &'a [u8], v1_overhead: u32) -> Result<Self, Error> {
        let layout = match data.first() {
            Some(1) => Layout::V1(v1::File::parse(data, v1_overhead)?),
            Some(2) => Layout::V2(v2::File::parse(data)?),
            Some(&found) => return Err(Error::Layout { found }),
            None => return Err(EndOfData { offset: 0, wanted: 1, available: 0 }.into()),
        };
        Ok(IndexFile { layout })
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        match &self.layout {
            Layout::V1(file) => file.entries.len(),
            Layout::V2(file) => file.entries.len(),
        }
    }

    /// Whether the file has no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the size of a key in bytes: 1 + hash length. 255 in an empty v1 file (§4.2).
    pub fn key_len(&self) -> usize {
        match &self.layout {
            Layout::V1(file) => file.entries.key_len,
            Layout::V2(file) => file.entries.key_len,
        }
    }

    /// Returns the entry with this number, in key order.
    ///
    /// # Errors
    /// [`Error::NoEntry`], or what is wrong with the entry.
    pub fn entry(&self, number: usize) -> Result<RawIndexEntry<'a>, Error> {
        match &self.layout {
            Layout::V1(file) => file.decode(file.entries.get(number)?),
            Layout::V2(file) => file.decode(file.entries.get(number)?),
        }
    }

    /// Returns all entries, in key order.
    pub fn entries(&self) -> impl Iterator<Item = Result<RawIndexEntry<'a>, Error>> {
        (0..self.len()).map(|number| self.entry(number))
    }

    /// Returns the name of a pack. The text is foreign: check it with [`crate::BlobId::parse`].
    ///
    /// # Errors
    /// [`Error`] when the name lies outside the file or is no text.
    pub fn pack_name(&self, pack: PackRef) -> Result<&'a str, Error> {
        match &self.layout {
            Layout::V1(file) => file.pack_name(pack),
            Layout::V2(file) => file.pack_name(pack),
        }
    }

    /// Makes an empty memo for the packs of this file.
    pub fn pack_memo<T: Copy>(&self) -> PackMemo<T> {
        match &self.layout {
            Layout::V1(_) => PackMemo { dense: Vec::new(), sparse: HashMap::new() },
            Layout::V2(file) => PackMemo { dense: vec![None; file.pack_count()], sparse: HashMap::new() },
        }
    }
}

/// The values that a caller made of each pack's name, so that every name is looked at once per file, not once per
/// entry.
#[derive(Debug)]
pub struct PackMemo<T> {
    /// Values by pack number (layout 2).
    dense: Vec<Option<T>>,
    /// Values where packs have no numbers (layout 1).
    sparse: HashMap<PackRef, T>,
}

impl<T: Copy> PackMemo<T> {
    /// Returns the value of `pack`, made by `intern` from the name when it is met first.
    ///
    /// # Errors
    /// Those of [`IndexFile::pack_name`] and of `intern`.
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

#[cfg(test)]
mod encode;
#[cfg(test)]
mod tests;
