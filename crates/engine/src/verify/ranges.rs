//! Keeps ranges of bytes, in order and apart.

use std::ops::Range;

/// Ranges that neither touch nor overlap, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a range; what touches becomes one.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|other| other.end < range.start);
        let last = self.0.partition_point(|other| other.start <= range.end);
        let touched = self.0.get(first..last).unwrap_or_default();
        let start = touched.first().map_or(range.start, |other| other.start.min(range.start));
        let end = touched.last().map_or(range.end, |other| other.end.max(range.end));
        self.0.splice(first..last, std::iter::once(start..end));
    }

    /// Returns the ranges.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// Whether all of a range is in one of the set's.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        let first = self.0.partition_point(|other| other.end < range.end);
        self.0.get(first).is_some_and(|other| other.start <= range.start)
    }

    /// Returns which parts of a range are in none of the set's.
    pub(crate) fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.0.partition_point(|other| other.end <= range.start);
        let mut at = range.start;
        let within = self.0.iter().skip(first).take_while(move |other| other.start < range.end);
        let ends = within.map(|other| (other.start, other.end)).chain([(range.end, range.end)]);
        ends.filter_map(move |(start, end)| {
            let gap = at..start;
            at = at.max(end);
            (!gap.is_empty()).then_some(gap)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_sets_of_bytes(added in proptest::collection::vec((0u64..100, 0u64..20), 0..20)) {
            let (mut ranges, mut bytes) = (Ranges::default(), [false; 130]);
            for (start, len) in added {
                ranges.add(start..start + len);
                bytes[start as usize..(start + len) as usize].fill(true);
            }
            prop_assert!(ranges.0.windows(2).all(|pair| pair[0].end < pair[1].start));
            for start in 0..110u64 {
                let range = start..start + 9;
                let within = &bytes[start as usize..start as usize + 9];
                prop_assert_eq!(ranges.covers(&range), within.iter().all(|byte| *byte));
                let mut left = [true; 9];
                for gap in ranges.gaps(range) {
                    left[(gap.start - start) as usize..(gap.end - start) as usize].fill(false);
                }
                prop_assert_eq!(&left[..], within);
            }
        }
    }
}
