//! Counts what was asked of a storage.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests and bytes between us and a storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Number of requests.
    pub requests: u64,
    /// Bytes received.
    pub fetched_bytes: u64,
    /// Second and later tries among the requests.
    pub retries: u64,
}

impl Traffic {
    /// Returns what was asked after `earlier`, a moment of the same repository.
    pub fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            requests: self.requests.saturating_sub(earlier.requests),
            fetched_bytes: self.fetched_bytes.saturating_sub(earlier.fetched_bytes),
            retries: self.retries.saturating_sub(earlier.retries),
        }
    }
}

/// Requests and bytes of a repository's whole life.
#[derive(Debug, Default)]
pub(crate) struct TrafficCounters {
    pub(crate) requests: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl TrafficCounters {
    /// Counts a request that brought so many bytes.
    pub(crate) fn count(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns requests and bytes so far.
    pub(crate) fn sums(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
