//! What a caller can watch, and how it can stop the work.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Something that happened. New kinds may be added at any time.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// Something the person should know, though the work goes on.
    Warning {
        /// One sentence.
        message: String,
    },
    /// The repository is open.
    Opened {
        /// Hex of the repository's unique ID.
        repository: String,
        /// Index entries.
        contents: u64,
        /// Index blobs read.
        index_blobs: u64,
    },
    /// A part of the work that nothing else tells the time of is done.
    Took {
        /// Which part: `key derivation`, `sync`.
        what: &'static str,
        /// How long it took.
        seconds: f64,
    },
    /// How far a restore or verification is; sent a few times a second.
    Progress(Progress),
    /// One entry could not be restored; the run goes on or stops as asked.
    Failed {
        /// The entry, relative to the target.
        path: String,
        /// Why.
        message: String,
    },
}

/// Counters of a running restore or verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Files, directories and symlinks finished.
    pub entries: u64,
    /// Entries known so far; the snapshot's own total where it is recorded.
    pub total_entries: u64,
    /// Bytes of file data that are where they belong.
    pub bytes: u64,
    /// Bytes known so far; the snapshot's own total where it is recorded.
    pub total_bytes: u64,
    /// Bytes read from storage.
    pub fetched_bytes: u64,
    /// Requests sent to storage.
    pub requests: u64,
    /// Entries that failed.
    pub failures: u64,
    /// Bytes of file data a second, over the last ten seconds.
    pub bytes_per_second: u64,
    /// How long the rest takes at that rate, in seconds; `None`: nothing to go by yet.
    pub eta_seconds: Option<u64>,
}

/// Follows how fast a counter of bytes grows.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    /// What the rate looks back at.
    const SPAN: Duration = Duration::from_secs(10);

    /// Bytes per second, now that `bytes` are done.
    pub(crate) fn rate(&mut self, now: Instant, bytes: u64) -> u64 {
        self.0.push_back((now, bytes));
        while self.0.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= Self::SPAN) {
            self.0.pop_front();
        }
        let Some((then, before)) = self.0.front() else { return 0 };
        let seconds = now.duration_since(*then).as_secs_f64();
        if seconds > 0.0 { (bytes.saturating_sub(*before) as f64 / seconds) as u64 } else { 0 }
    }
}

/// Watches the engine at work. Called from several threads; must not block.
pub trait Observer: Send + Sync {
    /// Takes note of an event.
    fn event(&self, event: Event);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: Event) {}
}

/// A flag that asks the work to stop; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    /// Another one that asks for it, too.
    also: Option<Arc<AtomicBool>>,
}

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Cancel::default()
    }

    /// Asks the work to stop: what is in flight drains, what is half-written is removed.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether stopping was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
            || self.also.as_ref().is_some_and(|also| also.load(Ordering::Relaxed))
    }

    /// One that is set when this or `other` is.
    pub(crate) fn also(&self, other: &Cancel) -> Self {
        Cancel { flag: Arc::clone(&self.flag), also: Some(Arc::clone(&other.flag)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.rate(start, 0), 0);
        assert_eq!(pace.rate(start + Duration::from_secs(2), 200), 100);
        // A standstill shows once the fast seconds are out of sight.
        assert_eq!(pace.rate(start + Duration::from_secs(10), 200), 20);
        assert_eq!(pace.rate(start + Duration::from_secs(12), 200), 0);
        assert_eq!(pace.rate(start + Duration::from_secs(13), 1200), 1000 / 11);
    }
}
