//! What a mover says: its termination message, its progress, the end of its log.
//!
//! Outcomes are told apart by exit code and name, never by their sentences: movers of other days word them otherwise.

use serde::Deserialize;

use crate::objects::Terminated;

/// How a mover ended.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Report {
    /// `restored`, `empty`, `wrong-password`, …; empty for another mover.
    pub outcome: String,
    /// From the table of exit codes.
    pub exit_code: i32,
    /// What failed, with the remedy.
    pub message: String,
    /// `ID of DATE`.
    pub snapshot: String,
    /// Files restored.
    pub files: Option<u64>,
    /// Bytes restored.
    pub bytes: Option<u64>,
    /// Entries that are missing.
    pub losses: u64,
}

impl Report {
    /// Reads how a container ended; one that says nothing in JSON is known by its exit code alone.
    #[must_use]
    pub fn of(ended: &Terminated) -> Self {
        let said = serde_json::from_str::<Report>(&ended.message).unwrap_or_default();
        Report { exit_code: ended.exit_code, ..said }
    }

    /// Whether the mover found nothing to restore, and that is right.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exit_code == 0 && matches!(self.outcome.as_str(), "empty" | "no-repository")
    }
}

/// How far a mover is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Files done and in all.
    pub files: (u64, u64),
    /// Bytes done and in all.
    pub bytes: (u64, u64),
    /// Seconds to go, where that is known.
    pub eta_seconds: Option<u64>,
}

impl Progress {
    /// The newest progress in the end of a log; none where the mover says none.
    #[must_use]
    pub fn of_log(log: &str) -> Option<Self> {
        log.lines().rev().find_map(Progress::of_line)
    }

    /// Reads `INFO: PROGRESS files=12/340 bytes=5/4096 rate=1000 eta=4`; fields that later movers add are passed over.
    fn of_line(line: &str) -> Option<Self> {
        let (_, fields) = line.split_once("PROGRESS ")?;
        let field =
            |name: &str| fields.split_whitespace().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let pair = |name: &str| {
            let (done, all) = field(name)?.split_once('/')?;
            Some((done.parse().ok()?, all.parse().ok()?))
        };
        let eta_seconds = field("eta").and_then(|eta| eta.parse().ok());
        Some(Progress { files: pair("files")?, bytes: pair("bytes")?, eta_seconds })
    }
}

/// The snapshot that a volume was taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenFrom {
    /// The snapshot's ID.
    pub id: String,
    /// When it was taken, as the mover writes it.
    pub time: String,
}

impl TakenFrom {
    /// Reads `ID of DATE`.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let (id, time) = text.split_once(" of ")?;
        (!id.is_empty()).then(|| TakenFrom { id: id.to_owned(), time: time.trim().to_owned() })
    }

    /// Finds the chosen snapshot in a log, or in what the operator keeps of one.
    #[must_use]
    pub fn of_log(log: &str) -> Option<Self> {
        log.lines().rev().find_map(|line| {
            if let Some((_, rest)) = line.split_once("Selected snapshot with id: ") {
                let (id, rest) = rest.split_once(' ')?;
                let (time, _) = rest.strip_prefix('(')?.split_once([',', ')'])?;
                return Some(TakenFrom { id: id.to_owned(), time: time.to_owned() });
            }
            let (_, rest) = line.split_once(": snapshot ")?;
            TakenFrom::of_text(rest.split_once(',')?.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_the_newest_line() {
        let log = "INFO: PROGRESS files=1/340 bytes=5/4096 rate=0 eta=?\nINFO: PROGRESS files=12/340 bytes=50/4096 rate=9 eta=4 new=1\nother";
        let progress = Progress::of_log(log).unwrap();
        assert_eq!((progress.files, progress.bytes, progress.eta_seconds), ((12, 340), (50, 4096), Some(4)));
        assert_eq!(
            Progress::of_log("INFO: PROGRESS files=1/340 bytes=5/4096 rate=0 eta=?").unwrap().eta_seconds,
            None
        );
        assert_eq!(Progress::of_log("restoring 5 of 6\nPROGRESS files=x"), None);
    }

    #[test]
    fn the_snapshot_is_found_in_a_log() {
        let running = "INFO: Selected snapshot with id: k1234 (2026-11-01T02:00:00Z, app@ns:/data)\nINFO: x";
        let ended =
            "INFO: Snapshot restore completed successfully: snapshot k1234 of 2026-11-01T02:00:00Z, 3 files";
        for log in [running, ended] {
            let taken = TakenFrom::of_log(log).unwrap();
            assert_eq!((taken.id.as_str(), taken.time.as_str()), ("k1234", "2026-11-01T02:00:00Z"));
        }
        assert_eq!(TakenFrom::of_log("No eligible snapshots found"), None);
    }

    #[test]
    fn a_report_is_known_by_its_exit_code_alone() {
        let stock = Terminated { exit_code: 1, message: "tail of a log".into(), ..Terminated::default() };
        assert_eq!(Report::of(&stock), Report { exit_code: 1, ..Report::default() });
    }
}
