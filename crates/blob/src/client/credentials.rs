//! Keeps credentials that expire: one request asks for them on behalf of all that need them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{BlobError, BlobErrorKind};

/// Holds the credentials of one storage until they are due or refused.
#[derive(Debug)]
pub(crate) struct Held<C> {
    state: Mutex<State<C>>,
    /// Held by the request that asks for other credentials. No lock on the state: what is asked may be refused itself.
    turn: tokio::sync::Mutex<()>,
    /// The time for which a service that gives credentials is waited for.
    patience: Duration,
}

#[derive(Debug)]
struct State<C> {
    current: Option<C>,
    /// The credentials of which the storage said that they have expired.
    refused: Option<C>,
    /// The time when asking failed last, and why: for those who have waited for the same answer.
    failed: Option<(Instant, BlobError)>,
}

/// The state of the credentials that are at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "others do not say when they expire"))]
pub(crate) enum Freshness {
    Good,
    /// The credentials still open the storage, but not much longer.
    Due,
    Expired,
}

impl<C: Clone> Held<C> {
    pub(crate) fn new(patience: Duration) -> Self {
        let state = State { current: None, refused: None, failed: None };
        Held { state: Mutex::new(state), turn: tokio::sync::Mutex::default(), patience }
    }

    /// Returns the credentials at hand, or others when those are due. `fetch` is given the ones that were refused, if
    /// any were.
    ///
    /// # Errors
    /// What `fetch` failed with; all who waited for it get the same error.
    pub(crate) async fn get<F: Future<Output = Result<C, BlobError>>>(
        &self,
        freshness: impl Fn(&C) -> Freshness,
        fetch: impl FnOnce(Option<C>) -> F,
    ) -> Result<C, BlobError> {
        let good = || self.state().current.clone().filter(|c| freshness(c) == Freshness::Good);
        if let Some(good) = good() {
            return Ok(good);
        }
        let asked = Instant::now();
        let _turn = self.turn.lock().await;
        if let Some(good) = good() {
            return Ok(good);
        }
        let (current, refused, failed) = {
            let state = self.state();
            (state.current.clone(), state.refused.clone(), state.failed.clone())
        };
        if let Some(current) = current.as_ref().filter(|c| freshness(c) == Freshness::Due)
            && failed.as_ref().is_some_and(|(when, _)| when.elapsed() < self.patience / 9)
        {
            return Ok(current.clone());
        }
        let again = current.is_some() || refused.is_some();
        let fetched = match failed {
            Some((when, error)) if when >= asked => Err(error),
            _ => {
                let fetched = tokio::time::timeout(self.patience, fetch(refused)).await;
                let late = BlobError::new(BlobErrorKind::Unavailable, "no answer in time").transient();
                let fetched = fetched.unwrap_or(Err(late));
                let doing = "the credentials have expired and cannot be renewed";
                fetched.map_err(|e| if again { e.while_doing(doing) } else { e })
            }
        };
        let mut state = self.state();
        match fetched {
            Ok(fresh) => {
                (state.current, state.failed) = (Some(fresh.clone()), None);
                Ok(fresh)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                current.filter(|c| freshness(c) == Freshness::Due).ok_or(error)
            }
        }
    }

    /// Takes note that the storage refused a request as expired that was signed so: the next one gets other
    /// credentials, unless these have been renewed already. Returns whether they have not.
    pub(crate) fn refuse(&self, was_used: impl Fn(&C) -> bool) -> bool {
        let mut state = self.state();
        let are_these = state.current.as_ref().is_some_and(was_used);
        if are_these {
            state.refused = state.current.take();
        }
        are_these
    }

    /// Whether the last credentials were refused, and there are no others yet.
    #[cfg(feature = "s3")]
    pub(crate) fn are_refused(&self) -> bool {
        let state = self.state();
        state.current.is_none() && state.refused.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn moment() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_need_others_ask_once() {
        let held = Held::new(Duration::from_secs(5));
        let asked = AtomicUsize::new(0);
        let get = || {
            held.get(
                |_| Freshness::Good,
                |_| async {
                    moment().await;
                    Ok(asked.fetch_add(1, Ordering::Relaxed))
                },
            )
        };
        let all = futures::future::join_all((0..64).map(|_| get())).await;
        assert!(all.iter().all(|one| matches!(one, Ok(0))), "{all:?}");
        // All 64 were refused, and say so one after the other.
        for _ in 0..64 {
            held.refuse(|used| *used == 0);
            assert_eq!(get().await.unwrap(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_for_a_failure_shares_it() {
        let held: Held<usize> = Held::new(Duration::from_secs(5));
        let asked = AtomicUsize::new(0);
        let get = || {
            held.get(
                |_| Freshness::Good,
                |_| async {
                    asked.fetch_add(1, Ordering::Relaxed);
                    std::future::pending().await
                },
            )
        };
        let all = futures::future::join_all((0..64).map(|_| get())).await;
        assert!(all.iter().all(|one| one.as_ref().is_err_and(BlobError::is_transient)), "{all:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        moment().await;
        get().await.unwrap_err();
        assert_eq!(asked.load(Ordering::Relaxed), 2, "whoever comes later asks again");
    }

    #[tokio::test]
    async fn what_is_only_due_serves_on_when_there_is_nothing_better() {
        let held = Held::new(Duration::from_secs(5));
        let failing = |_| async { Err(BlobError::new(BlobErrorKind::Denied, "no more")) };
        held.get(|_| Freshness::Good, |_| async { Ok(7) }).await.unwrap();
        assert_eq!(held.get(|_| Freshness::Due, failing).await.unwrap(), 7);
        let error = held.get(|_| Freshness::Expired, failing).await.unwrap_err();
        assert!(error.what().contains("cannot be renewed: no more"), "{error}");
        assert_eq!(held.get(|_| Freshness::Expired, |_| async { Ok(8) }).await.unwrap(), 8);
        assert_eq!(held.get(|_| Freshness::Due, |_| async { Ok(9) }).await.unwrap(), 9);
    }
}
