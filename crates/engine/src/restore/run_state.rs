//! Knows whether a run goes on, and who is told of it.

use std::sync::{Arc, Mutex, PoisonError};

use super::differs::Differences;
use super::ledger::Ledger;
use super::options::OnError;
use super::report::Failure;
use crate::error::{Error, ErrorKind};
use crate::observer::{Cancel, Event, Observer, Phase};

/// The state of a run: whether it goes on, what ended it, and who is told of it; shared by all stages.
pub(crate) struct RunState {
    /// Set by the caller, or here when the run has to end early.
    pub(crate) stop: Cancel,
    pub(crate) observer: Arc<dyn Observer>,
    on_error: OnError,
    fatal: Mutex<Option<Failure>>,
}

impl RunState {
    /// Makes the state of a run that goes on.
    pub(crate) fn new(on_error: OnError, observer: Arc<dyn Observer>) -> Self {
        RunState { stop: Cancel::new(), observer, on_error, fatal: Mutex::new(None) }
    }

    /// Enters another part of the run.
    pub(crate) fn enter(&self, phase: Phase) {
        self.observer.event(Event::Phase { phase });
    }

    /// Enters an entry as failed. Ends the run when it is to stop at errors, or when going on makes no sense.
    pub(crate) fn fail(&self, ledger: &Ledger, path: String, error: &Error, mixed: bool) {
        // The run is over; what fails now fails because of that. A file that it leaves half-changed is still told of.
        if self.fatal().is_some() && !mixed {
            return;
        }
        let always =
            matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Internal) || is_disk_full(error);
        let failure = ledger.fail(path, error, mixed);
        self.observer.event(Event::Failed { path: failure.path.clone(), message: failure.message.clone() });
        if always || self.on_error == OnError::Stop {
            self.end(failure);
        }
    }

    /// Enters an entry that differs from the snapshot's. That ends nothing.
    pub(crate) fn differs(&self, ledger: &Ledger, path: String, differences: &Differences) {
        let Failure { path, message, differs, .. } = ledger.differ(path, differences);
        self.observer.event(Event::Differs { path, message, differs });
    }

    /// Ends the run for a reason that no entry has.
    pub(crate) fn abort(&self, error: &Error) {
        let (kind, message) = (error.kind(), error.chain());
        self.end(Failure { path: String::new(), kind, message, mixed: false, differs: Vec::new() });
    }

    /// Returns why the run ended early, if it did.
    pub(crate) fn fatal(&self) -> Option<Failure> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the run; the first reason counts.
    fn end(&self, failure: Failure) {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.stop.cancel();
    }
}

fn is_disk_full(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = next {
        if e.downcast_ref::<crate::sink::SinkError>().is_some_and(|e| e.stops_everything()) {
            return true;
        }
        next = e.source();
    }
    false
}
