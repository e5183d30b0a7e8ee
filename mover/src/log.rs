//! What the engine says while it works, as the pod's log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rekopia::{Event, Observer};

use crate::outcome::Times;
use crate::say::{one_line, say};

/// Warnings as they come, progress every ten seconds, failures up to a limit; and how long each part took.
#[derive(Default)]
pub(crate) struct Log(Mutex<LogState>);

#[derive(Default)]
struct LogState {
    last_progress: Option<Instant>,
    failures: u64,
    times: Times,
}

impl Log {
    /// Notes how long a part took.
    pub(crate) fn took(&self, what: &'static str, time: Duration) {
        self.event(Event::Took { what, seconds: time.as_secs_f64() });
    }

    /// Where the time went so far.
    pub(crate) fn times(&self) -> Times {
        self.state().times.clone()
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Log {
    fn event(&self, event: Event) {
        let mut state = self.state();
        match event {
            Event::Warning { message } => say(&format!("WARN: {}", one_line(&message, 2000))),
            Event::Took { what, seconds } => state.times.0.push((what, seconds)),
            Event::Progress(p) => {
                let last = *state.last_progress.get_or_insert_with(Instant::now);
                if last.elapsed() >= Duration::from_secs(10) {
                    state.last_progress = Some(Instant::now());
                    say(&format!(
                        "INFO: {} of {} entries, {} of {} bytes",
                        p.entries, p.total_entries, p.bytes, p.total_bytes
                    ));
                }
            }
            Event::Failed { path, message } => {
                state.failures += 1;
                if state.failures <= 100 {
                    let (path, message) = (one_line(&path, 1000), one_line(&message, 1000));
                    say(&format!("ERROR: failed: {path}: {message}"));
                }
            }
            _ => {}
        }
    }
}
