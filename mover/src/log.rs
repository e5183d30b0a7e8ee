//! Logs what the engine says while it works, as the pod's log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rekopia::{Event, Observer, Progress};

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

    /// Returns where the time went so far.
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
                    say(&progress_line(&p));
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

/// Writes a line that programs read, too: files and bytes so far and in all, bytes a second, seconds to go (`?`: not
/// known yet). No name in it is one that the operator's filter of logs lets pass (contract §3.5).
fn progress_line(p: &Progress) -> String {
    let eta = p.eta_seconds.map_or_else(|| "?".to_owned(), |seconds| seconds.to_string());
    let (files, total_files, bytes, total_bytes, rate) =
        (p.files, p.total_files, p.bytes, p.total_bytes, p.bytes_per_second);
    format!("INFO: PROGRESS files={files}/{total_files} bytes={bytes}/{total_bytes} rate={rate} eta={eta}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_line_of_fields() {
        let mut progress = Progress::default().files(12).total_files(340).bytes(5).total_bytes(4096);
        assert_eq!(progress_line(&progress), "INFO: PROGRESS files=12/340 bytes=5/4096 rate=0 eta=?");
        (progress.bytes_per_second, progress.eta_seconds) = (1000, Some(4));
        let line = progress_line(&progress);
        assert_eq!(line, "INFO: PROGRESS files=12/340 bytes=5/4096 rate=1000 eta=4");
        for word in ["error", "failed", "unable to"] {
            assert!(!line.to_lowercase().contains(word));
        }
    }
}
