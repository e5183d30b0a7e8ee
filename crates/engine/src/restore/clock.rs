//! Measures where the time of a run goes, stage by stage.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Seconds that the stages of a run took. Stages overlap and have several threads: they do not add up to wall time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StageTimes {
    /// Reading and parsing directories.
    #[serde(rename = "walkSeconds")]
    pub walk: f64,
    /// Comparing entries with what is in the target.
    #[serde(rename = "reconcileSeconds")]
    pub reconcile: f64,
    /// Turning windows into pack reads.
    #[serde(rename = "planSeconds")]
    pub plan: f64,
    /// Requests for packs, from sending to the last byte, all together.
    #[serde(rename = "fetchSeconds")]
    pub fetch: f64,
    /// Pack reads that waited for memory.
    #[serde(rename = "stallSeconds")]
    pub stall: f64,
    /// Decrypting and decompressing, all threads together.
    #[serde(rename = "decodeSeconds")]
    pub decode: f64,
    /// Creating, writing and finishing files, all threads together.
    #[serde(rename = "writeSeconds")]
    pub write: f64,
    /// Threads without work.
    #[serde(rename = "idleSeconds")]
    pub idle: f64,
    /// The final sync.
    #[serde(rename = "syncSeconds")]
    pub sync: f64,
    /// Messages that waited for the threads, at most.
    pub longest_queue: u64,
}

/// A stage that is timed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Walk,
    Reconcile,
    Plan,
    Fetch,
    Stall,
    Decode,
    Write,
    Idle,
    Sync,
}

/// Adds up times from all threads.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    nanos: [AtomicU64; 9],
    longest_queue: AtomicU64,
}

impl Clock {
    /// Adds the time since `started`; returns now, where the next stage starts.
    pub(crate) fn add(&self, stage: Stage, started: Instant) -> Instant {
        let now = Instant::now();
        let nanos = u64::try_from((now - started).as_nanos()).unwrap_or(u64::MAX);
        self.nanos[stage as usize].fetch_add(nanos, Ordering::Relaxed);
        now
    }

    /// Takes note of a queue's length.
    pub(crate) fn queued(&self, len: usize) {
        self.longest_queue.fetch_max(len as u64, Ordering::Relaxed);
    }

    /// Returns the times so far.
    pub(crate) fn times(&self) -> StageTimes {
        let seconds = |stage: Stage| {
            Duration::from_nanos(self.nanos[stage as usize].load(Ordering::Relaxed)).as_secs_f64()
        };
        StageTimes {
            walk: seconds(Stage::Walk),
            reconcile: seconds(Stage::Reconcile),
            plan: seconds(Stage::Plan),
            fetch: seconds(Stage::Fetch),
            stall: seconds(Stage::Stall),
            decode: seconds(Stage::Decode),
            write: seconds(Stage::Write),
            idle: seconds(Stage::Idle),
            sync: seconds(Stage::Sync),
            longest_queue: self.longest_queue.load(Ordering::Relaxed),
        }
    }
}
