//! Takes the parts of an answer in: as much as was announced, in a time that makes sense.

use std::time::Duration;

use crate::{BlobError, BlobErrorKind};

/// The most that is reserved on the word of a header.
const MOST_RESERVED: usize = 64 << 20;

/// Puts the parts of one answer together.
pub(super) struct Collector {
    into: Vec<u8>,
    expected: u64,
    watch: Watch,
}

impl Collector {
    /// `into` is empty, its capacity is reused; the answer has `expected` bytes.
    pub(super) fn new(mut into: Vec<u8>, expected: u64) -> Result<Self, BlobError> {
        let len = usize::try_from(expected).unwrap_or(usize::MAX).min(MOST_RESERVED);
        into.try_reserve_exact(len).map_err(|e| broke("there is no memory for it".into()).because(e))?;
        Ok(Collector { into, expected, watch: Watch::new() })
    }

    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), BlobError> {
        self.watch.received(part.len())?;
        if (self.into.len() + part.len()) as u64 > self.expected {
            return Err(broke("more bytes than announced".into()));
        }
        self.into.extend_from_slice(part);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, BlobError> {
        match self.into.len() as u64 {
            n if n == self.expected => Ok(self.into),
            n => Err(broke(format!("the answer broke off: {n} of {} bytes", self.expected))),
        }
    }
}

fn broke(what: String) -> BlobError {
    BlobError::new(BlobErrorKind::Unavailable, what).transient()
}

/// Ends an answer that only drips: silence has a deadline of its own, a byte a second has not.
struct Watch {
    since: tokio::time::Instant,
    bytes: usize,
}

impl Watch {
    const WINDOW: Duration = Duration::from_secs(15);
    const LEAST: usize = 4096;

    fn new() -> Self {
        Watch { since: tokio::time::Instant::now(), bytes: 0 }
    }

    fn received(&mut self, len: usize) -> Result<(), BlobError> {
        self.bytes += len;
        if self.since.elapsed() < Self::WINDOW {
            return Ok(());
        }
        if self.bytes < Self::LEAST {
            let what = "the answer comes too slowly to be worth waiting for";
            return Err(BlobError::new(BlobErrorKind::Unavailable, what).transient());
        }
        *self = Watch::new();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_ends() {
        let mut watch = Watch::new();
        assert!(watch.received(1).is_ok());
        watch.since = watch.since.checked_sub(Watch::WINDOW).unwrap();
        assert!(watch.received(1).is_err());
    }
}
