//! Sends progress events while a run goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rekopia_format::directory::EntryKind;

use super::ledger::Ledger;
use crate::observer::{Event, Observer, Pace, Progress};
use crate::repository::Repository;
use crate::repository::reference::Resolved;

/// Time between two progress events.
const TICK: Duration = Duration::from_millis(200);

/// The work that a run is about to do, before the walk has found it; zero where that is not known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    entries: u64,
    files: u64,
    bytes: u64,
}

impl Known {
    /// Returns the numbers of all that `from` names.
    pub(crate) fn all(from: &Resolved) -> Self {
        let Some(s) = &from.entry.summary else {
            let is_file = from.entry.kind == EntryKind::File;
            return Known { entries: 1, files: is_file.into(), bytes: from.entry.size };
        };
        let entries = s.files.saturating_add(s.dirs).saturating_add(s.symlinks);
        Known { entries, files: s.files, bytes: s.size }
    }
}

/// Sends progress a few times a second until it is stopped.
pub(crate) struct Ticker(tokio::task::JoinHandle<()>);

impl Ticker {
    /// Starts sending. `known`: what all of the tree is, where all of it is wanted and that is recorded.
    pub(crate) fn start(
        repository: &Repository,
        ledger: &Arc<Ledger>,
        observer: &Arc<dyn Observer>,
        known: Known,
    ) -> Self {
        let traffic = Arc::clone(&repository.contents().traffic);
        let (ledger, observer) = (Arc::clone(ledger), Arc::clone(observer));
        Ticker(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            let mut pace = Pace::default();
            loop {
                ticks.tick().await;
                let (t, get) = (&ledger, |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed));
                let (bytes, total_bytes) = (get(&t.done_bytes), known.bytes.max(get(&t.total_bytes)));
                let rate = pace.rate(Instant::now(), bytes);
                observer.event(Event::Progress(Progress {
                    entries: get(&t.files) + get(&t.directories) + get(&t.symlinks) + get(&t.failed),
                    total_entries: known.entries.max(get(&t.total_entries)),
                    files: get(&t.files),
                    total_files: known.files.max(get(&t.total_files)),
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
    pub(crate) fn stop(self) {
        drop(self);
    }
}

/// The events end also when the future of the run is dropped.
impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.abort();
    }
}
