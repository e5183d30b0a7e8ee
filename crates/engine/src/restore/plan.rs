//! Plans the pack reads of a window of the walk (pure).
//!
//! ```text
//! slices of files ──sort by pack, offset──► contents, each once ──coalesce──► pack reads
//! ```
//!
//! Promises: every slice of every file is covered exactly once; no content is read twice in a window; a pack read
//! exceeds the read size only when a single content does; tolerating a larger gap never costs more requests.

use std::ops::Range;

use rekopia_blob::coalesce::coalesce;
use rekopia_format::ContentId;

use crate::repository::index::{Location, PackIdx};

/// The limits of the pack reads of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlanOptions {
    /// Unwanted bytes between two contents that are read along.
    pub(crate) gap: u64,
    /// Bytes of one pack read.
    pub(crate) max_read: u64,
    /// Limits all gaps together to one part in `waste` of the wanted bytes; `u64::MAX`: no limit.
    pub(crate) waste: u64,
}

/// A content that is wanted at `target`.
#[derive(Debug, Clone)]
pub(crate) struct PlannedSlice<T> {
    pub(crate) content: ContentId,
    pub(crate) location: Location,
    pub(crate) target: T,
}

/// A request: a range of a pack and the contents inside it.
#[derive(Debug)]
pub(crate) struct PackRead<T> {
    pub(crate) pack: PackIdx,
    pub(crate) range: Range<u64>,
    pub(crate) contents: Vec<WantedContent<T>>,
}

/// A content in a pack read, with every place that wants its plaintext.
#[derive(Debug, Clone)]
pub(crate) struct WantedContent<T> {
    pub(crate) content: ContentId,
    pub(crate) location: Location,
    pub(crate) targets: Vec<T>,
}

impl<T> PackRead<T> {
    /// Returns the bytes of memory that the read takes: its bytes, plaintext that does not fit a worker's own buffer,
    /// and the entries that wait for it.
    pub(crate) fn cost(&self) -> u64 {
        let targets: usize = self.contents.iter().map(|c| c.targets.len()).sum();
        let packed = self.contents.iter().map(|c| &c.location.packed).filter(|p| p.compression != 0);
        let plain =
            packed.map(|p| u64::from(p.original_len)).max().filter(|len| *len > WORKER_BYTES).unwrap_or(0);
        self.range.end - self.range.start + plain + targets as u64 * TARGET_BYTES
    }
}

/// Plaintext of a usual content, for which each worker has a buffer of its own.
const WORKER_BYTES: u64 = 8 << 20;
/// Bytes that an entry takes while its data is on the way, about.
const TARGET_BYTES: u64 = 1024;

/// Plans the reads of a window. The order of `slices` does not matter.
pub(crate) fn plan<T>(mut slices: Vec<PlannedSlice<T>>, options: PlanOptions) -> Vec<PackRead<T>> {
    slices.sort_by_key(|s| (s.location.pack, s.location.offset, s.location.packed.packed_len, s.content));
    let mut contents: Vec<WantedContent<T>> = Vec::with_capacity(slices.len());
    for slice in slices {
        match contents.last_mut().filter(|c| c.content == slice.content) {
            Some(same) => same.targets.push(slice.target),
            None => contents.push(WantedContent {
                content: slice.content,
                location: slice.location,
                targets: vec![slice.target],
            }),
        }
    }
    let gap = tolerated_gap(&contents, options);
    let mut reads = Vec::new();
    let mut rest = contents.into_iter().peekable();
    while let Some(pack) = rest.peek().map(|c| c.location.pack) {
        let mut of_pack = Vec::new();
        while let Some(content) = rest.next_if(|c| c.location.pack == pack) {
            of_pack.push(content);
        }
        let ranges: Vec<Range<u64>> = of_pack.iter().map(|c| c.location.range()).collect();
        let mut of_pack = of_pack.into_iter();
        for request in coalesce(&ranges, gap, options.max_read) {
            let contents = of_pack.by_ref().take(request.covers.len()).collect();
            reads.push(PackRead { pack, range: request.range, contents });
        }
    }
    reads
}

