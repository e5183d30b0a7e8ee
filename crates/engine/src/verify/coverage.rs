//! Remembers which bytes of which packs were read and found right, and when: what a verification need not read first.
//!
//! Packs never change, so a range that was right says what was read for as long as the pack is there. What maintenance
//! writes anew lies in another pack, and is due again.

use std::collections::BTreeMap;
use std::ops::Range;

use rekopia_format::BlobId;
use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use crate::error::{Error, ErrorKind, Result};

/// The ranges that verifications of one repository have read so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    packs: BTreeMap<String, Vec<Span>>,
    /// The ranges that could not be read, until they can.
    damaged: BTreeMap<String, Ranges>,
}

/// Bytes of a pack that were read in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The time of the reading, in seconds since 1970.
    pub(crate) at: i64,
}

/// The form of a coverage in a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: String,
    version: u32,
    repository: String,
    /// Start, end and time of each span.
    packs: BTreeMap<String, Vec<(u64, u64, i64)>>,
    /// Start and end of each range that could not be read.
    #[serde(default)]
    damaged: BTreeMap<String, Vec<(u64, u64)>>,
}

const KIND: &str = "rekopia-verify-state";
const VERSION: u32 = 1;

impl Coverage {
    /// Reads what [`to_json`](Self::to_json) wrote for the repository with this unique ID (hex).
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for anything else: another repository's, a newer version's, no state at all.
    pub fn from_json(json: &[u8], repository: &str) -> Result<Self> {
        let usage = |what: String| Error::new(ErrorKind::Usage, what);
        let stored: Stored = serde_json::from_slice(json)
            .map_err(|e| usage("it is no state of a verification".into()).because(e))?;
        if stored.kind != KIND || stored.version != VERSION {
            return Err(usage(format!(
                "it is {} of version {}, not {KIND} of version {VERSION}",
                stored.kind, stored.version
            )));
        }
        if stored.repository != repository {
            return Err(usage(format!(
                "it belongs to the repository {}, not to {repository}",
                stored.repository
            )));
        }
        let mut packs = BTreeMap::new();
        for (pack, spans) in stored.packs {
            let spans: Vec<Span> =
                spans.into_iter().map(|(start, end, at)| Span { start, end, at }).collect();
            let ordered =
                spans.iter().all(|s| s.start < s.end) && spans.windows(2).all(|p| p[0].end <= p[1].start);
            if !ordered {
                return Err(usage(format!("what it says of the pack {pack} makes no sense")));
            }
            packs.insert(pack, spans);
        }
        let mut damaged: BTreeMap<String, Ranges> = BTreeMap::new();
        for (pack, ranges) in stored.damaged {
            let of_pack = damaged.entry(pack).or_default();
            ranges.into_iter().for_each(|(start, end)| of_pack.add(start..end));
        }
        Ok(Coverage { packs, damaged })
    }

    /// Writes the coverage as a JSON document for a file: about a hundred bytes for each pack.
    pub fn to_json(&self, repository: &str) -> Vec<u8> {
        let spans = |spans: &Vec<Span>| spans.iter().map(|s| (s.start, s.end, s.at)).collect();
        let packs = self.packs.iter().map(|(pack, of)| (pack.clone(), spans(of))).collect();
        let ranges = |of: &Ranges| of.iter().map(|range| (range.start, range.end)).collect();
        let damaged = self.damaged.iter().map(|(pack, of)| (pack.clone(), ranges(of))).collect();
        let stored =
            Stored { kind: KIND.into(), version: VERSION, repository: repository.into(), packs, damaged };
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Returns what is known of a pack, in the order of its bytes.
    pub(crate) fn of(&self, pack: &BlobId) -> &[Span] {
        self.packs.get(pack.as_str()).map_or(&[], Vec::as_slice)
    }

    /// Returns which ranges of a pack could not be read.
    pub(crate) fn damaged(&self, pack: &BlobId) -> Option<&Ranges> {
        self.damaged.get(pack.as_str())
    }

    /// Takes note of ranges that were right at `at`.
    pub(crate) fn add(&mut self, pack: &BlobId, right: &Ranges, at: i64) {
        let old = self.packs.remove(pack.as_str()).unwrap_or_default();
        let mut spans: Vec<Span> = right.iter().map(|r| Span { start: r.start, end: r.end, at }).collect();
        for span in old {
            let rest = right.gaps(span.start..span.end);
            spans.extend(rest.map(|r| Span { start: r.start, end: r.end, at: span.at }));
        }
        spans.sort_unstable_by_key(|span| span.start);
        spans.dedup_by(|next, before| {
            let joins = before.end == next.start && before.at == next.at;
            if joins {
                before.end = next.end;
            }
            joins
        });
        self.packs.insert(pack.as_str().to_owned(), spans);
        if let Some(damaged) = self.damaged.get_mut(pack.as_str()) {
            let mut rest = Ranges::default();
            damaged.iter().flat_map(|range| right.gaps(range.clone())).for_each(|range| rest.add(range));
            *damaged = rest;
        }
    }

    /// Takes note of a range that cannot be read: it is not covered, whatever was before.
    pub(crate) fn damage(&mut self, pack: &BlobId, range: Range<u64>) {
        self.damaged.entry(pack.as_str().to_owned()).or_default().add(range.clone());
        let Some(spans) = self.packs.get_mut(pack.as_str()) else { return };
        let mut bad = Ranges::default();
        bad.add(range);
        let rest = |span: &Span| {
            bad.gaps(span.start..span.end)
                .map(|r| Span { start: r.start, end: r.end, at: span.at })
                .collect::<Vec<_>>()
        };
        *spans = spans.iter().flat_map(rest).collect();
    }

    /// Forgets packs that are not among these.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.packs.retain(|pack, spans| !spans.is_empty() && is_there(pack));
        self.damaged.retain(|pack, ranges| ranges.iter().next().is_some() && is_there(pack));
    }
}

