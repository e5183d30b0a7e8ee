//! Limits the requests in flight, and the bytes and requests per second.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use rekopia_format::BlobId;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::options::LayerOptions;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};

/// Bounds what a storage is asked for at once.
pub(super) struct Limit {
    inner: Arc<dyn BlobReader>,
    permits: Semaphore,
    in_flight: usize,
    pace: Option<Pace>,
    request_pace: Option<Pace>,
}

/// Hands out the time at which bytes may be received, or requests sent.
struct Pace {
    per_second: u64,
    free_at: Mutex<Instant>,
}

impl Limit {
    pub(super) fn new(inner: Arc<dyn BlobReader>, options: &LayerOptions) -> Self {
        // Opening has more in flight than restoring: many small blobs, no memory to speak of.
        let in_flight = options.in_flight.unwrap_or(inner.profile().in_flight.max(128)).max(1);
        let pace = |n: u64| Pace { per_second: n.max(1), free_at: Mutex::new(Instant::now()) };
        let request_pace = options.requests_per_second.map(|n| pace(n.into()));
        let pace = options.bandwidth.map(pace);
        Limit { inner, permits: Semaphore::new(in_flight), in_flight, pace, request_pace }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, BlobError> {
        if let Some(pace) = &self.request_pace {
            pace.wait(1).await;
        }
        let closed = |e| BlobError::new(BlobErrorKind::Unavailable, "the connection was closed").because(e);
        self.permits.acquire().await.map_err(closed)
    }
}

impl Pace {
    /// Books `n` behind what is booked already, and waits for their turn.
    async fn wait(&self, n: u64) {
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let start = (*free_at).max(Instant::now());
            *free_at = start + Duration::from_secs_f64(n as f64 / self.per_second as f64);
            *free_at
        };
        tokio::time::sleep_until(until).await;
    }
}

#[deny(clippy::missing_trait_methods)]
impl BlobReader for Limit {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            let _permit = self.permit().await?;
            let bytes = self.inner.read(id, range, into).await?;
            if let Some(pace) = &self.pace {
                pace.wait(bytes.len() as u64).await;
            }
            Ok(bytes)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move {
            let _permit = self.permit().await?;
            self.inner.list(prefix).await
        })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let _permit = self.permit().await?;
            self.inner.stat(id).await
        })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(async move {
            let _permit = self.permit().await?;
            self.inner.look_elsewhere().await
        })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move {
            let _permit = self.permit().await?;
            self.inner.any(prefix).await
        })
    }

    fn distrust(&self, id: &BlobId) {
        self.inner.distrust(id);
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn folder(&self) -> Option<std::path::PathBuf> {
        self.inner.folder()
    }

    /// Returns the storage's own hints, with no more in flight than is let through: a caller with more would measure
    /// how long it waits here, not how fast the storage is.
    fn profile(&self) -> StorageProfile {
        let inner = self.inner.profile();
        let in_flight = if inner.local { inner.in_flight.min(self.in_flight) } else { self.in_flight };
        StorageProfile { in_flight, ..inner }
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Far;

    impl BlobReader for Far {
        fn read<'a>(
            &'a self,
            _: &'a BlobId,
            _: Option<Range<u64>>,
            into: Vec<u8>,
        ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
            Box::pin(std::future::ready(Ok(into)))
        }

        fn list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }

        fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
            Box::pin(std::future::ready(Ok(BlobInfo {
                id: id.clone(),
                len: 0,
                modified: rekopia_format::Time::default(),
            })))
        }

        fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
            Box::pin(async move { Ok(!self.list(prefix).await?.is_empty()) })
        }

        fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
            Box::pin(std::future::ready(Ok(false)))
        }

        fn distrust(&self, _id: &BlobId) {}

        fn usage(&self) -> Usage {
            Usage::default()
        }

        fn folder(&self) -> Option<std::path::PathBuf> {
            None
        }

        fn profile(&self) -> StorageProfile {
            StorageProfile { in_flight: 32, gap: 0, local: false }
        }

        fn describe(&self) -> String {
            "far".into()
        }
    }

    #[test]
    fn the_limit_is_no_secret() {
        for (asked, shown) in [(None, 128), (Some(8), 8), (Some(64), 64), (Some(0), 1)] {
            let options = LayerOptions { in_flight: asked, ..LayerOptions::default() };
            assert_eq!(Limit::new(Arc::new(Far), &options).profile().in_flight, shown, "{asked:?}");
        }
    }
}
