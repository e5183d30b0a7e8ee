//! gzip, pgzip and raw deflate: libdeflate when the length is known and it is built in, zlib-rs otherwise.

#[cfg(feature = "libdeflate")]
use libdeflater::{DecompressionError, Decompressor};

use super::error::Error;
use super::limited::read_limited;

/// A decompressor that is made when the first stream comes.
#[derive(Default)]
pub(super) struct Deflate {
    #[cfg(feature = "libdeflate")]
    known: Option<Decompressor>,
}

const GZIP: &str = "gzip";
const RAW: &str = "deflate";

impl Deflate {
    pub(super) fn gunzip(
        &mut self,
        stream: &[u8],
        original_len: Option<usize>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        #[cfg(feature = "libdeflate")]
        if let Some(len) = original_len {
            let decompressor = self.known.get_or_insert_with(Decompressor::new);
            out.try_reserve_exact(len).map_err(|_| Error::TooLong { limit })?;
            out.resize(len, 0);
            match decompressor.gzip_decompress(stream, out) {
                // libdeflate stops behind the first member: the last one, which may be another, ends with its length.
                Ok(n) if n == len && last_member_len(stream) == u32::try_from(len).ok() => return Ok(()),
                // Several members in a row, or another length: the streaming decoder tells them apart.
                Ok(_) | Err(DecompressionError::InsufficientSpace) => out.clear(),
                Err(e) => return Err(Error::damaged(GZIP, e)),
            }
        }
        read_limited(&mut flate2::bufread::MultiGzDecoder::new(stream), GZIP, limit, out)
    }

    pub(super) fn inflate(
        &mut self,
        stream: &[u8],
        original_len: Option<usize>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        #[cfg(feature = "libdeflate")]
        if let Some(len) = original_len {
            let decompressor = self.known.get_or_insert_with(Decompressor::new);
            out.try_reserve_exact(len).map_err(|_| Error::TooLong { limit })?;
            out.resize(len, 0);
            let done = decompressor.deflate_decompress(stream, out).map_err(|e| match e {
                DecompressionError::InsufficientSpace => Error::TooLong { limit: len },
                e => Error::damaged(RAW, e),
            });
            return done.map(|n| out.truncate(n));
        }
        read_limited(&mut flate2::bufread::DeflateDecoder::new(stream), RAW, limit, out)
    }
}

/// The length that the last member of a gzip stream says of itself, modulo 2³².
#[cfg(feature = "libdeflate")]
fn last_member_len(stream: &[u8]) -> Option<u32> {
    stream.last_chunk::<4>().map(|len| u32::from_le_bytes(*len))
}
