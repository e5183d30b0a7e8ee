//! What a caller can watch, and how it can stop the work.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;

use crate::differs::Differs;

/// Something that happened. New kinds may be added at any time.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// Something the person should know, though the work goes on.
    Warning {
        /// The warning in one sentence.
        message: String,
    },
    /// Another part of the work begins.
    Phase {
        /// The part of the work that begins.
        phase: Phase,
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
        /// The part that is done: `key derivation`, `hash`, `sync`.
        what: &'static str,
        /// How long it took.
        seconds: f64,
    },
    /// How far a restore or verification is; sent a few times a second.
    Progress(Progress),
    /// An entry could not be restored; the run goes on or stops as asked.
    Failed {
        /// The entry, relative to the target.
        path: String,
        /// Why the entry failed, in one sentence.
        message: String,
    },
    /// An entry on the disk differs from the snapshot's.
    Differs {
        /// The entry, relative to the target.
        path: String,
        /// What is there, and what should be.
        message: String,
        /// What differs, for programs.
        differs: Vec<Differs>,
    },
}

/// The parts of the work, in the order in which a command goes through those that it has.
///
/// | command | phases |
/// | --- | --- |
/// | restore | opening, comparing, restoring, deleting, re-reading, hashing, syncing |
/// | the same as a dry run | opening, comparing, planning, probing |
/// | verification of one tree | opening, verifying |
/// | verification of several | opening, listing, verifying |
/// | verification of a receipt | hashing |
/// | any of them, salvaging | opening, scanning, then as above |
///
/// Where there is no room for old and new together, deleting comes before restoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The format blob and the index are read.
    Opening,
    /// The packs' own indexes are read; entries and bytes of the progress are packs and theirs.
    Scanning,
    /// What has to be known before the target is changed is found out.
    Comparing,
    /// A dry run finds out what would be read and changed.
    Planning,
    /// A dry run reads some of the data that is needed, and sees how fast the target is.
    Probing,
    /// File data is read and written.
    Restoring,
    /// What the snapshot does not have is removed.
    Deleting,
    /// What was restored is read back from the disk.
    #[serde(rename = "re-reading")]
    Rereading,
    /// What stands in the target is read and hashed, for a receipt.
    Hashing,
    /// The file system is told to write everything to its disk.
    Syncing,
    /// Directories are read, each once; entries of the progress are directories.
    Listing,
    /// File data is read and not written.
    Verifying,
}

impl Phase {
    /// Returns the name in lower case, as events have it: `re-reading`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Opening => "opening",
            Phase::Scanning => "scanning",
            Phase::Comparing => "comparing",
            Phase::Planning => "planning",
            Phase::Probing => "probing",
            Phase::Restoring => "restoring",
            Phase::Deleting => "deleting",
            Phase::Rereading => "re-reading",
            Phase::Hashing => "hashing",
            Phase::Syncing => "syncing",
            Phase::Listing => "listing",
            Phase::Verifying => "verifying",
        }
    }
}

/// Counters of a running restore or verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Progress {
    /// Files, directories and symlinks finished.
    pub entries: u64,
    /// Entries known so far; the snapshot's own total where it is recorded and all of it is wanted.
    pub total_entries: u64,
    /// Regular files among the finished entries.
    pub files: u64,
    /// Regular files among the known entries.
    pub total_files: u64,
    /// Bytes of file data that are where they belong.
    pub bytes: u64,
    /// Bytes known so far; the snapshot's own total where it is recorded and all of it is wanted.
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

impl Progress {
    rekopia_blob::setters! {
        entries: u64,
        total_entries: u64,
        files: u64,
        total_files: u64,
        bytes: u64,
        total_bytes: u64,
        fetched_bytes: u64,
        requests: u64,
        failures: u64,
        bytes_per_second: u64,
        eta_seconds: Option<u64>,
    }
}

/// Follows how fast a counter of bytes grows.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    /// What the rate looks back at.
    const SPAN: Duration = Duration::from_secs(10);

    /// Returns the bytes per second, now that `bytes` are done.
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

