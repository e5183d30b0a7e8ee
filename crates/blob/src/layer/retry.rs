//! Second tries, spread in time; counts what was sent.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::{BlobError, BlobId, BlobInfo, BlobReader, BoxFuture, StorageTraits, Usage};

/// Repeats what may succeed a moment later.
pub(super) struct Retry {
    inner: Arc<dyn BlobReader>,
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    latency_us: AtomicU64,
}

/// No further try starts this long after the first: together with one try that stalls, a request ends within 90 s.
const PATIENCE: Duration = Duration::from_secs(45);
/// However quickly they fail.
const TRIES: u32 = 8;
/// When a storage is opened.
#[cfg(feature = "folders")]
const TRIES_TO_OPEN: u32 = 4;
/// The first wait lies between zero and this; it doubles with every try, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(250);
/// The same when the storage says that it is asked too much: many clients must not come back together.
const FIRST_BUSY: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(12);
/// Answers up to this size tell the latency rather than the bandwidth.
const SMALL: usize = 64 * 1024;

impl Retry {
    pub(super) fn new(inner: Arc<dyn BlobReader>) -> Self {
        let zero = || AtomicU64::new(0);
        Retry { inner, requests: zero(), retries: zero(), bytes: zero(), latency_us: zero() }
    }

    async fn run<T, F: Future<Output = Result<T, BlobError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, BlobError> {
        let started = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !error.is_transient() {
                return Err(error);
            }
            let wait = pause(tries, error.wait());
            if tries >= TRIES || started.elapsed() + wait > PATIENCE {
                return Err(error.after(tries, started.elapsed()));
            }
            tracing::debug!("try {tries} failed, waiting {} ms: {error}", wait.as_millis());
            self.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
    }

    /// An average that follows slowly: one slow answer says little.
    fn measure(&self, took: Duration) {
        let now = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let before = self.latency_us.load(Ordering::Relaxed);
        let after = if before == 0 { now } else { before - before / 8 + now / 8 };
        self.latency_us.store(after, Ordering::Relaxed);
    }
}

/// Opens a storage, with few further tries: whoever mistyped a name should not wait for long.
#[cfg(feature = "folders")]
pub(crate) async fn opened<T, F: Future<Output = Result<T, BlobError>>>(
    mut open: impl FnMut() -> F,
) -> Result<T, BlobError> {
    let started = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        match open().await {
            Err(e) if e.is_transient() && tries < TRIES_TO_OPEN && started.elapsed() < PATIENCE => {
                tracing::debug!("try {tries} failed: {e}");
                tokio::time::sleep(pause(tries, e.wait())).await;
            }
            other => return other,
        }
    }
}

/// Full jitter: anywhere between nothing and a bound that doubles.
fn pause(tries: u32, asked: Option<Duration>) -> Duration {
    let first = if asked.is_some() { FIRST_BUSY } else { FIRST };
    let bound = (first * 2_u32.saturating_pow((tries - 1).min(8))).min(LONGEST);
    let random = RandomState::new().build_hasher().finish();
    asked.unwrap_or_default() + bound.mul_f64(random as f64 / u64::MAX as f64)
}

#[deny(clippy::missing_trait_methods)]
impl BlobReader for Retry {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            let mut buffer = Some(into);
            let started = Instant::now();
            let bytes =
                self.run(|| self.inner.read(id, range.clone(), buffer.take().unwrap_or_default())).await?;
            if bytes.len() <= SMALL {
                self.measure(started.elapsed());
            }
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(bytes)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.run(move || self.inner.list(prefix)))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(self.run(move || self.inner.stat(id)))
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(self.run(move || self.inner.any(prefix)))
    }

    fn usage(&self) -> Usage {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            requests: load(&self.requests),
            retries: load(&self.retries),
            bytes: load(&self.bytes),
            latency_us: load(&self.latency_us),
        }
    }

    fn traits(&self) -> StorageTraits {
        self.inner.traits()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_and_bounded() {
        let waits: Vec<_> = (0..200).map(|_| pause(1, Some(Duration::ZERO))).collect();
        assert!(waits.iter().all(|w| *w <= FIRST_BUSY));
        assert!(waits.iter().any(|w| *w < FIRST_BUSY / 4) && waits.iter().any(|w| *w > FIRST_BUSY / 4 * 3));
        assert!((1..40).all(|tries| pause(tries, None) <= LONGEST));
        assert!(pause(1, Some(Duration::from_secs(9))) >= Duration::from_secs(9));
    }
}
