//! Selects the index blobs of the epoch set that count: a pure function of a listing (§4.8).
//!
//! ```text
//! epoch   0 … 9   10 … 19   20    21    22 = W−2   W−1   W   W+1
//!         └─xr─┘  └──xr──┘  xs    xn    xs         xn    xn  xn
//! ```
//! Ranges first, as far as they join up from 0; then one epoch after the other, compacted (`xs`) where that is
//! complete and the epoch has settled, else everything its writers left (`xn`).

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ids::BlobId;

/// The blobs of the epoch set, by family, in listing order. Blobs with names that do not fit are ignored.
#[derive(Debug, Clone, Default)]
pub struct EpochListing {
    /// Markers `xe`: an epoch has begun.
    pub markers: Vec<BlobId>,
    /// Markers `xw`: deletions up to this second count.
    pub watermarks: Vec<BlobId>,
    /// Index blobs `xn`, written during an epoch.
    pub sessions: Vec<BlobId>,
    /// Index blobs `xs`: one epoch, compacted.
    pub singles: Vec<BlobId>,
    /// Index blobs `xr`: a range of epochs, compacted.
    pub ranges: Vec<BlobId>,
}

/// The index blobs that are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The names of the index blobs, in the order of their epochs.
    pub blobs: Vec<BlobId>,
    /// The watermark in Unix seconds: deleted winners of this time and before do not exist (§4.5).
    pub watermark: Option<u64>,
    /// The greatest epoch that has a marker (W); 0 without one.
    pub current_epoch: u64,
    /// Whether there are blobs of later epochs than W + 1: then a marker is lost.
    pub is_marker_lost: bool,
}

impl EpochListing {
    /// Sorts the blobs of a listing of `x` into families.
    pub fn from_blobs(blobs: impl IntoIterator<Item = BlobId>) -> Self {
        let mut listing = EpochListing::default();
        for blob in blobs {
            let family = match blob.as_str().get(..2) {
                Some("xe") => &mut listing.markers,
                Some("xw") => &mut listing.watermarks,
                Some("xn") => &mut listing.sessions,
                Some("xs") => &mut listing.singles,
                Some("xr") => &mut listing.ranges,
                _ => continue,
            };
            family.push(blob);
        }
        listing
    }

    /// Returns the listing without these compactions. What sessions left stays: there is nothing in its place.
    pub fn without_compactions(&self, bad: &HashSet<BlobId>) -> Self {
        let kept = |blobs: &[BlobId]| blobs.iter().filter(|blob| !bad.contains(*blob)).cloned().collect();
        EpochListing { singles: kept(&self.singles), ranges: kept(&self.ranges), ..self.clone() }
    }
}

/// Chooses the index blobs that together name everything. Reading one too many is harmless, one too few is not: where
/// the marker of an epoch is lost, all of what there is of later ones counts.
pub fn select(listing: &EpochListing) -> Selection {
    let current_epoch = listing.markers.iter().filter_map(epoch_number).max().unwrap_or(0);
    let watermark = listing.watermarks.iter().filter_map(watermark_seconds).max();
    let ranges = complete_by_key(&listing.ranges, epoch_range);
    let singles = complete_by_key(&listing.singles, epoch_number);
    let mut sessions: BTreeMap<u64, Vec<BlobId>> = BTreeMap::new();
    for blob in &listing.sessions {
        if let Some(epoch) = session_epoch(blob) {
            sessions.entry(epoch).or_default().push(blob.clone());
        }
    }

    let mut blobs = Vec::new();
    let mut next = 0u64;
    for range in longest_chain(ranges.keys().copied()) {
        if range.1 >= next {
            blobs.extend(ranges.get(&range).into_iter().flatten().cloned());
            next = range.1.saturating_add(1);
        }
    }
    // epochs that hold no blob need no visit: the numbers are foreign and may be huge
    let last = current_epoch.saturating_add(1);
    let mut epochs: Vec<u64> = singles.keys().chain(sessions.keys()).copied().collect();
    epochs.retain(|epoch| *epoch >= next);
    epochs.sort_unstable();
    epochs.dedup();
    let is_marker_lost = epochs.last().is_some_and(|epoch| *epoch > last);
    for epoch in epochs {
        if epoch > last {
            let both = [singles.get(&epoch), sessions.get(&epoch)];
            blobs.extend(both.into_iter().flatten().flatten().cloned());
            continue;
        }
        let settled = epoch.checked_add(2).is_some_and(|e| e <= current_epoch);
        let single = singles.get(&epoch).filter(|_| settled);
        blobs.extend(single.or_else(|| sessions.get(&epoch)).into_iter().flatten().cloned());
    }
    Selection { blobs, watermark, current_epoch, is_marker_lost }
}

