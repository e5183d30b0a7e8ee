//! Bounds memory by a budget of bytes: everything that grows with the snapshot is paid for before it is asked for.
//!
//! Two pools, a quarter for metadata and five eighths for data, so that the walk can always go on while data waits; the
//! last eighth is for what workers and idle buffers hold. A credit is taken once, before a request is sent, travels inside
//! the message and comes back when the message is dropped: channels behind it can be unbounded without a deadlock and
//! hold no more than the budget.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit: a semaphore counts at most 2^29 of them.
const UNIT: u64 = 4096;

/// The part of the budget that pack bytes and plaintext share.
#[derive(Debug, Clone)]
pub(crate) struct Credits {
    semaphore: Arc<Semaphore>,
    units: u32,
}

/// Bytes that are paid for; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Credit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Credit {
    /// Makes a credit that pays for nothing: for bytes that are paid for elsewhere.
    pub(crate) fn none() -> Self {
        Credit { _permit: None }
    }
}

impl Credits {
    /// Makes a pool of `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        Credits { semaphore: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits for `bytes`. More than there is takes all there is.
    pub(crate) async fn take(&self, bytes: u64) -> Credit {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        Credit { _permit: Arc::clone(&self.semaphore).acquire_many_owned(units).await.ok() }
    }
}

/// Buffers that go round between fetch and the workers, so that memory is touched for the first time only once.
#[derive(Debug, Clone)]
pub(crate) struct BufferPool {
    /// Buffers that are kept, the smallest first.
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Bytes of all that are kept: no credit pays for them.
    max_bytes: usize,
}

impl BufferPool {
    /// Buffers that are kept at most.
    const MAX_BUFFERS: usize = 8;

    /// Makes a pool that keeps up to `max_bytes`.
    pub(crate) fn new(max_bytes: u64) -> Self {
        BufferPool { kept: Arc::default(), max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX) }
    }

    /// Returns the kept buffer that fits `bytes` best, or a new one.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = kept.partition_point(|buffer| buffer.capacity() < bytes);
        if fits < kept.len() { kept.remove(fits) } else { Vec::new() }
    }

    /// Keeps a buffer for later. Where there is no room for all, the smallest go: a long one serves every read, and to
    /// make it anew costs most.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > self.max_bytes {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.partition_point(|other| other.capacity() < buffer.capacity());
        kept.insert(place, buffer);
        let mut bytes: usize = kept.iter().map(Vec::capacity).sum();
        while kept.len() > Self::MAX_BUFFERS || bytes > self.max_bytes {
            bytes -= kept.remove(0).capacity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_buffers_are_few_and_bounded_together() {
        let pool = BufferPool::new(4 << 20);
        let kept = || pool.kept.lock().unwrap().iter().map(|b| b.capacity() >> 20).collect::<Vec<_>>();
        for mib in [1, 2, 1, 5] {
            pool.give(Vec::with_capacity(mib << 20));
        }
        assert_eq!(kept(), [1, 1, 2]);
        pool.give(Vec::with_capacity(2 << 20));
        assert_eq!(kept(), [2, 2]);
        pool.give(Vec::with_capacity(1 << 20));
        assert_eq!(kept(), [2, 2]);
        assert_eq!(pool.take(3 << 20).capacity(), 0);
        assert_eq!(pool.take(3 << 19).capacity(), 2 << 20);
        assert_eq!(kept(), [2]);
        for _ in 0..9 {
            pool.give(Vec::with_capacity(4096));
        }
        assert_eq!(pool.kept.lock().unwrap().len(), BufferPool::MAX_BUFFERS);
    }

    #[tokio::test]
    async fn an_oversized_item_takes_everything_and_gives_it_back() {
        let credits = Credits::new(1 << 20);
        let all = credits.take(u64::MAX).await;
        assert_eq!(credits.semaphore.available_permits(), 0);
        drop(all);
        assert_eq!(credits.semaphore.available_permits(), 256);
        let _some = credits.take(5000).await;
        assert_eq!(credits.semaphore.available_permits(), 254);
    }
}
