//! Decompresses Zstandard frames, by libzstd with one context for all contents.

use zstd::bulk::Decompressor;
use zstd::zstd_safe::DParameter;

use super::error::Error;
use super::limited::read_limited;

/// A decompressor that is made when the first frame comes.
#[derive(Default)]
pub(super) struct Zstd(Option<Decompressor<'static>>);

/// The largest window: 128 MiB, four times of what Kopia ever wrote.
const WINDOW_LOG: u32 = 27;
const NAME: &str = "zstd";

impl Zstd {
    pub(super) fn decode(
        &mut self,
        stream: &[u8],
        original_len: Option<usize>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Some(len) = original_len else {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(stream).map_err(|e| Error::damaged(NAME, e))?;
            decoder.window_log_max(WINDOW_LOG).map_err(|e| Error::damaged(NAME, e))?;
            return read_limited(&mut decoder, NAME, limit, out);
        };
        let context = match &mut self.0 {
            Some(context) => context,
            none => {
                let mut made = Decompressor::new().map_err(|e| Error::damaged(NAME, e))?;
                made.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
                    .map_err(|e| Error::damaged(NAME, e))?;
                none.insert(made)
            }
        };
        out.try_reserve_exact(len).map_err(|_| Error::TooLong { limit: len })?;
        // Writes into spare capacity: nothing is zeroed first. Capacity is the limit, so it must not exceed it.
        if out.capacity() > len.saturating_mul(2).saturating_add(1 << 20) {
            out.shrink_to(len);
        }
        context.decompress_to_buffer(stream, out).map_err(|e| Error::damaged(NAME, e))?;
        Ok(())
    }
}
