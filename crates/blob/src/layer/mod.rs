//! Stands between a provider and the engine: second tries, a limit of requests in flight, counters, a cache of
//! metadata.

mod cache;
mod health;
mod limit;
mod options;
mod retry;

use std::sync::Arc;

pub use cache::CacheOptions;
pub use options::LayerOptions;

use crate::deadlines::Deadlines;
use crate::reader::BlobReader;

/// Puts the layers around a provider. A local directory needs no second tries.
pub fn around(provider: Arc<dyn BlobReader>, options: &LayerOptions) -> Arc<dyn BlobReader> {
    let local = provider.profile().local;
    let retried = if local { provider } else { retried(provider, options.deadlines) };
    if local && options.bandwidth.is_none() && options.requests_per_second.is_none() {
        return retried;
    }
    let limited = limited(retried, options);
    match options.cache.as_ref().filter(|_| !local) {
        Some(cache) => cached(limited, cache),
        None => limited,
    }
}

/// Adds second tries to a storage: requests that may succeed a moment later are sent again, spread in time.
pub fn retried(inner: Arc<dyn BlobReader>, deadlines: Deadlines) -> Arc<dyn BlobReader> {
    Arc::new(retry::Retry::new(inner, deadlines))
}

/// Bounds what is asked of a storage at a time: requests in flight, and bytes and requests per second.
pub fn limited(inner: Arc<dyn BlobReader>, options: &LayerOptions) -> Arc<dyn BlobReader> {
    Arc::new(limit::Limit::new(inner, options))
}

/// Keeps a storage's metadata in a folder; where the folder cannot be used, which is warned of, nothing is kept.
pub fn cached(inner: Arc<dyn BlobReader>, options: &CacheOptions) -> Arc<dyn BlobReader> {
    match cache::Cache::around(&inner, options) {
        Some(cache) => Arc::new(cache),
        None => inner,
    }
}
