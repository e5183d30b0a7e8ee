//! Decompresses data: a 4-byte header ID, then a stream of one of six families (§3.5).

mod deflate;
mod error;
mod limited;
#[cfg(feature = "lz4")]
mod lz4;
mod s2;
#[cfg(feature = "zstd")]
mod zstd;

pub use error::Error;

use crate::reader::Cursor;

/// A family of streams; the variants of one family decode identically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Gzip streams (RFC 1952), of any number of members.
    Gzip,
    /// Zstandard frames.
    Zstd,
    /// S2, a superset of Snappy's framing format.
    S2,
    /// LZ4 frames; written up to Kopia 0.22.
    Lz4,
    /// Raw deflate streams (RFC 1951).
    Deflate,
}

impl Family {
    /// Returns the family of a header ID.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn of(header_id: u32) -> Result<Self, Error> {
        Ok(match header_id {
            0x1000..=0x1002 | 0x1300..=0x1302 => Family::Gzip,
            0x1100..=0x1103 => Family::Zstd,
            0x1200..=0x1203 => Family::S2,
            0x1400 => Family::Lz4,
            0x1500..=0x1502 => Family::Deflate,
            other => return Err(Error::Unsupported(other)),
        })
    }
}

/// A decompressor; one per worker, since contexts are reused.
#[derive(Default)]
pub struct Decoder {
    #[cfg(feature = "zstd")]
    zstd: zstd::Zstd,
    deflate: deflate::Deflate,
}

impl Decoder {
    /// Decompresses `stream` (the data after the header) into `out`, which is cleared first and whose capacity is
    /// reused.
    ///
    /// With `original_len` exactly that many bytes must come out; without, at most `limit`. Nothing larger than that is
    /// ever allocated.
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::NoHeader`].
    pub fn decode(
        &mut self,
        header_id: u32,
        stream: &[u8],
        original_len: Option<usize>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        out.clear();
        if let Some(len) = original_len.filter(|len| *len > limit) {
            return Err(Error::Length { wanted: len, found: limit });
        }
        let limit = original_len.unwrap_or(limit);
        match Family::of(header_id)? {
            #[cfg(feature = "zstd")]
            Family::Zstd => self.zstd.decode(stream, original_len, limit, out)?,
            #[cfg(not(feature = "zstd"))]
            Family::Zstd => return Err(Error::NotBuilt("Zstandard")),
            Family::Gzip => self.deflate.gunzip(stream, original_len, limit, out)?,
            Family::Deflate => self.deflate.inflate(stream, original_len, limit, out)?,
            Family::S2 => s2::decode(stream, limit, out)?,
            #[cfg(feature = "lz4")]
            Family::Lz4 => lz4::decode(stream, limit, out)?,
            #[cfg(not(feature = "lz4"))]
            Family::Lz4 => return Err(Error::NotBuilt("LZ4")),
        }
        match original_len {
            Some(wanted) if wanted != out.len() => Err(Error::Length { wanted, found: out.len() }),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

/// Splits compressed data into its header ID and the stream.
///
/// # Errors
/// [`Error::NoHeader`].
pub fn split_header(data: &[u8]) -> Result<(u32, &[u8]), Error> {
    let mut cursor = Cursor::new(data);
    let header_id = cursor.u32().map_err(|_| Error::NoHeader(data.len()))?;
    Ok((header_id, cursor.rest()))
}

/// Decompresses a gzip stream without a header ID, as manifests are stored (§6.1), to at most `limit` bytes.
///
/// # Errors
/// [`Error::Damaged`], [`Error::TooLong`].
pub fn gunzip(stream: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    out.clear();
    deflate::Deflate::default().gunzip(stream, None, limit, out)
}

#[cfg(test)]
mod tests;
