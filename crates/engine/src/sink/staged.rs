//! Holds changes of a file that have arrived and wait for the others.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::beside::Beside;

#[derive(Debug, Default)]
pub(super) struct Staged {
    /// Offset and length of what has arrived.
    pub(super) ranges: Vec<(u64, u64)>,
    /// The changes, as long as they are small enough for memory.
    pub(super) pieces: Vec<(u64, Vec<u8>)>,
    pub(super) bytes: usize,
    /// The file that holds larger changes, at their offsets.
    pub(super) place: Option<Place>,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file from which the changes are copied; it goes when it is closed.
    Aside(Arc<Beside>),
    /// The file that takes the target's place.
    Beside(Arc<Beside>),
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Place::Aside(file) | Place::Beside(file) => file.as_fd(),
        }
    }
}

/// Returns what `ranges` leave out of the first `size` bytes.
pub(super) fn gaps(ranges: &[(u64, u64)], size: u64) -> Vec<(u64, u64)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let (mut gaps, mut at) = (Vec::new(), 0);
    for (offset, len) in sorted.into_iter().chain([(size, 0)]) {
        let offset = offset.min(size);
        if offset > at {
            gaps.push((at, offset - at));
        }
        at = at.max(offset.saturating_add(len));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn gaps_are_what_is_left_out() {
        assert!(gaps(&[], 0).is_empty());
        assert_eq!(gaps(&[], 7), [(0, 7)]);
        assert_eq!(gaps(&[(4, 2), (0, 3)], 9), [(3, 1), (6, 3)]);
        assert!(gaps(&[(0, 5), (2, 1), (5, 90)], 9).is_empty());
        assert_eq!(gaps(&[(20, 5)], 9), [(0, 9)]);
    }
}
