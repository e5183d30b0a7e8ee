//! Tries again, spread in time; counts what was sent.

use std::collections::VecDeque;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rekopia_format::BlobId;
use tokio::time::Instant;

use super::health::{Admission, Health};
use crate::deadlines::Deadlines;
use crate::error::BlobError;
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};

/// A storage whose requests are repeated when they may succeed a moment later.
pub(super) struct Retry {
    inner: Arc<dyn BlobReader>,
    deadlines: Deadlines,
    health: Health,
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    latencies: Mutex<Latencies>,
}

/// Bytes up to which an answer tells the latency rather than the bandwidth.
const SMALL: usize = 64 * 1024;

/// Tries before anything is given up, unless the storage asks us to wait.
const LEAST_TRIES: u32 = 4;

impl Retry {
    pub(super) fn new(inner: Arc<dyn BlobReader>, deadlines: Deadlines) -> Self {
        let zero = || AtomicU64::new(0);
        let (requests, retries, bytes) = (zero(), zero(), zero());
        let health = Health::new(deadlines.silence());
        Retry { inner, deadlines, health, requests, retries, bytes, latencies: Mutex::default() }
    }

    async fn run<T, F: Future<Output = Result<T, BlobError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, BlobError> {
        let admission = self.health.admit().await?;
        let probing = matches!(admission, Admission::Probe { .. });
        let started = Instant::now();
        // How long it has been failing. A long answer that broke off near its end is not held against it in full.
        let mut failing = Duration::ZERO;
        // How long the storage has asked us to wait.
        let mut asked = Duration::ZERO;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            tries += 1;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            let result = attempt().await;
            let error = match result {
                Err(error) if error.is_transient() => error,
                Err(error) if error.is_expired() => {
                    self.health.answered();
                    if std::mem::replace(&mut renewed, true) {
                        return Err(error.although_renewed());
                    }
                    tracing::debug!("try {tries} failed, once more in another way: {error}");
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                answered => {
                    self.health.answered();
                    return answered;
                }
            };
            let own_wait = pause(&self.deadlines, tries, error.wait().is_some());
            let wait = error.wait().unwrap_or_default() + own_wait;
            failing += began.elapsed().min(self.deadlines.connect() + self.deadlines.silence()) + own_wait;
            // A server that says when to come back is there: that time is not held against it, up to a bound of its
            // own.
            asked += error.wait().unwrap_or_default();
            // Three silent connections one after the other may be a gateway's; then a new one is worth a try.
            let out_of_patience = failing > self.deadlines.patience && tries >= LEAST_TRIES
                || failing + asked > self.deadlines.busy_patience();
            if probing || out_of_patience {
                self.health.given_up(started, probing, &error);
                return Err(error.after(tries, started.elapsed()));
            }
            tracing::debug!("try {tries} failed, waiting {} ms: {error}", wait.as_millis());
            self.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_read(
        &self,
        id: &BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let began = Instant::now();
        let bytes = self.inner.read(id, range, into).await?;
        if bytes.len() <= SMALL {
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).add(began.elapsed());
        }
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// Returns the wait before the next try, with full jitter: anywhere between nothing and a bound that doubles.
fn pause(deadlines: &Deadlines, tries: u32, busy: bool) -> Duration {
    let first = if busy { deadlines.first_busy_wait() } else { deadlines.first_wait() };
    let bound = (first * 2_u32.saturating_pow((tries - 1).min(8))).min(deadlines.longest_wait());
    let random = RandomState::new().build_hasher().finish();
    bound.mul_f64(random as f64 / u64::MAX as f64)
}

/// The last few latencies, oldest first, in microseconds.
#[derive(Debug, Default)]
struct Latencies(VecDeque<u64>);

impl Latencies {
    /// The number of latencies that are kept: few enough to forget a slow start soon, too many for one slow answer to
    /// matter.
    const KEPT: usize = 33;

    fn add(&mut self, took: Duration) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    fn median(&self) -> u64 {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }
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
            self.run(|| self.try_read(id, range.clone(), buffer.take().unwrap_or_default())).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.run(move || self.inner.list(prefix)))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(self.run(move || self.inner.stat(id)))
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.run(move || self.inner.look_elsewhere()))
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(self.run(move || self.inner.any(prefix)))
    }

    fn distrust(&self, id: &BlobId) {
        self.inner.distrust(id);
    }