/// Returns the first set in listing order that is complete; nothing when none is (§4.8).
///
/// `…-s<set>-c<count>` is one of `count` blobs of a set. A name of another form is a set of its own.
pub fn first_complete_set(blobs: &[BlobId]) -> Option<Vec<BlobId>> {
    let mut sets: HashMap<&str, Vec<BlobId>> = HashMap::new();
    for blob in blobs {
        let Some((set, count)) = set_and_count(blob.as_str()) else { return Some(vec![blob.clone()]) };
        let members = sets.entry(set).or_default();
        members.push(blob.clone());
        if i64::try_from(members.len()) == Ok(count) {
            return Some(std::mem::take(members));
        }
    }
    None
}

fn set_and_count(name: &str) -> Option<(&str, i64)> {
    let mut parts = name.split('-').skip(1);
    let set = parts.next().filter(|set| set.starts_with('s'))?;
    Some((set, parts.next()?.strip_prefix('c')?.parse().ok()?))
}

/// Returns the first complete set under each key.
fn complete_by_key<K: Ord>(blobs: &[BlobId], key: impl Fn(&BlobId) -> Option<K>) -> BTreeMap<K, Vec<BlobId>> {
    let mut groups: BTreeMap<K, Vec<BlobId>> = BTreeMap::new();
    for blob in blobs {
        if let Some(key) = key(blob) {
            groups.entry(key).or_default().push(blob.clone());
        }
    }
    groups.into_iter().filter_map(|(key, group)| Some((key, first_complete_set(&group)?))).collect()
}

/// Returns the ranges that join up from epoch 0 to the greatest end, as few as possible.
///
/// Solved from the back: when a start is looked at, all later starts are known.
fn longest_chain(ranges: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    struct Best {
        hi: u64,
        end: u64,
        links: usize,
    }
    let mut sorted: Vec<(u64, u64)> = ranges.filter(|(lo, hi)| lo <= hi).collect();
    sorted.sort_unstable();
    let mut best: HashMap<u64, Best> = HashMap::new();
    for (lo, hi) in sorted.into_iter().rev() {
        let after = hi.checked_add(1).and_then(|next| best.get(&next));
        let end = after.map_or(hi, |b| b.end);
        let links = after.map_or(1, |b| b.links.saturating_add(1));
        let better = best.get(&lo).is_none_or(|b| (end, b.links) > (b.end, links));
        if better {
            best.insert(lo, Best { hi, end, links });
        }
    }
    let mut chain = Vec::new();
    let mut next = Some(0);
    while let Some((lo, link)) = next.and_then(|lo| Some((lo, best.get(&lo)?))) {
        chain.push((lo, link.hi));
        next = link.hi.checked_add(1);
    }
    chain
}

/// Returns the number in a name: up to the first underscore, without leading non-digits; the rest must be digits.
pub fn epoch_number(blob: &BlobId) -> Option<u64> {
    let head = blob.as_str().split('_').next()?;
    decimal(head.trim_start_matches(|c: char| !c.is_ascii_digit()))
}

pub(crate) fn epoch_range(blob: &BlobId) -> Option<(u64, u64)> {
    let mut parts = blob.as_str().split('_');
    let (_first, second, _third) = (parts.next()?, parts.next()?, parts.next()?);
    Some((epoch_number(blob)?, decimal(second)?))
}

/// Returns the epoch under whose prefix `xn<epoch>_` a blob is listed. The number has no leading zeros there.
pub(crate) fn session_epoch(blob: &BlobId) -> Option<u64> {
    let (number, _) = blob.as_str().strip_prefix("xn")?.split_once('_')?;
    decimal(number).filter(|_| number == "0" || !number.starts_with('0'))
}

fn watermark_seconds(blob: &BlobId) -> Option<u64> {
    decimal(blob.as_str().strip_prefix("xw")?)
}

