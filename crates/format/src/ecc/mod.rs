//! Corrects errors: Reed–Solomon shards with a CRC each, around every encrypted item (§3.6).
//!
//! ```text
//! parity shards of all blocks: (crc u32 · shard) × p × blocks
//! data shards:                 (crc u32 · shard) × d × blocks        shards = u32 length · input · zeros
//! ```

#[cfg(any(test, feature = "encode"))]
mod encode;
mod galois;
mod geometry;
mod reed_solomon;

use std::sync::OnceLock;

use crc_fast::{CrcAlgorithm, checksum};

use geometry::{Geometry, Layout};
use reed_solomon::ReedSolomon;

/// The reason why error correction cannot give an item back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The overhead is not between 1 and 100 per cent.
    #[error("error correction with {0} % overhead is not supported")]
    Overhead(u32),
    /// The stored bytes cannot be what was written.
    #[error("{0} bytes cannot hold an item with error correction")]
    Length(usize),
    /// More shards are damaged than parity can replace.
    #[error("damaged beyond repair: {good} of {wanted} needed shards of a block are good")]
    Unrepairable {
        /// Number of shards that are needed.
        wanted: usize,
        /// Number of shards whose checksum is right.
        good: usize,
    },
}

/// The error correction of a repository, by its overhead.
pub struct Ecc {
    geometry: Geometry,
    /// The codes of small and of other items; made when they are needed first, since that takes a while.
    codes: [OnceLock<ReedSolomon>; 2],
}

/// Bytes of the checksum in front of each shard.
const CRC: usize = 4;

impl Ecc {
    /// Makes the code for an overhead of 1…100 per cent.
    ///
    /// # Errors
    /// [`Error::Overhead`].
    pub fn new(overhead_percent: u32) -> Result<Self, Error> {
        let geometry = Geometry::of(overhead_percent).ok_or(Error::Overhead(overhead_percent))?;
        Ok(Ecc { geometry, codes: Default::default() })
    }

    /// Returns the input that `stored` protects, moved together inside its buffer; repairs it if needed.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Unrepairable`].
    pub fn decode_in_place<'a>(&self, stored: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        self.decode_and_count(stored, &mut 0)
    }

    /// Returns the input as [`decode_in_place`](Self::decode_in_place) does; adds the number of shards that were
    /// damaged to `damaged`.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Unrepairable`].
    pub fn decode_and_count<'a>(
        &self,
        stored: &'a mut [u8],
        damaged: &mut u64,
    ) -> Result<&'a mut [u8], Error> {
        let bad_length = Error::Length(stored.len());
        let layout = self.geometry.of_stored(stored.len()).ok_or(bad_length.clone())?;
        let parity_len = layout.parity_len().ok_or(bad_length.clone())?;
        if parity_len > stored.len() {
            return Err(bad_length);
        }
        let (parity, data) = stored.split_at_mut(parity_len);
        if data_is_good(&layout, data) {
            let len = compact(&layout, data);
            return input(data, len).ok_or(bad_length);
        }
        let repaired = self.repair(&layout, parity, data, damaged)?;
        let len = repaired.len().min(data.len());
        let (repaired, data) = (repaired.get(..len), data.get_mut(..len));
        match (repaired, data) {
            (Some(repaired), Some(data)) => {
                data.copy_from_slice(repaired);
                input(data, len).ok_or(bad_length)
            }
            _ => Err(bad_length),
        }
    }

    /// Restores erased shards block by block; returns the shards of all blocks together.
    fn repair(
        &self,
        layout: &Layout,
        parity: &[u8],
        data: &[u8],
        damaged: &mut u64,
    ) -> Result<Vec<u8>, Error> {
        let step = layout.stored_shard();
        let mut out = Vec::with_capacity(data.len());
        let (data_block, parity_block) =
            (step.saturating_mul(layout.data), step.saturating_mul(layout.parity));
        for (block, parities) in (0..layout.blocks).zip(parity.chunks(parity_block.max(1))) {
            let start = block.saturating_mul(data_block);
            let mut shards: Vec<Option<Vec<u8>>> =
                Vec::with_capacity(layout.data.saturating_add(layout.parity));
            for i in 0..layout.data {
                let from = start.saturating_add(i.saturating_mul(step));
                let stored = data.get(from..from.saturating_add(step).min(data.len())).unwrap_or_default();
                // A shard that begins at or beyond the end was never stored: zeros.
                let good = stored.is_empty() || shard_is_good(layout, stored);
                shards.push(good.then(|| {
                    let mut shard = stored.get(CRC..).unwrap_or_default().to_vec();
                    shard.resize(layout.shard, 0);
                    shard
                }));
            }
            for stored in parities.chunks(step) {
                shards.push(
                    shard_is_good(layout, stored).then(|| stored.get(CRC..).unwrap_or_default().to_vec()),
                );
            }
            let good = shards.iter().flatten().count();
            let bad = u64::try_from(shards.len().saturating_sub(good)).unwrap_or(u64::MAX);
            *damaged = damaged.saturating_add(bad);
            if good < layout.data {
                return Err(Error::Unrepairable { wanted: layout.data, good });
            }
            let restored = self.code(layout).reconstruct(&shards, layout.shard);
            let restored = restored.ok_or(Error::Unrepairable { wanted: layout.data, good })?;
            restored.iter().for_each(|shard| out.extend_from_slice(shard));
        }
        Ok(out)
    }

    fn code(&self, layout: &Layout) -> &ReedSolomon {
        let [small, big] = &self.codes;
        let code = if layout.is_small() { small } else { big };
        code.get_or_init(|| ReedSolomon::new(layout.data, layout.parity))
    }
}

/// Returns the input behind its length.
fn input(data: &mut [u8], available: usize) -> Option<&mut [u8]> {
    let shards = data.get_mut(..available)?;
    let (len, rest) = shards.split_first_chunk_mut::<4>()?;
    rest.get_mut(..usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

/// Whether every stored data shard has the right checksum; what lies beyond the end are zeros.
fn data_is_good(layout: &Layout, data: &[u8]) -> bool {
    data.chunks(layout.stored_shard()).all(|stored| shard_is_good(layout, stored))
}

fn shard_is_good(layout: &Layout, stored: &[u8]) -> bool {
    let Some((expected, shard)) = stored.split_first_chunk::<CRC>() else {
        // The end of the data cuts a checksum: only zeros can follow, and nothing was stored.
        return false;
    };
    if shard.len() == layout.shard {
        return crc(shard) == *expected;
    }
    // The last shard is stored short, but its checksum covers its zeros.
    let mut whole = shard.to_vec();
    whole.resize(layout.shard, 0);
    crc(&whole) == *expected
}

/// Moves the shards together, over their checksums; returns the bytes that they have.
fn compact(layout: &Layout, data: &mut [u8]) -> usize {
    let (step, mut from, mut to) = (layout.stored_shard(), 0usize, 0usize);
    while from < data.len() {
        let end = from.saturating_add(step).min(data.len());
        let start = from.saturating_add(CRC).min(end);
        data.copy_within(start..end, to);
        to = to.saturating_add(end.saturating_sub(start));
        from = end;
    }
    to
}

fn crc(shard: &[u8]) -> [u8; CRC] {
    u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, shard)).unwrap_or_default().to_be_bytes()
}

impl std::fmt::Debug for Ecc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ecc").field("geometry", &self.geometry).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
