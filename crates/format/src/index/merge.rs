//! Decides which of several entries for one content counts, and whether the content exists (§4.5).

use std::cmp::Ordering;

/// The facts that decide between entries for the same content. `P` is the pack's ID, ordered by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<P> {
    /// The time when the entry was written, in Unix seconds.
    pub timestamp: u64,
    /// Whether the content is marked as deleted.
    pub deleted: bool,
    /// The pack's ID.
    pub pack: P,
}

/// Compares two entries: `Greater` when `a` counts rather than `b`: the later one, then the one that is not deleted,
/// then the one with the greater pack ID.
pub fn wins<P: Ord>(a: &Candidate<P>, b: &Candidate<P>) -> Ordering {
    let by_time = a.timestamp.cmp(&b.timestamp);
    by_time.then_with(|| b.deleted.cmp(&a.deleted)).then_with(|| a.pack.cmp(&b.pack))
}

/// Whether a content exists whose winning entry is this one.
///
/// Only for the winner, never for single entries before merging. A deleted content newer than the watermark exists
/// and must be served: its deletion may yet be taken back.
pub fn exists(timestamp: u64, deleted: bool, watermark: Option<u64>) -> bool {
    !(deleted && watermark.is_some_and(|w| timestamp <= w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn c(timestamp: u64, deleted: bool, pack: &str) -> Candidate<&str> {
        Candidate { timestamp, deleted, pack }
    }

    #[test]
    fn trap_19_time_then_not_deleted_then_pack() {
        for (loser, winner) in [
            (c(100, false, "pa"), c(101, true, "pa")),
            (c(100, true, "pz"), c(100, false, "pa")),
            (c(100, false, "pa"), c(100, false, "pb")),
        ] {
            assert_eq!(wins(&winner, &loser), Ordering::Greater);
            assert_eq!(wins(&loser, &winner), Ordering::Less);
        }
        // the watermark is applied to the winner: a deletion below it does not uncover an older, live entry
        let winner = c(100, true, "pa");
        assert_eq!(wins(&winner, &c(99, false, "pb")), Ordering::Greater);
        assert!(!exists(winner.timestamp, winner.deleted, Some(100)));
    }

    #[test]
    fn trap_20_deleted_contents_newer_than_the_watermark_exist() {
        assert!(exists(101, true, Some(100)));
        assert!(!exists(100, true, Some(100)));
        assert!(exists(1, true, None));
        assert!(exists(1, false, Some(100)));
    }

    proptest! {
        #[test]
        fn is_a_total_order(mut all in proptest::collection::vec((0u64..3, any::<bool>(), 0u8..3), 3)) {
            let mut sorted: Vec<_> =
                all.drain(..).map(|(timestamp, deleted, pack)| Candidate { timestamp, deleted, pack }).collect();
            sorted.sort_by(wins);
            for (i, a) in sorted.iter().enumerate() {
                for b in &sorted[i..] {
                    prop_assert_ne!(wins(a, b), Ordering::Greater);
                }
            }
        }
    }
}