/// A flag that asks the work to stop; clones share it. How it differs from a `CancellationToken`:
/// [`manual::cancellation`](crate::manual::cancellation).
///
/// A restore or verification whose flag is set drops its requests in flight, gives writes that have begun two seconds,
/// puts modes of directories back, and returns its report; it neither reads the index once more nor syncs. What takes no
/// flag (opening a repository, listing its snapshots) is stopped by dropping its future, which
/// [`run_until_cancelled`](Self::run_until_cancelled) does.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    own: Arc<Flag>,
    /// Another flag that asks for it, too.
    also: Option<Arc<Flag>>,
}

#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    since: OnceLock<Instant>,
    waiting: Notify,
}

impl Flag {
    fn set(&self) {
        self.since.get_or_init(Instant::now);
        self.is_set.store(true, Ordering::Release);
        self.waiting.notify_waiters();
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    async fn wait(&self) {
        // Listening begins before the look, so that nothing is missed between the two.
        let mut notified = pin!(self.waiting.notified());
        notified.as_mut().enable();
        if !self.is_set() {
            notified.await;
        }
    }
}

impl Cancel {
    /// Makes a flag that is not set.
    pub fn new() -> Self {
        Cancel::default()
    }

    /// Asks the work to stop: what is in flight is dropped, what is half-written is removed.
    pub fn cancel(&self) {
        self.own.set();
    }

    /// Whether stopping was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.own.is_set() || self.also.as_ref().is_some_and(|also| also.is_set())
    }

    /// Waits until stopping is asked for. Dropping the future has no effect.
    pub async fn cancelled(&self) {
        match &self.also {
            None => self.own.wait().await,
            Some(also) => tokio::select! {
                () = self.own.wait() => {}
                () = also.wait() => {}
            },
        }
    }

    /// Gives what `work` gives; `None` as soon as stopping is asked for, and then `work` is dropped where it stands.
    pub async fn run_until_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// Gives what `work` gives; `None` when it has not ended `grace` after stopping was asked for.
    pub(crate) async fn run_with_grace<T>(
        &self,
        grace: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let over = async {
            self.cancelled().await;
            let passed = self.since().map_or(Duration::ZERO, |since| since.elapsed());
            tokio::time::sleep(grace.saturating_sub(passed)).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = over => None,
        }
    }

    fn since(&self) -> Option<Instant> {
        let also = self.also.as_ref().and_then(|also| also.since.get());
        self.own.since.get().or(also).copied()
    }

    /// Returns a flag that is set when this one or `other` is.
    pub(crate) fn also(&self, other: &Cancel) -> Self {
        Cancel { own: Arc::clone(&self.own), also: Some(Arc::clone(&other.own)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_name_phases_as_people_see_them() {
        use Phase::{
            Comparing, Deleting, Listing, Opening, Planning, Probing, Rereading, Restoring, Scanning,
            Syncing, Verifying,
        };
        for phase in [
            Opening, Scanning, Comparing, Planning, Probing, Restoring, Deleting, Rereading, Syncing,
            Listing, Verifying,
        ] {
            let event = serde_json::to_value(Event::Phase { phase }).unwrap();
            assert_eq!(event, serde_json::json!({"event": "phase", "phase": phase.name()}));
        }
    }

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

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_and_whoever_comes_later_does_not_wait() {
        let (one, other) = (Cancel::new(), Cancel::new());
        let both = one.also(&other);
        let waiting = tokio::spawn({
            let both = both.clone();
            async move { both.run_until_cancelled(std::future::pending::<()>()).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        other.cancel();
        assert_eq!(waiting.await.unwrap(), None);
        assert!(both.is_cancelled() && !one.is_cancelled());
        assert_eq!(both.run_until_cancelled(async { 1 }).await, None, "what had not begun does not begin");
        // What has begun has its grace, counted from the wish to stop.
        let slow = |seconds| async move { tokio::time::sleep(Duration::from_secs(seconds)).await };
        assert_eq!(both.run_with_grace(Duration::from_secs(5), slow(1)).await, Some(()));
        assert_eq!(both.run_with_grace(Duration::from_secs(5), slow(60)).await, None);
        assert_eq!(one.run_with_grace(Duration::from_secs(5), slow(60)).await, Some(()));
    }
}
