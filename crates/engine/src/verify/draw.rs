//! Decides what is read this time, and in which order (pure).
//!
//! All that is needed, in the order of the packs; where less is to be read than that, or a state says what was read before:
//! first what nobody has read yet, pack after pack in a random order, then what was read longest ago.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;

use crate::repository::index::PackIdx;

/// The part of a pack that was read last at one time, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Portion {
    pub(crate) pack: PackIdx,
    /// The time of the last reading, in seconds since 1970; `None`: never.
    pub(crate) at: Option<i64>,
    /// Whether the portion could not be read the last time: then it is read in every run, whatever the limits are.
    pub(crate) is_bad: bool,
}

/// The contents that there are of each portion.
#[derive(Debug, Default)]
pub(crate) struct Due {
    portions: HashMap<Portion, Amount>,
    /// Packed bytes of the longest content.
    pub(crate) longest: u64,
}

/// The size of a portion, and its place in the pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) contents: u64,
    bytes: u64,
    /// The offsets from the start of the first content to that of the last.
    pub(crate) offsets: RangeInclusive<u32>,
}

/// The limits of how much is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Packed bytes to read at least, where there are so many.
    pub(crate) at_least: Option<u64>,
    /// Packed bytes to read at most.
    pub(crate) at_most: Option<u64>,
    /// Whether what was never read comes first, and everything in a random order: not all of it may be reached.
    pub(crate) shuffles: bool,
}

impl Due {
    /// Takes note of a content that could be read.
    pub(crate) fn add(&mut self, portion: Portion, offset: u32, packed_bytes: u64) {
        let nothing = || Amount { contents: 0, bytes: 0, offsets: offset..=offset };
        let amount = self.portions.entry(portion).or_insert_with(nothing);
        amount.offsets = offset.min(*amount.offsets.start())..=offset.max(*amount.offsets.end());
        self.longest = self.longest.max(packed_bytes);
        amount.contents += 1;
        amount.bytes += packed_bytes;
    }

    /// Returns portions in the order in which they are read, as far as the limits may reach into them, with how much
    /// there is of each.
    pub(crate) fn draw(self, limits: &Limits) -> Vec<(Portion, Amount)> {
        let random = RandomState::new();
        let rank = |pack: PackIdx| if limits.shuffles { random.hash_one(pack) } else { 0 };
        let mut all: Vec<(Portion, Amount)> = self.portions.into_iter().collect();
        let order = |portion: &Portion| {
            let at = portion.at.filter(|_| limits.shuffles);
            (!portion.is_bad, at, rank(portion.pack), portion.pack, portion.at)
        };
        all.sort_by_cached_key(|(portion, _)| order(portion));
        // Contents that are too long for the bound are replaced by others: how far it reaches is not known.
        let least = limits.at_least.unwrap_or(u64::MAX);
        let mut before = 0;
        all.retain(|(portion, amount)| {
            let is_reached = portion.is_bad || before < least;
            before += if portion.is_bad { 0 } else { amount.bytes };
            is_reached
        });
        all
    }
}

/// Counts what is taken of the portions, content by content.
#[derive(Debug)]
pub(crate) struct Purse {
    limits: Limits,
    taken: u64,
}

impl Purse {
    pub(crate) fn new(limits: Limits) -> Self {
        Purse { limits, taken: 0 }
    }

    /// Whether a content is still taken.
    pub(crate) fn takes(&mut self, packed_bytes: u64) -> bool {
        let fits = self.limits.at_most.is_none_or(|most| self.taken + packed_bytes <= most);
        let takes = fits && self.limits.at_least.is_none_or(|least| self.taken < least);
        if takes {
            self.taken += packed_bytes;
        }
        takes
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_spent(&self) -> bool {
        let most = self.limits.at_most.is_some_and(|most| self.taken >= most - most / 100);
        most || self.limits.at_least.is_some_and(|least| self.taken >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(portions: &[(u32, Option<i64>, u64)]) -> Due {
        let mut due = Due::default();
        for (pack, at, bytes) in portions {
            due.add(Portion { pack: PackIdx(*pack), at: *at, is_bad: *pack == 9 }, 0, *bytes);
        }
        due
    }

    fn drawn(portions: &[(u32, Option<i64>, u64)], limits: Limits) -> Vec<(u32, Option<i64>)> {
        due(portions).draw(&limits).into_iter().map(|(p, _)| (p.pack.0, p.at)).collect()
    }

    const SOME: &[(u32, Option<i64>, u64)] =
        &[(1, Some(7), 10), (0, None, 10), (2, Some(3), 10), (3, None, 10), (1, None, 10)];

    #[test]
    fn all_is_read_pack_by_pack() {
        let all = drawn(SOME, Limits::default());
        assert_eq!(all, [(0, None), (1, None), (1, Some(7)), (2, Some(3)), (3, None)]);
    }

    #[test]
    fn what_was_never_read_comes_first_and_then_the_oldest() {
        let limits = Limits { at_least: Some(41), at_most: None, shuffles: true };
        let all = drawn(SOME, limits);
        assert!(all[..3].iter().all(|(_, at)| at.is_none()), "{all:?}");
        assert_eq!(all[3..], [(2, Some(3)), (1, Some(7))]);
        let few = drawn(SOME, Limits { at_least: Some(40), ..limits });
        assert_eq!(few[3..], [(2, Some(3))]);
        // What is known to be bad comes before all, and costs nothing.
        let bad = drawn(&[SOME, &[(9, None, 1000)]].concat(), Limits { at_least: Some(5), ..limits });
        assert_eq!((bad[0], bad.len()), ((9, None), 2));
        let orders: std::collections::HashSet<_> = (0..64).map(|_| drawn(SOME, limits)).collect();
        assert!(orders.len() > 1, "the order is random");
    }

    #[test]
    fn a_sample_is_no_smaller_and_a_bound_is_a_bound() {
        let takes = |at_least, at_most| {
            let mut purse = Purse::new(Limits { at_least, at_most, shuffles: true });
            (0..10).filter(|_| purse.takes(10)).count()
        };
        assert_eq!(takes(None, None), 10);
        assert_eq!(takes(Some(31), None), 4);
        assert_eq!(takes(None, Some(39)), 3);
        assert_eq!(takes(Some(31), Some(39)), 3);
        assert_eq!(takes(Some(0), None), 0);
    }
}
