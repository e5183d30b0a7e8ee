//! Reads the sorted runs of a file as one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::{Range, RangeInclusive};

use super::record::{Key, Record};
use super::spill::{RecordFile, RunReader};

/// Bytes that are read of a run at once.
const RUN_READ: RangeInclusive<u64> = 1 << 10..=256 << 10;

/// Several sorted runs that are read as one.
pub(super) struct Merging<'a> {
    runs: Vec<RunReader<'a>>,
    /// The next record of each run that has one.
    heads: Vec<Option<Record>>,
    order: BinaryHeap<Reverse<(Key, usize)>>,
}

impl<'a> Merging<'a> {
    /// Reads these runs with buffers of about `bytes` together.
    pub(super) fn new(file: &'a RecordFile, runs: &[Range<usize>], bytes: u64) -> io::Result<Self> {
        let each = (bytes / runs.len().max(1) as u64).clamp(*RUN_READ.start(), *RUN_READ.end()) as usize;
        let runs: Vec<_> = runs.iter().map(|run| file.run(run.clone(), each)).collect();
        let mut merging = Merging { heads: vec![None; runs.len()], runs, order: BinaryHeap::new() };
        for run in 0..merging.runs.len() {
            merging.advance(run)?;
        }
        Ok(merging)
    }

    /// Returns the least record that is left.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(Reverse((_, run))) = self.order.pop() else { return Ok(None) };
        let next = self.heads[run].take();
        self.advance(run)?;
        Ok(next)
    }

    /// Takes the next record, if it has this key.
    pub(super) fn next_if(&mut self, key: Key) -> io::Result<Option<Record>> {
        match self.order.peek() {
            Some(Reverse((next, _))) if *next == key => self.next(),
            _ => Ok(None),
        }
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        self.heads[run] = self.runs[run].next()?;
        if let Some(head) = &self.heads[run] {
            self.order.push(Reverse((head.key(), run)));
        }
        Ok(())
    }
}
