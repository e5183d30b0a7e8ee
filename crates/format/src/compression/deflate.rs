//! Decompresses gzip, pgzip and raw deflate: by libdeflate when the length is known, by zlib-rs otherwise.

use libdeflater::{DecompressionError, Decompressor};

use super::error::Error;
use super::limited::read_limited;

/// A decompressor that is made when the first stream comes.
#[derive(Default)]
pub(super) struct Deflate(Option<Decompressor>);

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
        if let Some(len) = original_len {
            let decompressor = self.0.get_or_insert_with(Decompressor::new);
            out.try_reserve_exact(len).map_err(|_| Error::TooLong { limit })?;
            out.resize(len, 0);
            match decompressor.gzip_decompress(stream, out) {
                Ok(n) if n == len => return Ok(()),
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
        let Some(len) = original_len else {
            return read_limited(&mut flate2::bufread::DeflateDecoder::new(stream), RAW, limit, out);
        };
        let decompressor = self.0.get_or_insert_with(Decompressor::new);
        out.try_reserve_exact(len).map_err(|_| Error::TooLong { limit })?;
        out.resize(len, 0);
        match decompressor.deflate_decompress(stream, out) {
            Ok(n) => {
                out.truncate(n);
                Ok(())
            }
            Err(DecompressionError::InsufficientSpace) => Err(Error::TooLong { limit: len }),
            Err(e) => Err(Error::damaged(RAW, e)),
        }
    }
}
