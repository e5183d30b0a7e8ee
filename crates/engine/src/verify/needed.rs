//! Counts which contents the files of a set need, each once.

use std::collections::HashMap;

use rekopia_format::ContentId;

use super::bits::Bits;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::index::ContentIndex;
use crate::repository::objects::Slice;

/// The contents with file data, and what was counted on the way to them.
#[derive(Debug)]
pub(crate) struct Needed {
    /// The contents, by their number in the index.
    data: Bits,
    /// The contents that hold an object which was compressed as a whole, with the length that is recorded for it.
    whole: HashMap<u32, u64>,
    /// Bytes of the contents in the packs.
    pub(crate) packed_bytes: u64,
    /// Distinct directories, and the entries of those.
    pub(crate) directories: u64,
    pub(crate) files: u64,
    pub(crate) symlinks: u64,
    /// Entries whose stored name is none that a file can have.
    pub(crate) odd_names: u64,
}

impl Needed {
    /// Makes an empty set for an index with `len` contents.
    pub(crate) fn new(len: usize) -> Self {
        Needed {
            data: Bits::new(len),
            whole: HashMap::new(),
            packed_bytes: 0,
            directories: 0,
            files: 0,
            symlinks: 0,
            odd_names: 0,
        }
    }

    /// Takes note of a part of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the index does not have it, or knows another length; those of the index.
    pub(crate) fn want(&mut self, index: &ContentIndex, slice: &Slice) -> Result<()> {
        if slice.len == Some(0) {
            return Ok(());
        }
        let content = &slice.content;
        let Some((number, location)) = index.place(content)? else { return Err(not_indexed(content)) };
        let packed = location.packed;
        match slice.len.filter(|len| !slice.compressed && *len != u64::from(packed.original_len)) {
            Some(len) => {
                let what = format!("{} bytes where {len} belong", packed.original_len);
                return Err(Error::new(ErrorKind::Corrupt, what).of_content(content));
            }
            None if slice.compressed => drop(self.whole.insert(number, slice.len.unwrap_or(u64::MAX))),
            None => {}
        }
        if self.data.set(number) {
            self.packed_bytes += u64::from(packed.packed_len);
        }
        Ok(())
    }

    /// Whether a file needs this content.
    pub(crate) fn has(&self, number: u32) -> bool {
        self.data.has(number)
    }

    /// Returns the length of the object that a content holds compressed as a whole, if it does.
    pub(crate) fn whole(&self, number: u32) -> Option<u64> {
        self.whole.get(&number).copied()
    }

    /// Returns the number of contents that are needed.
    pub(crate) fn contents(&self) -> u64 {
        self.data.count()
    }
}

/// Makes the error for a content that the index does not have.
pub(crate) fn not_indexed(content: &ContentId) -> Error {
    Error::new(ErrorKind::Corrupt, "not in the index").of_content(content)
}
