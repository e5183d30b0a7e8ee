//! What stands between a provider and the engine: second tries, a limit of requests in flight, counters, a
//! cache of metadata.

mod cache;
mod deadlines;
mod health;
mod limit;
mod retry;

use std::sync::Arc;

pub use cache::CacheOptions;
pub use deadlines::Deadlines;

use crate::BlobReader;

/// Limits of one's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerOptions {
    /// Requests in flight; `None`: what suits the storage.
    pub in_flight: Option<usize>,
    /// Bytes per second that may be received; `None`: no limit.
    pub bandwidth: Option<u64>,
    /// Reads and listings per second; `None`: no limit.
    pub requests_per_second: Option<u32>,
    /// When a request is given up.
    pub deadlines: Deadlines,
    /// Metadata of far storages is kept on the disk; `None`: nowhere.
    pub cache: Option<CacheOptions>,
}

/// Puts the layers around a provider. A local directory needs no second tries.
pub fn around(provider: Arc<dyn BlobReader>, options: &LayerOptions) -> Arc<dyn BlobReader> {
    let local = provider.traits().local;
    let retried: Arc<dyn BlobReader> =
        if local { provider } else { Arc::new(retry::Retry::new(provider, options.deadlines)) };
    if local && options.bandwidth.is_none() && options.requests_per_second.is_none() {
        return retried;
    }
    let limited: Arc<dyn BlobReader> = Arc::new(limit::Limit::new(retried, options));
    let cached = options.cache.as_ref().filter(|_| !local).and_then(|o| cache::Cache::around(&limited, o));
    cached.map_or(limited, |cache| Arc::new(cache))
}
