//! Decompresses LZ4 frames, which Kopia wrote from 0.9 to 0.22.

use super::error::Error;
use super::limited::read_limited;

pub(super) fn decode(stream: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    read_limited(&mut lz4_flex::frame::FrameDecoder::new(stream), "lz4", limit, out)
}