/// Returns when all of a range was right last; `None`: some of it never was.
pub(crate) fn covered(spans: &[Span], range: &Range<u64>) -> Option<i64> {
    let first = spans.partition_point(|span| span.end <= range.start);
    let (mut reached, mut oldest) = (range.start, i64::MAX);
    for span in spans.get(first..).unwrap_or_default() {
        if span.start > reached {
            return None;
        }
        (reached, oldest) = (span.end, oldest.min(span.at));
        if reached >= range.end {
            return Some(oldest);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_byte_has_the_time_of_its_last_run(
            runs in proptest::collection::vec(proptest::collection::vec((0u64..100, 1u64..30), 0..8), 0..6),
            asked in proptest::collection::vec((0u64..120, 1u64..40), 20),
        ) {
            let pack = BlobId::parse("p0123").unwrap();
            let (mut coverage, mut bytes) = (Coverage::default(), [None; 200]);
            for (at, run) in runs.iter().enumerate() {
                let mut right = Ranges::default();
                for (start, len) in run {
                    right.add(*start..start + len);
                    bytes[*start as usize..(start + len) as usize].fill(Some(at as i64));
                }
                coverage.add(&pack, &right, at as i64);
                let again = Coverage::from_json(&coverage.to_json("ab"), "ab").unwrap();
                prop_assert_eq!(again, coverage.clone());
            }
            for (start, len) in asked {
                let expected = bytes[start as usize..(start + len) as usize].iter().copied().min().flatten();
                prop_assert_eq!(covered(coverage.of(&pack), &(start..start + len)), expected);
            }
            coverage.damage(&pack, 10..20);
            prop_assert_eq!(covered(coverage.of(&pack), &(19..20)), None);
            prop_assert_eq!(covered(coverage.of(&pack), &(20..21)), bytes[20]);
            let again = Coverage::from_json(&coverage.to_json("ab"), "ab").unwrap();
            prop_assert_eq!(&again, &coverage);
            prop_assert!(coverage.damaged(&pack).unwrap().covers(&(10..20)));
            let mut right = Ranges::default();
            right.add(0..20);
            coverage.add(&pack, &right, 9);
            coverage.retain(|_| true);
            prop_assert!(coverage.damaged(&pack).is_none());
        }
    }

    #[test]
    fn the_state_of_something_else_is_refused() {
        let other = Coverage::default().to_json("ab");
        for (json, repository) in [
            (&other[..], "cd"),
            (b"", "ab"),
            (b"{}", "ab"),
            (br#"{"kind":"rekopia-verify-state","version":2,"repository":"ab","packs":{}}"#, "ab"),
            (
                br#"{"kind":"rekopia-verify-state","version":1,"repository":"ab","packs":{"p":[[2,2,0]]}}"#,
                "ab",
            ),
        ] {
            assert_eq!(Coverage::from_json(json, repository).unwrap_err().kind(), ErrorKind::Usage);
        }
        assert!(Coverage::from_json(&other, "ab").is_ok());
    }
}
