//! What stands between a provider and the engine: second tries, a limit of requests in flight, counters, a
//! cache of metadata.

mod cache;
mod health;
mod limit;
mod options;
mod retry;

use std::sync::Arc;

pub use cache::CacheOptions;
pub use options::LayerOptions;

use crate::reader::BlobReader;

/// Puts the layers around a provider. A local directory needs no second tries.
pub fn around(provider: Arc<dyn BlobReader>, options: &LayerOptions) -> Arc<dyn BlobReader> {
    let local = provider.profile().local;
    let retried: Arc<dyn BlobReader> =
        if local { provider } else { Arc::new(retry::Retry::new(provider, options.deadlines)) };
    if local && options.bandwidth.is_none() && options.requests_per_second.is_none() {
        return retried;
    }
    let limited: Arc<dyn BlobReader> = Arc::new(limit::Limit::new(retried, options));
    let cached = options.cache.as_ref().filter(|_| !local).and_then(|o| cache::Cache::around(&limited, o));
    cached.map_or(limited, |cache| Arc::new(cache))
}