/// Reads digits only, of a value that fits in 63 bits.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && i64::try_from(*n).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blob(name: &str) -> BlobId {
        BlobId::parse(name).unwrap()
    }

    fn selected(names: &[&str]) -> Vec<String> {
        let listing = EpochListing::from_blobs(names.iter().map(|n| blob(n)));
        select(&listing).blobs.iter().map(|b| b.to_string()).collect()
    }

    #[test]
    fn numbers_of_the_format_document() {
        let number = |n| epoch_number(&blob(n));
        assert_eq!(number("x7"), Some(7));
        assert_eq!(number("x01234_1235"), Some(1234));
        assert_eq!(number("abc1234_xxxx-sadfasd"), Some(1234));
        for bad in ["_", "a_", "x123x_", "xe", "xe99999999999999999999", "xe9223372036854775808"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(epoch_range(&blob("xr0_9_abc-s1-c1")), Some((0, 9)));
        for bad in ["xr0_9", "xr0_+9_a", "xr0", "xr_9_a", "xr0_9x_a"] {
            assert_eq!(epoch_range(&blob(bad)), None, "{bad}");
        }
    }

    #[test]
    fn complete_sets_of_the_format_document() {
        let first = |names: &[&str]| {
            let blobs: Vec<BlobId> = names.iter().map(|n| blob(n)).collect();
            first_complete_set(&blobs)
                .map(|set| set.iter().map(|b| b.to_string()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(first(&["a-s0-c2", "b-s0-c2"]).unwrap(), "a-s0-c2 b-s0-c2");
        assert_eq!(first(&["a-s0-c2", "malformed", "b-s0-c2"]).unwrap(), "malformed");
        assert_eq!(first(&["a-s0-c2", "malformed-s0-cNAN", "b-s0-c2"]).unwrap(), "malformed-s0-cNAN");
        assert_eq!(
            first(&["foo-s0-c2", "aaa-s1-c2", "bar-s0-c2", "bbb-s1-c2"]).unwrap(),
            "foo-s0-c2 bar-s0-c2"
        );
        assert_eq!(first(&["foo-s0-c3", "aaa-s1-c3", "bar-s0-c3", "bbb-s1-c3"]), None);
        assert_eq!(first(&[]), None);
        assert_eq!(first(&["a-s0-c0"]), None);
        assert_eq!(first(&["b-s0-c-1"]).unwrap(), "b-s0-c-1");
    }

    #[test]
    fn chains_of_the_format_document() {
        type Ranges = &'static [(u64, u64)];
        let vectors: [(Ranges, Ranges); 9] = [
            (&[(0, 9), (10, 19), (20, 29)], &[(0, 9), (10, 19), (20, 29)]),
            (&[(0, 9), (10, 19), (20, 29), (50, 59)], &[(0, 9), (10, 19), (20, 29)]),
            (&[(0, 9), (20, 29), (50, 59)], &[(0, 9)]),
            (&[(0, 29), (20, 29), (30, 39)], &[(0, 29), (30, 39)]),
            (&[(0, 9), (0, 29), (10, 19), (30, 39)], &[(0, 29), (30, 39)]),
            (&[(0, 9), (0, 29), (10, 59), (30, 39)], &[(0, 9), (10, 59)]),
            (&[(10, 59), (30, 39), (50, 59), (40, 49), (0, 9), (0, 29)], &[(0, 9), (10, 59)]),
            (&[(5, 9)], &[]),
            (&[(0, 0), (1, 1), (2, 1)], &[(0, 0), (1, 1)]),
        ];
        for (ranges, chain) in vectors {
            assert_eq!(longest_chain(ranges.iter().copied()), chain, "{ranges:?}");
        }
    }

    const LISTING: &[&str] = &[
        "xe3",
        "xe4",
        "xs0_a-s1-c1",
        "xs1_b-s2-c1",
        "xs2_c-s3-c2",
        "xs3_d-s4-c1",
        "xn0_f-s1-c1",
        "xn1_f-s1-c1",
        "xn2_f-s1-c1",
        "xn2_g-s1-c9",
        "xn3_f-s1-c1",
        "xn4_f-s1-c1",
        "xn5_f-s1-c1",
        "xn6_f-s1-c1",
        "xn10_f-s1-c1",
    ];

    #[test]
    fn trap_17_selection_of_the_format_document() {
        let tail = ["xn2_f-s1-c1", "xn2_g-s1-c9", "xn3_f-s1-c1", "xn4_f-s1-c1", "xn5_f-s1-c1"];
        // Blobs of epochs that cannot have begun yet are all read, which Kopia does not do.
        let tail = [&tail[..], &["xn6_f-s1-c1", "xn10_f-s1-c1"]].concat();
        assert_eq!(selected(LISTING), [&["xs0_a-s1-c1", "xs1_b-s2-c1"], &tail[..]].concat());
        let with_range = [LISTING, &["xr0_1_e-s5-c1"]].concat();
        assert_eq!(selected(&with_range), [&["xr0_1_e-s5-c1"], &tail[..]].concat());
        // a range that is incomplete or does not start at 0 does not count
        for range in ["xr0_1_e-s5-c2", "xr1_2_e-s5-c1"] {
            assert_eq!(selected(&[LISTING, &[range]].concat()), selected(LISTING));
        }
        // the second half of epoch 2's compaction makes it complete
        assert!(selected(&[LISTING, &["xs2_z-s3-c2"]].concat()).contains(&"xs2_c-s3-c2".to_owned()));
    }

    #[test]
    fn trap_18_epoch_1_does_not_swallow_epoch_10() {
        let names = ["xe11", "xs1_b-s2-c1", "xn1_a-s1-c1", "xn10_a-s1-c1", "xn01_a-s1-c1", "xn1a-s1-c1"];
        assert_eq!(selected(&names), ["xs1_b-s2-c1", "xn10_a-s1-c1"]);
    }

    #[test]
    fn an_empty_or_new_repository_reads_epochs_0_and_1() {
        assert_eq!(
            select(&EpochListing::default()),
            Selection { blobs: vec![], watermark: None, current_epoch: 0, is_marker_lost: false }
        );
        assert_eq!(selected(&["xn0_a-s1-c1", "xn1_b-s1-c1"]), ["xn0_a-s1-c1", "xn1_b-s1-c1"]);
    }

    #[test]
    fn without_the_marker_of_an_epoch_everything_of_later_ones_counts() {
        let names = ["xe1", "xn1_a-s1-c1", "xs2_b-s2-c1", "xn2_b-s1-c1", "xs3_c-s3-c1", "xn4_d-s1-c1"];
        let selection = select(&EpochListing::from_blobs(names.map(blob)));
        let wanted = ["xn1_a-s1-c1", "xn2_b-s1-c1", "xs3_c-s3-c1", "xn4_d-s1-c1"];
        assert_eq!(selection.blobs, wanted.map(blob));
        assert!(selection.is_marker_lost);
        assert!(
            !select(&EpochListing::from_blobs(["xe3", "xn3_a-s1-c1", "xn4_a-s1-c1"].map(blob)))
                .is_marker_lost
        );
    }

    #[test]
    fn a_range_of_one_epoch_counts() {
        assert_eq!(
            selected(&["xe9", "xr0_0_a-s1-c1", "xr1_3_b-s2-c1", "xn0_x-s1-c1", "xn4_y-s1-c1"]),
            ["xr0_0_a-s1-c1", "xr1_3_b-s2-c1", "xn4_y-s1-c1"]
        );
    }

    #[test]
    fn watermark_and_epoch_are_the_greatest() {
        let names = ["xw1700000000", "xw1600000000", "xwx", "xw-5", "xe7", "xe12", "xe", "y1", "p0"];
        let selection = select(&EpochListing::from_blobs(names.map(blob)));
        assert_eq!((selection.watermark, selection.current_epoch), (Some(1_700_000_000), 12));
    }

    #[test]
    fn huge_numbers_and_many_ranges_cost_nothing() {
        let max = i64::MAX;
        let names = [format!("xe{max}"), format!("xn{max}_a-s1-c1"), format!("xr0_{max}_a-s1-c1")];
        assert_eq!(selected(&[&names[0], &names[1]]), [names[1].as_str()]);
        assert_eq!(selected(&[&names[0], &names[1], &names[2]]), [names[2].as_str()]);
        // every start with every end: exponentially many chains
        let ranges = (0..60u64).flat_map(|lo| (lo..60).map(move |hi| (lo, hi)));
        assert_eq!(longest_chain(ranges), [(0, 59)]);
    }

    proptest! {
        /// A chain ends where the best of all chains ends, found by trying all.
        #[test]
        fn chain_agrees_with_trying_everything(ranges in proptest::collection::btree_set((0u64..6, 0u64..6), 0..10)) {
            fn brute(ranges: &[(u64, u64)], start: u64) -> Option<(u64, std::cmp::Reverse<usize>)> {
                let starts = ranges.iter().filter(|(lo, hi)| *lo == start && hi >= lo);
                starts.map(|(_, hi)| match brute(ranges, hi + 1) {
                    Some((end, std::cmp::Reverse(n))) => (end, std::cmp::Reverse(n + 1)),
                    None => (*hi, std::cmp::Reverse(1)),
                }).max()
            }
            let ranges: Vec<_> = ranges.into_iter().collect();
            let chain = longest_chain(ranges.iter().copied());
            prop_assert_eq!(chain.last().map(|r| (r.1, std::cmp::Reverse(chain.len()))), brute(&ranges, 0));
        }
    }
}
