//! What stands between a provider and the engine: second tries, a limit of requests in flight, counters.

mod limit;
mod retry;

use std::sync::Arc;

#[cfg(feature = "folders")]
pub(crate) use retry::opened;

use crate::BlobReader;

/// Limits of one's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerOptions {
    /// Requests in flight; `None`: what suits the storage.
    pub in_flight: Option<usize>,
    /// Bytes per second that may be received; `None`: no limit.
    pub bandwidth: Option<u64>,
}

/// Puts the layers around a provider. A local directory needs no second tries.
pub fn around(provider: Arc<dyn BlobReader>, options: &LayerOptions) -> Arc<dyn BlobReader> {
    let local = provider.traits().local;
    let retried: Arc<dyn BlobReader> = if local { provider } else { Arc::new(retry::Retry::new(provider)) };
    if local && options.bandwidth.is_none() {
        return retried;
    }
    Arc::new(limit::Limit::new(retried, options))
}
