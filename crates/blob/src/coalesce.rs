//! Joins wanted ranges to requests, as far as a gap is tolerated (pure).

use std::ops::Range;

/// A request and which of the wanted ranges it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The bytes to ask for.
    pub range: Range<u64>,
    /// The positions of the covered ranges in the list of wanted ones, `[first, last)`.
    pub covers: Range<usize>,
}

/// Joins neighbours in `wanted`, which must be sorted by start, into requests.
///
/// Two neighbours share a request when at most `gap` unwanted bytes lie between them and the request stays within
/// `max_len` bytes. A single wanted range may be longer than `max_len`. Overlapping ranges are read once as long as
/// they fit into one request.
pub fn coalesce(wanted: &[Range<u64>], gap: u64, max_len: u64) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for (i, want) in wanted.iter().enumerate() {
        if let Some(last) = requests.last_mut() {
            let end = last.range.end.max(want.end);
            if want.start <= last.range.end.saturating_add(gap) && end - last.range.start <= max_len {
                last.range.end = end;
                last.covers.end = i + 1;
                continue;
            }
        }
        requests.push(Request { range: want.clone(), covers: i..i + 1 });
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_within_the_gap_and_the_length() {
        let wanted = [0..10, 10..20, 25..30, 100..120, 115..130];
        let got = coalesce(&wanted, 5, 1000);
        assert_eq!(got, [Request { range: 0..30, covers: 0..3 }, Request { range: 100..130, covers: 3..5 }]);
        assert_eq!(coalesce(&wanted, 5, 20).len(), 4);
        assert_eq!(coalesce(&wanted, 1000, 1000).len(), 1);
        assert_eq!(coalesce(&[], 5, 20), []);
    }

    #[test]
    fn a_range_longer_than_the_limit_is_one_request() {
        assert_eq!(
            coalesce(std::slice::from_ref(&(5..500)), 0, 10),
            [Request { range: 5..500, covers: 0..1 }]
        );
    }
}