/// Returns the largest gap that may be read along: the shortest gaps come first, until their bytes are too many.
fn tolerated_gap<T>(contents: &[WantedContent<T>], options: PlanOptions) -> u64 {
    if options.waste == u64::MAX {
        return options.gap;
    }
    let wanted: u64 = contents.iter().map(|c| u64::from(c.location.packed.packed_len)).sum();
    let neighbours = contents.windows(2).filter(|pair| pair[0].location.pack == pair[1].location.pack);
    let gaps = neighbours
        .map(|pair| pair[1].location.range().start.saturating_sub(pair[0].location.range().end))
        .filter(|gap| (1..=options.gap).contains(gap));
    let mut gaps: Vec<u64> = gaps.collect();
    gaps.sort_unstable();
    let mut left = wanted / options.waste.max(1);
    let mut tolerated = 0;
    // Gaps of one length stand or fall together: the answer is a length.
    for same in gaps.chunk_by(|a, b| a == b) {
        let bytes = same[0].saturating_mul(same.len() as u64);
        let Some(rest) = left.checked_sub(bytes) else { break };
        (left, tolerated) = (rest, same[0]);
    }
    tolerated
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rekopia_format::content::Packed;

    use super::*;

    fn slices() -> impl Strategy<Value = Vec<PlannedSlice<usize>>> {
        let one = (0u32..4, 0u32..200, 1u32..50);
        proptest::collection::vec(one, 0..120).prop_map(|all| {
            let planned = all.into_iter().enumerate().map(|(target, (pack, slot, len))| {
                // The place decides the ID and the length, so that there is one content per place.
                let len = 1 + (slot * 7 + pack) % len.max(1);
                let mut hash = [0u8; 16];
                hash[..4].copy_from_slice(&pack.to_be_bytes());
                hash[4..8].copy_from_slice(&slot.to_be_bytes());
                hash[8..12].copy_from_slice(&len.to_be_bytes());
                let packed = Packed { packed_len: len, original_len: len, compression: 0 };
                let location = Location { pack: PackIdx(pack), offset: slot * 50, packed, deleted: false };
                PlannedSlice { content: ContentId::new(0, &hash).unwrap(), location, target }
            });
            planned.collect()
        })
    }

    proptest! {
        #[test]
        fn every_slice_is_covered_once_and_no_content_is_read_twice(
            slices in slices(), gap in 0u64..500, max_read in 1u64..2000, waste in 1u64..20,
        ) {
            let wanted: BTreeSet<usize> = slices.iter().map(|s| s.target).collect();
            let reads = plan(slices.clone(), PlanOptions { gap, max_read, waste: u64::MAX });
            let mut covered = Vec::new();
            let mut contents = BTreeSet::new();
            for read in &reads {
                prop_assert!(read.contents.len() == 1 || read.range.end - read.range.start <= max_read);
                for content in &read.contents {
                    let range = content.location.range();
                    prop_assert!(content.location.pack == read.pack);
                    prop_assert!(read.range.start <= range.start && range.end <= read.range.end);
                    prop_assert!(contents.insert(content.content));
                    covered.extend(content.targets.iter().copied());
                }
            }
            covered.sort_unstable();
            prop_assert_eq!(covered, wanted.into_iter().collect::<Vec<_>>());
            let wider = plan(slices.clone(), PlanOptions { gap: gap + 100, max_read, waste: u64::MAX });
            prop_assert!(wider.len() <= reads.len());

            let thrifty = plan(slices.clone(), PlanOptions { gap, max_read, waste });
            let both = plan(slices, PlanOptions { gap: gap + 100, max_read, waste });
            prop_assert!(both.len() <= thrifty.len());
            let read: u64 = thrifty.iter().map(|r| r.range.end - r.range.start).sum();
            let packed = |c: &WantedContent<usize>| u64::from(c.location.packed.packed_len);
            let wanted: u64 = thrifty.iter().flat_map(|r| &r.contents).map(packed).sum();
            prop_assert!(read <= wanted + wanted / waste, "{read} bytes for {wanted}");
        }
    }
}
