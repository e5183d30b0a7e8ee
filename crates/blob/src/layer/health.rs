//! Finds out whether the storage answers at all.
//!
//! One request that is given up may be about one bad object. But when nobody was answered while it was being tried, and
//! the next request fails too, the storage is gone: whoever comes then is told so at once, instead of waiting in vain for
//! each of thousands of blobs. Every now and then one request tries again, and the first answer ends it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{BlobError, BlobErrorKind};

/// The facts that are known from the requests so far.
#[derive(Debug)]
pub(super) struct Health {
    state: Mutex<State>,
    /// Held by the request that tries whether the storage is back.
    probe: tokio::sync::Mutex<()>,
    /// The time for which nobody tries.
    pause: Duration,
}

#[derive(Debug)]
struct State {
    answered: Instant,
    gone: Option<Gone>,
}

#[derive(Debug)]
struct Gone {
    /// Whether a second request failed, too.
    proven: bool,
    since: Instant,
    what: String,
}

/// The leave that a new request gets.
#[derive(Debug)]
pub(super) enum Admission<'a> {
    /// The request may make as many tries as it needs.
    Normal,
    /// The request may make one try, for which others wait.
    Probe { _turn: tokio::sync::MutexGuard<'a, ()> },
}

impl Health {
    pub(super) fn new(pause: Duration) -> Self {
        let state = State { answered: Instant::now(), gone: None };
        Health { state: Mutex::new(state), probe: tokio::sync::Mutex::new(()), pause }
    }

    /// Asks for leave to send a request.
    pub(super) async fn admit(&self) -> Result<Admission<'_>, BlobError> {
        if self.state().gone.is_none() {
            return Ok(Admission::Normal);
        }
        let turn = self.probe.lock().await;
        match &self.state().gone {
            None => Ok(Admission::Normal),
            Some(gone) if gone.proven && gone.since.elapsed() < self.pause => {
                let what = format!("it does not answer any more; last: {}", gone.what);
                Err(BlobError::new(BlobErrorKind::Unavailable, what))
            }
            Some(_) => Ok(Admission::Probe { _turn: turn }),
        }
    }

    /// Takes note that the storage answered, be it with a refusal.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        (state.answered, state.gone) = (Instant::now(), None);
    }

    /// Takes note of a request that was given up; it was sent first at `started`.
    pub(super) fn given_up(&self, started: Instant, probing: bool, error: &BlobError) {
        let mut state = self.state();
        if state.answered < started {
            let proven = probing || state.gone.as_ref().is_some_and(|gone| gone.proven);
            state.gone = Some(Gone { proven, since: Instant::now(), what: error.what().to_owned() });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
