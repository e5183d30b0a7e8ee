//! Encodes, as a writer of repositories does: no restore needs it; tests do. No restore needs it; tests do.

use super::geometry::{Geometry, Layout, SMALL_DATA, SMALL_PARITY};
use super::reed_solomon::{ReedSolomon, combine};
use super::{Ecc, crc};

impl Ecc {
    /// Protects `input`; returns what is stored of it.
    pub fn encode(&self, input: &[u8]) -> Vec<u8> {
        let len = u32::try_from(input.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut buf = [&len[..], input].concat();
        let used = buf.len();
        let layout = self.geometry.of_input(used);
        let (size, d) = (layout.shard, layout.data);
        buf.resize(size.saturating_mul(d).saturating_mul(layout.blocks), 0);
        let code = self.code(&layout);
        let mut out = Vec::new();
        let block_len = size.saturating_mul(d).max(1);
        for block in buf.chunks(block_len) {
            let shards: Vec<&[u8]> = block.chunks(size.max(1)).collect();
            for shard in parity(code, &shards) {
                out.extend_from_slice(&crc(&shard));
                out.extend_from_slice(&shard);
            }
        }
        // The zeros at the end of one block are stored, those of several are not.
        let mut left = if layout.blocks == 1 { buf.len() } else { used };
        for shard in buf.chunks(size.max(1)) {
            if left == 0 {
                break;
            }
            let n = left.min(shard.len());
            out.extend_from_slice(&crc(shard));
            out.extend_from_slice(shard.get(..n).unwrap_or_default());
            left = left.saturating_sub(n);
        }
        out
    }
}

impl Geometry {
    /// Returns the bytes up to which an input is one block.
    pub(super) fn block_input(self) -> usize {
        self.data.saturating_mul(self.big_shard)
    }

    /// Returns the layout of an input of `n` bytes, its length included.
    fn of_input(self, n: usize) -> Layout {
        let (data, parity) = (self.data, self.parity);
        if n <= self.small_input() {
            Layout { data: SMALL_DATA, parity: SMALL_PARITY, shard: n.div_ceil(SMALL_DATA), blocks: 1 }
        } else if n <= self.block_input() {
            Layout { data, parity, shard: n.div_ceil(data.max(1)), blocks: 1 }
        } else {
            Layout { data, parity, shard: self.big_shard, blocks: n.div_ceil(self.block_input().max(1)) }
        }
    }
}

/// Returns the parity shards of `shards`.
fn parity(code: &ReedSolomon, shards: &[&[u8]]) -> Vec<Vec<u8>> {
    let len = shards.first().map_or(0, |s| s.len());
    let rows = code.matrix.iter().skip(code.data);
    rows.map(|row| combine(row, shards.iter().copied(), len)).collect()
}
