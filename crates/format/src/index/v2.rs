//! Reads index layout 2 (§4.3).
//!
//! ```text
//! entry   0 u32 time − base │ 4 deleted 1 bit, offset 31 │ 8 u24 original │ 11 u24 packed │ 14 u16 pack
//!         │ 16 u8 format │ 17 u8 pack, bits 16–23 │ 18 u8 original, packed: bits 24–27 each
//! ```
//! The last three bytes are there only as far as the entry size of the header (16…19) reaches.

use super::entry::{Entries, PackRef, RawIndexEntry, deleted_and_offset, name_at, section};
use super::error::Error;
use crate::reader::Cursor;

/// Size of a pack's record in bytes: length and offset of its name.
const PACK: usize = 5;
/// Size of a format's record in bytes.
const FORMAT: usize = 6;
/// Most bytes of a key and its entry together.
const MAX_RECORD: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct File<'a> {
    data: &'a [u8],
    pub(super) entries: Entries<'a>,
    packs: &'a [u8],
    formats: Vec<Format>,
    base_time: u32,
}

/// The facts that entries share.
#[derive(Debug, Clone, Copy)]
struct Format {
    compression: u32,
    version: u8,
    key_id: u8,
}

impl<'a> File<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Error> {
        let mut header = Cursor::new(data);
        let (_layout, key, entry, count) = (header.u8()?, header.u8()?, header.u16()?, header.u32()?);
        let (pack_count, format_count, base_time) = (header.u32()?, header.u8()?, header.u32()?);
        let key_len = usize::from(key);
        let stride = key_len.saturating_add(usize::from(entry));
        if key <= 1 || !(16..=19).contains(&entry) || stride > MAX_RECORD {
            return Err(Error::Sizes { key, entry });
        }
        let (bytes, rest) = section(header.rest(), count, stride, "entries")?;
        let (packs, rest) = section(rest, pack_count, PACK, "packs")?;
        let (formats, _names) = section(rest, u32::from(format_count), FORMAT, "formats")?;
        let formats = formats.chunks_exact(FORMAT).map(|record| {
            let mut record = Cursor::new(record);
            Ok(Format { compression: record.u32()?, version: record.u8()?, key_id: record.u8()? })
        });
        let formats = formats.collect::<Result<_, Error>>()?;
        Ok(File { data, entries: Entries { bytes, key_len, stride }, packs, formats, base_time })
    }

    pub(super) fn pack_count(&self) -> usize {
        self.packs.len() / PACK
    }

    pub(super) fn decode(&self, (key, entry): (&'a [u8], &'a [u8])) -> Result<RawIndexEntry<'a>, Error> {
        let mut entry = Cursor::new(entry);
        let timestamp = u64::from(self.base_time).saturating_add(u64::from(entry.u32()?));
        let (deleted, offset) = deleted_and_offset(entry.u32()?);
        let (original_low, packed_low) = (entry.u24()?, entry.u24()?);
        let pack_low = u32::from(entry.u16()?);
        // absent bytes are 0
        let mut optional = || entry.u8().map_or(0, u32::from);
        let (format, pack_high, lengths) = (optional(), optional(), optional());
        let pack = pack_high << 16 | pack_low;
        if usize::try_from(pack).map_or(true, |p| p >= self.pack_count()) {
            let count = u32::try_from(self.pack_count()).unwrap_or(u32::MAX);
            return Err(Error::Reference { what: "pack", found: pack, count });
        }
        let shared = usize::try_from(format).ok().and_then(|f| self.formats.get(f));
        let shared = shared.ok_or_else(|| {
            let count = u32::try_from(self.formats.len()).unwrap_or(u32::MAX);
            Error::Reference { what: "format", found: format, count }
        })?;
        Ok(RawIndexEntry {
            key,
            pack: PackRef(u64::from(pack)),
            offset,
            packed_len: (lengths & 0xf) << 24 | packed_low,
            original_len: (lengths >> 4) << 24 | original_low,
            timestamp,
            deleted,
            compression: shared.compression,
            format_version: shared.version,
            key_id: shared.key_id,
        })
    }

    pub(super) fn pack_name(&self, PackRef(pack): PackRef) -> Result<&'a str, Error> {
        let record = usize::try_from(pack).ok().and_then(|p| {
            let start = p.checked_mul(PACK)?;
            self.packs.get(start..start.checked_add(PACK)?)
        });
        let mut record = Cursor::new(record.ok_or_else(|| Error::Reference {
            what: "pack",
            found: u32::try_from(pack).unwrap_or(u32::MAX),
            count: u32::try_from(self.pack_count()).unwrap_or(u32::MAX),
        })?);
        let (len, offset) = (record.u8()?, record.u32()?);
        name_at(self.data, offset, len)
    }
}
