//! Reads index layout 1 (§4.2).
//!
//! ```text
//! entry   0 u48 time │ 6 u8 format │ 7 u8 name length │ 8 u32 name offset │ 12 deleted 1 bit, offset 31 │ 16 u32 packed
//! ```

use super::entry::{Entries, PackRef, RawIndexEntry, deleted_and_offset, name_at, section};
use super::error::Error;
use crate::reader::Cursor;

/// Size of an entry without its key, in bytes.
const ENTRY: u16 = 20;

#[derive(Debug, Clone)]
pub(super) struct File<'a> {
    data: &'a [u8],
    pub(super) entries: Entries<'a>,
    overhead: u32,
}

impl<'a> File<'a> {
    pub(super) fn parse(data: &'a [u8], overhead: u32) -> Result<Self, Error> {
        let mut header = Cursor::new(data);
        let (_layout, key, entry, count) = (header.u8()?, header.u8()?, header.u16()?, header.u32()?);
        if key <= 1 || entry != ENTRY {
            return Err(Error::Sizes { key, entry });
        }
        let key_len = usize::from(key);
        let stride = key_len.saturating_add(usize::from(ENTRY));
        let (bytes, _names) = section(header.rest(), count, stride, "entries")?;
        Ok(File { data, entries: Entries { bytes, key_len, stride }, overhead })
    }

    pub(super) fn decode(&self, (key, entry): (&'a [u8], &'a [u8])) -> Result<RawIndexEntry<'a>, Error> {
        let mut entry = Cursor::new(entry);
        let timestamp = entry.u48()?;
        let format_version = entry.u8()?;
        let name_len = entry.u8()?;
        let name_offset = entry.u32()?;
        let (deleted, offset) = deleted_and_offset(entry.u32()?);
        let packed = entry.u32()?;
        let overhead = self.overhead;
        let original_len = packed.checked_sub(overhead).ok_or(Error::PackedLength { packed, overhead })?;
        Ok(RawIndexEntry {
            key,
            pack: PackRef(u64::from(name_offset) << 8 | u64::from(name_len)),
            offset,
            packed_len: packed,
            original_len,
            timestamp,
            deleted,
            compression: 0,
            format_version,
            key_id: 0,
        })
    }

    pub(super) fn pack_name(&self, PackRef(name): PackRef) -> Result<&'a str, Error> {
        let [_, _, _, o0, o1, o2, o3, len] = name.to_be_bytes();
        name_at(self.data, u32::from_be_bytes([o0, o1, o2, o3]), len)
    }
}
