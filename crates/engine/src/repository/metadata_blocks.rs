//! Reads metadata a little further than asked for: from far away a round trip costs more than half a megabyte.
//!
//! A snapshot's directories lie close together in few `q` packs, but each is known only when its parent has been
//! read. Blocks of those packs are kept, so that a chain of directories is not a chain of requests. Where they are
//! scattered over the packs of many backups, most of a block is of no use: then just the contents are read.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::index::{ContentIndex, Location, PackIdx};

/// Blocks of metadata packs, oldest first.
#[derive(Debug, Default)]
pub(crate) struct MetadataBlocks {
    /// Where contents lie in each metadata pack: nothing is read beyond.
    extents: OnceLock<HashMap<PackIdx, Range<u64>>>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The blocks that are kept, oldest first.
    blocks: VecDeque<Block>,
    /// Blocks that were asked for, by their pack and start.
    asked: HashSet<(PackIdx, u64)>,
    /// Bytes of the blocks that were asked for.
    asked_bytes: u64,
    /// Bytes of the contents that these blocks, and reads of single contents, were asked for.
    wanted_bytes: u64,
}

#[derive(Debug)]
struct Block {
    pack: PackIdx,
    start: u64,
    bytes: Arc<Vec<u8>>,
}

/// Bytes that are read around a content.
const BLOCK: u64 = 256 << 10;
/// Bytes of blocks that are kept.
const KEPT: usize = 8 << 20;
/// Bytes that may be read along before it is known whether they are of use.
const TRUST: u64 = 512 << 10;

impl MetadataBlocks {
    /// Returns the block that a content of a metadata pack lies in; of any other pack, just the content.
    pub(crate) fn widen(&self, index: &ContentIndex, location: &Location) -> Range<u64> {
        let extents = self.extents.get_or_init(|| index.metadata_extents());
        let range = location.range();
        let Some(extent) = extents.get(&location.pack) else { return range };
        let start = (range.start / BLOCK * BLOCK).max(extent.start);
        let end = range.end.div_ceil(BLOCK).saturating_mul(BLOCK).min(extent.end);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.wanted_bytes += range.end - range.start;
        if !kept.asked.contains(&(location.pack, start)) {
            let asked_bytes = kept.asked_bytes + end.saturating_sub(start);
            if asked_bytes > kept.wanted_bytes + kept.wanted_bytes / 4 + TRUST {
                return range;
            }
            kept.asked_bytes = asked_bytes;
            kept.asked.insert((location.pack, start));
        }
        start..end
    }

    /// Returns a kept block that holds the range, with its place in the pack.
    pub(crate) fn find(&self, pack: PackIdx, range: &Range<u64>) -> Option<(u64, Arc<Vec<u8>>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |b: &&Block| {
            b.pack == pack && b.start <= range.start && range.end <= b.start + b.bytes.len() as u64
        };
        kept.blocks.iter().rev().find(holds).map(|b| (b.start, Arc::clone(&b.bytes)))
    }

    /// Drops what is kept of a pack.
    pub(crate) fn forget(&self, pack: PackIdx) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.blocks.retain(|block| block.pack != pack);
    }

    /// Keeps a block, and drops the oldest when there are too many bytes.
    pub(crate) fn keep(&self, pack: PackIdx, start: u64, bytes: &Arc<Vec<u8>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.blocks.iter().any(|b| Arc::ptr_eq(&b.bytes, bytes)) {
            return;
        }
        kept.blocks.push_back(Block { pack, start, bytes: Arc::clone(bytes) });
        while kept.blocks.iter().map(|b| b.bytes.len()).sum::<usize>() > KEPT && kept.blocks.len() > 1 {
            if let Some(oldest) = kept.blocks.pop_front() {
                let range = oldest.start..oldest.start + oldest.bytes.len() as u64;
                kept.asked.retain(|(pack, start)| *pack != oldest.pack || !range.contains(start));
            }
        }
    }
}
