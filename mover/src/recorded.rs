//! Holds the errors that a snapshot recorded when it was taken.

use rekopia::Snapshot;

use crate::say::one_line;

/// Recorded errors that are named.
const NAMED: usize = 10;

/// The errors that Kopia met when it took a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Number of errors, ignored ones included.
    pub(crate) count: u64,
    /// The first paths with errors.
    pub(crate) paths: Vec<String>,
    /// The first errors with Kopia's words, for the log.
    pub(crate) lines: Vec<String>,
}

impl Recorded {
    /// Returns the errors of this snapshot.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let (count, first) = snapshot.recorded_errors();
        let first = || first.iter().take(NAMED);
        let line = |path: &str, error: &str| format!("{}: {}", one_line(path, 200), one_line(error, 200));
        Recorded {
            count,
            paths: first().map(|e| one_line(&e.path, 200)).collect(),
            lines: first().map(|e| line(&e.path, &e.error)).collect(),
        }
    }
}
