//! Remembers which records begin with which bits, so that a lookup looks at few of them.

use std::ops::Range;

/// The beginning of each bucket: `starts[b]..starts[b + 1]` are the records whose leading `bits` bits are `b`.
#[derive(Debug)]
pub(super) struct FanOut {
    starts: Vec<u32>,
    bits: u32,
    /// Records so far.
    len: u32,
}

impl FanOut {
    /// Makes a table for up to `records` records, about `2^bucket_bits` of them in a bucket.
    pub(super) fn new(records: usize, bucket_bits: u32) -> Self {
        let bits = (usize::BITS - records.leading_zeros()).saturating_sub(bucket_bits);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        starts.push(0);
        FanOut { starts, bits, len: 0 }
    }

    /// Counts the next record; they come in order.
    pub(super) fn push(&mut self, tail: u128) {
        self.begin(self.bucket(tail));
        self.len += 1;
    }

    /// Ends the last bucket.
    pub(super) fn finish(mut self) -> Self {
        self.begin(1 << self.bits);
        self
    }

    /// Returns the records that may have this tail.
    pub(super) fn find(&self, tail: u128) -> Range<usize> {
        let bucket = self.bucket(tail);
        match self.starts.get(bucket..bucket + 2) {
            Some(&[first, last]) => first as usize..last as usize,
            _ => 0..0,
        }
    }

    /// Returns the bytes of memory that the table takes.
    pub(super) fn bytes(&self) -> usize {
        self.starts.capacity() * size_of::<u32>()
    }

    fn bucket(&self, tail: u128) -> usize {
        if self.bits == 0 { 0 } else { (tail >> (128 - self.bits)) as usize }
    }

    fn begin(&mut self, bucket: usize) {
        while self.starts.len() <= bucket {
            self.starts.push(self.len);
        }
    }
}
