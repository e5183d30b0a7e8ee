//! Progress events while a run goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::finish::Outcome;
use crate::observer::{Event, Pace, Progress};
use crate::repository::Repository;
use crate::repository::reference::Resolved;

/// Time between two progress events.
const TICK: Duration = Duration::from_millis(200);

/// Sends progress a few times a second until it is stopped.
pub(super) struct Ticker(tokio::task::JoinHandle<()>);

impl Ticker {
    pub(super) fn start(repository: &Repository, outcome: &Arc<Outcome>, from: &Resolved) -> Self {
        let (traffic, outcome) = (Arc::clone(&repository.contents().traffic), Arc::clone(outcome));
        let summary = from.entry.summary.as_ref();
        let known_entries = summary.map_or(1, |s| s.files.saturating_add(s.dirs).saturating_add(s.symlinks));
        let known_bytes = summary.map_or(from.entry.size, |s| s.size);
        Ticker(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            let mut pace = Pace::default();
            loop {
                ticks.tick().await;
                let (t, get) = (&outcome.tally, |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed));
                let (bytes, total_bytes) = (get(&t.done_bytes), known_bytes.max(get(&t.total_bytes)));
                let rate = pace.rate(Instant::now(), bytes);
                outcome.observer.event(Event::Progress(Progress {
                    entries: get(&t.files) + get(&t.directories) + get(&t.symlinks) + get(&t.failed),
                    total_entries: known_entries.max(get(&t.total_entries)),
                    bytes,
                    total_bytes,
                    fetched_bytes: get(&traffic.bytes),
                    requests: get(&traffic.requests),
                    failures: get(&t.failed),
                    bytes_per_second: rate,
                    eta_seconds: total_bytes.saturating_sub(bytes).checked_div(rate),
                }));
            }
        }))
    }

    /// Ends the events.
    pub(super) fn stop(self) {
        drop(self);
    }
}

/// Also when the future of the run is dropped.
impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.abort();
    }
}
