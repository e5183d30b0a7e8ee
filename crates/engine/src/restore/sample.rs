//! Draws some of the reads of a plan evenly, for a probe.

use std::collections::BinaryHeap;

use rekopia_format::ContentId;

use super::plan::{PackRead, PlannedSlice};
use crate::repository::index::Location;

/// Bytes of a sample: with the gaps that are read along a probe stays below 64 MiB.
const BYTES: u64 = 56 << 20;
/// Contents of a sample: they are kept in memory, some hundred bytes each.
const CONTENTS: usize = 50_000;

/// Reads of a plan, whichever come first when all are shuffled.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The reads that are kept; the one that goes first when there are too many is on top.
    kept: BinaryHeap<Drawn>,
    bytes: u64,
    contents: usize,
}

/// A read with its lot.
#[derive(Debug)]
struct Drawn {
    lot: u64,
    bytes: u64,
    contents: Vec<(ContentId, Location)>,
}

impl Sample {
    /// Keeps a read, or does not, or keeps it in place of others. The same plan gives the same sample.
    pub(crate) fn take<T>(&mut self, read: &PackRead<T>) {
        let lot = lot(u64::from(read.pack.0) << 32 ^ read.range.start);
        let is_full = self.bytes >= BYTES || self.contents >= CONTENTS;
        if is_full && self.kept.peek().is_some_and(|worst| worst.lot <= lot) {
            return;
        }
        let contents: Vec<_> = read.contents.iter().map(|c| (c.content, c.location)).collect();
        let bytes = read.range.end - read.range.start;
        (self.bytes, self.contents) = (self.bytes + bytes, self.contents + contents.len());
        self.kept.push(Drawn { lot, bytes, contents });
        while (self.bytes > BYTES || self.contents > CONTENTS)
            && self.kept.len() > 1
            && let Some(worst) = self.kept.pop()
        {
            (self.bytes, self.contents) = (self.bytes - worst.bytes, self.contents - worst.contents.len());
        }
    }

    /// Returns the contents of the sample, those of one read together; all in all at most [`BYTES`].
    pub(crate) fn into_slices(self) -> Vec<PlannedSlice<()>> {
        let mut left = BYTES;
        let mut slices = Vec::with_capacity(self.contents);
        for (content, location) in self.kept.into_sorted_vec().into_iter().flat_map(|drawn| drawn.contents) {
            let Some(rest) = left.checked_sub(u64::from(location.packed.packed_len)) else { break };
            left = rest;
            slices.push(PlannedSlice { content, location, target: () });
        }
        slices
    }
}

impl PartialEq for Drawn {
    fn eq(&self, other: &Self) -> bool {
        self.lot == other.lot
    }
}

impl Eq for Drawn {}

impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.lot.cmp(&other.lot)
    }
}

/// Returns a number that looks drawn by lot (the finaliser of SplitMix64).
fn lot(of: u64) -> u64 {
    let x = of.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use rekopia_format::content::Packed;

    use super::*;
    use crate::repository::index::PackIdx;
    use crate::restore::plan::WantedContent;

    fn read(pack: u32, bytes: u32) -> PackRead<u8> {
        let packed = Packed { packed_len: bytes, original_len: bytes, compression: 0 };
        let location = Location { pack: PackIdx(pack), offset: 0, packed, deleted: false };
        let content = ContentId::new(0, &[7; 16]).unwrap();
        let contents = vec![WantedContent { content, location, targets: vec![1] }];
        PackRead { pack: PackIdx(pack), range: 0..u64::from(bytes), contents }
    }

    #[test]
    fn a_sample_is_bounded_and_drawn_from_everywhere() {
        let mut sample = Sample::default();
        for pack in 0..1000 {
            sample.take(&read(pack, 4 << 20));
            assert!(sample.bytes <= BYTES + (4 << 20));
        }
        let slices = sample.into_slices();
        assert_eq!(slices.len(), 14);
        let packs: Vec<u32> = slices.iter().map(|slice| slice.location.pack.0).collect();
        assert!(packs.iter().any(|pack| *pack < 300) && packs.iter().any(|pack| *pack > 700), "{packs:?}");
    }

    #[test]
    fn a_small_plan_is_its_own_sample_and_a_huge_content_none() {
        let mut sample = Sample::default();
        for pack in 0..5 {
            sample.take(&read(pack, 100));
        }
        assert_eq!(sample.into_slices().len(), 5);
        let mut sample = Sample::default();
        sample.take(&read(1, 1 << 30));
        assert!(sample.into_slices().is_empty());
    }
}
