//! Decompresses S2 streams: Snappy's framing with larger blocks and repeated offsets (§3.5).
//!
//! ```text
//! chunk = type u8 · length u24 LE · body
//! 0xff  stream identifier            0x00  masked CRC-32C u32 LE · S2 block
//! 0x01  masked CRC-32C · raw data    0x80…0xfe  skipped    0x02…0x7f  refused
//! ```

use crc_fast::{CrcAlgorithm, checksum};

use super::error::Error;
use crate::reader::Cursor;

/// Bytes that one chunk may decompress to at most.
const MAX_CHUNK: usize = 4 << 20;

pub(super) fn decode(stream: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut chunks = Cursor::new(stream);
    let mut identified = false;
    while !chunks.rest().is_empty() {
        let header: [u8; 4] = chunks.array().map_err(damaged)?;
        let [kind, a, b, c] = header;
        let len = usize::try_from(u32::from_le_bytes([a, b, c, 0])).map_err(damaged)?;
        let mut body = Cursor::new(chunks.bytes(len).map_err(damaged)?);
        match kind {
            0xff if body.rest() == b"S2sTwO" || body.rest() == b"sNaPpY" => identified = true,
            0xff => return Err(damaged("unknown stream identifier")),
            0x80..=0xfe => {}
            _ if !identified => return Err(damaged("no stream identifier")),
            0x00 | 0x01 => {
                let crc = u32::from_le_bytes(body.array().map_err(damaged)?);
                let start = out.len();
                if kind == 0x00 {
                    block(body.rest(), limit, out)?;
                } else {
                    if start.saturating_add(body.rest().len()) > limit {
                        return Err(Error::TooLong { limit });
                    }
                    out.extend_from_slice(body.rest());
                }
                if masked_crc(out.get(start..).unwrap_or_default()) != crc {
                    return Err(damaged("checksum mismatch"));
                }
            }
            _ => return Err(damaged("unknown chunk")),
        }
    }
    Ok(())
}

/// Decompresses an S2 block and appends it to `out`.
fn block(data: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut input = Cursor::new(data);
    let len = input.uvarint().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= MAX_CHUNK);
    let len = len.ok_or_else(|| damaged("block is too long"))?;
    let base = out.len();
    let end = base.checked_add(len).filter(|end| *end <= limit).ok_or(Error::TooLong { limit })?;
    out.try_reserve(len).map_err(|_| Error::TooLong { limit })?;
    let mut last_offset = 0usize;
    while !input.rest().is_empty() {
        let tag = input.u8().map_err(damaged)?;
        let upper = usize::from(tag >> 2);
        let (copied, offset) = match tag & 3 {
            0 => {
                let n = literal_len(upper, &mut input)?;
                let literal = input.bytes(n).map_err(damaged)?;
                if end.saturating_sub(out.len()) < n {
                    return Err(damaged("block holds more than it says"));
                }
                out.extend_from_slice(literal);
                continue;
            }
            1 => {
                let low = usize::from(input.u8().map_err(damaged)?);
                match usize::from(tag >> 5) << 8 | low {
                    0 => (repeat_len(upper & 7, &mut input)?, last_offset),
                    offset => (4usize.saturating_add(upper & 7), offset),
                }
            }
            2 => (upper.saturating_add(1), usize::from(u16::from_le_bytes(input.array().map_err(damaged)?))),
            _ => {
                let offset = u32::from_le_bytes(input.array().map_err(damaged)?);
                (upper.saturating_add(1), usize::try_from(offset).map_err(damaged)?)
            }
        };
        last_offset = offset;
        copy_back(out, base, end, offset, copied)?;
    }
    if out.len() == end { Ok(()) } else { Err(damaged("block holds less than it says")) }
}

fn literal_len(m: usize, input: &mut Cursor<'_>) -> Result<usize, Error> {
    let more = match m {
        0..60 => return Ok(m.saturating_add(1)),
        _ => input.bytes(m.saturating_sub(59)).map_err(damaged)?,
    };
    let len = more.iter().rev().fold(0u32, |n, b| n << 8 | u32::from(*b));
    usize::try_from(len).ok().and_then(|n| n.checked_add(1)).ok_or_else(|| damaged("literal is too long"))
}

fn repeat_len(code: usize, input: &mut Cursor<'_>) -> Result<usize, Error> {
    let (bytes, base) = match code {
        5 => (1, 8),
        6 => (2, 260),
        7 => (3, 65_540),
        _ => return Ok(code.saturating_add(4)),
    };
    let more = input.bytes(bytes).map_err(damaged)?;
    let n = more.iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
    Ok(n.saturating_add(base))
}

/// Repeats `len` bytes that start `offset` before the end; they may overlap with what is being written.
fn copy_back(out: &mut Vec<u8>, base: usize, end: usize, offset: usize, len: usize) -> Result<(), Error> {
    let written = out.len().saturating_sub(base);
    if offset == 0 || offset > written || end.saturating_sub(out.len()) < len {
        return Err(damaged("copy from outside of the block"));
    }
    let mut left = len;
    while left > 0 {
        // Each round doubles what there is to copy from.
        let start = out.len().saturating_sub(offset);
        let n = left.min(offset);
        out.extend_from_within(start..start.saturating_add(n));
        left = left.saturating_sub(n);
    }
    Ok(())
}

fn masked_crc(data: &[u8]) -> u32 {
    let crc = u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, data)).unwrap_or_default();
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn damaged(what: impl ToString) -> Error {
    Error::damaged("s2", what)
}

#[cfg(test)]
pub(super) fn tests_masked_crc(data: &[u8]) -> u32 {
    masked_crc(data)
}