    /// Returns what the provider counts where it does: one listing may be many requests.
    fn usage(&self) -> Usage {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let inner = self.inner.usage();
        let counts = inner.requests > 0;
        Usage {
            requests: if counts { inner.requests } else { load(&self.requests) },
            retries: load(&self.retries),
            bytes: if counts { inner.bytes } else { load(&self.bytes) },
            latency: Duration::from_micros(
                self.latencies.lock().unwrap_or_else(PoisonError::into_inner).median(),
            ),
        }
    }

    fn folder(&self) -> Option<std::path::PathBuf> {
        self.inner.folder()
    }

    fn profile(&self) -> StorageProfile {
        self.inner.profile()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BlobErrorKind;

    #[test]
    fn waits_are_spread_and_bounded() {
        let deadlines = Deadlines::default();
        let busy = deadlines.first_busy_wait();
        let waits: Vec<_> = (0..200).map(|_| pause(&deadlines, 1, true)).collect();
        assert!(waits.iter().all(|w| *w <= busy));
        assert!(waits.iter().any(|w| *w < busy / 4) && waits.iter().any(|w| *w > busy / 4 * 3));
        assert!((1..40).all(|tries| pause(&deadlines, tries, false) <= deadlines.longest_wait()));
    }

    /// A storage that answers only when it is told to; counts.
    struct Moody {
        up: std::sync::atomic::AtomicBool,
        asked: AtomicU64,
    }

    impl BlobReader for Moody {
        fn read<'a>(
            &'a self,
            id: &'a BlobId,
            _: Option<Range<u64>>,
            _: Vec<u8>,
        ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::Relaxed);
                if self.up.load(Ordering::Relaxed) && id.as_str() != "bad" {
                    return Ok(Vec::new());
                }
                Err(BlobError::new(BlobErrorKind::Unavailable, "no answer in time").transient())
            })
        }

        fn list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
            panic!("nobody asks")
        }

        fn stat<'a>(&'a self, _: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
            panic!("nobody asks")
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
            StorageProfile { in_flight: 4, gap: 0, local: false }
        }

        fn describe(&self) -> String {
            "moody".into()
        }
    }

    #[tokio::test]
    async fn a_storage_that_is_gone_is_waited_for_once_and_comes_back() {
        let moody = Arc::new(Moody { up: false.into(), asked: AtomicU64::new(0) });
        let deadlines = Deadlines { patience: Duration::from_millis(1200) };
        let retry = Retry::new(Arc::clone(&moody) as _, deadlines);
        let (good, bad) = (BlobId::parse("good").unwrap(), BlobId::parse("bad").unwrap());
        // Whether it was read, and how often the storage was asked.
        let read = async |id: &BlobId| {
            let before = moody.asked.load(Ordering::Relaxed);
            let result = retry.read(id, None, Vec::new()).await;
            (result.is_ok(), moody.asked.load(Ordering::Relaxed) - before)
        };
        let pass = async || tokio::time::sleep(deadlines.silence()).await;
        let (ok, tries) = read(&good).await;
        assert!(!ok && tries > 2, "{tries}");
        assert_eq!(read(&good).await, (false, 1), "one more try");
        let together = futures::future::join_all((0..100).map(|_| read(&good))).await;
        assert!(together.iter().all(|one| *one == (false, 0)), "nothing is sent: {together:?}");
        pass().await;
        let asked = moody.asked.load(Ordering::Relaxed);
        futures::future::join_all((0..100).map(|_| read(&good))).await;
        assert_eq!(moody.asked.load(Ordering::Relaxed), asked + 1, "one tries for all");
        moody.up.store(true, Ordering::Relaxed);
        pass().await;
        assert_eq!(read(&good).await, (true, 1));
        // A single bad blob says nothing of the others.
        assert!(!read(&bad).await.0);
        assert_eq!(read(&good).await, (true, 1));
        assert!(read(&bad).await.1 > 2);
    }

    #[test]
    fn the_latency_is_a_median_of_the_last_ones() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.median(), 0);
        for ms in [900, 3, 2, 4, 700] {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.median(), 4000);
        (0..Latencies::KEPT).for_each(|_| latencies.add(Duration::from_millis(7)));
        assert_eq!((latencies.median(), latencies.0.len()), (7000, Latencies::KEPT));
    }
}
