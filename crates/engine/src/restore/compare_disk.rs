//! Compares ranges of files on the disk with content IDs: several are hashed at once, piece by piece.
//!
//! One hash of these families fills a small part of a wide register; a register full of them costs little more than one.
//! The pieces are small enough to stay in a core's own cache between the read and the hash.

use std::ops::Range;
use std::sync::Arc;

use rekopia_format::ContentId;
use rekopia_format::hashing::{HashStream, KeyedHash};

use crate::sink::ExistingBytes;

/// A range of a file, and the content that it should hold.
pub(crate) struct DiskRange<T> {
    /// The file; `None`: it cannot be read.
    pub(crate) file: Option<Arc<ExistingBytes>>,
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) content: ContentId,
    /// A value of the caller's, given back with the answer.
    pub(crate) token: T,
}

/// The bytes that are on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The bytes are those of the content.
    Right,
    /// The bytes are others.
    Wrong,
    /// There are fewer bytes, or the file cannot be read.
    Missing,
}

/// Bytes of one range that are read at once.
const PIECE: usize = 64 << 10;
/// Bytes that are hashed in one round: short ranges join until they make this much.
const ROUND: usize = 256 << 10;
/// Ranges in one round at most.
const MAX_LANES: usize = 64;

/// A range that is being hashed.
struct Lane<T> {
    range: DiskRange<T>,
    done: u64,
    /// Where this round's bytes are in the buffer.
    piece: Range<usize>,
    stream: HashStream,
}

/// Tells of each range what is there; `answer` is called as soon as a range is known, in no order.
pub(crate) fn check_ranges<T>(
    hash: &KeyedHash,
    mut ranges: impl Iterator<Item = DiskRange<T>>,
    mut answer: impl FnMut(T, Found),
) {
    let width = hash.width();
    let mut buffer = vec![0; ROUND.max(width * PIECE) + PIECE];
    let mut lanes: Vec<Lane<T>> = Vec::new();
    loop {
        let (mut at, mut used) = (0, 0);
        while at < lanes.len() || at < width || (used < ROUND && at < MAX_LANES) {
            if at == lanes.len() {
                let Some(range) = ranges.next() else { break };
                lanes.push(Lane { range, done: 0, piece: 0..0, stream: hash.start() });
            }
            match lanes[at].read(&mut buffer, used) {
                Some(end) => (at, used) = (at + 1, end),
                None => answer(lanes.swap_remove(at).range.token, Found::Missing),
            }
        }
        if lanes.is_empty() {
            return;
        }
        HashStream::update_many(lanes.iter_mut().map(|lane| (&mut lane.stream, &buffer[lane.piece.clone()])));
        for lane in lanes.extract_if(.., |lane| lane.done == lane.range.len) {
            let is_right = *lane.stream.finish() == *lane.range.content.hash();
            answer(lane.range.token, if is_right { Found::Right } else { Found::Wrong });
        }
    }
}

impl<T> Lane<T> {
    /// Reads the next piece to `at` in the buffer; returns its end, or `None` when the file has no such bytes.
    fn read(&mut self, buffer: &mut [u8], at: usize) -> Option<usize> {
        let left = usize::try_from(self.range.len - self.done).unwrap_or(PIECE);
        self.piece = at..at + left.min(PIECE);
        let start = self.range.start.checked_add(self.done)?;
        let file = self.range.file.as_ref()?;
        if !file.read_at(start, buffer.get_mut(self.piece.clone())?).ok()? {
            return None;
        }
        self.done += self.piece.len() as u64;
        Some(self.piece.end)
    }
}
