//! Reads what a mover says: its termination message, its progress, the end of its log.
//!
//! Outcomes are told apart by exit code and name, never by their sentences: movers of other days word them otherwise.

use jiff::Timestamp;
use serde_json::Value;

use crate::objects::Terminated;
use crate::text::one_line;

/// The report of a mover that has ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The outcome's name: `restored`, `empty`, `wrong-password`, …; empty for another mover.
    pub outcome: String,
    /// The exit code, from the table of exit codes.
    pub exit_code: i32,
    /// The message: what failed, with the remedy.
    pub message: String,
    /// The snapshot that was chosen: `ID of DATE`.
    pub snapshot: String,
    /// Number of files restored.
    pub files: Option<u64>,
    /// Number of bytes restored.
    pub bytes: Option<u64>,
    /// Number of entries that are missing.
    pub losses: u64,
}

impl Report {
    /// Reads how a container ended; one that says nothing in JSON is known by its exit code alone. A field that is not what
    /// it should be costs that field, and not the rest.
    #[must_use]
    pub fn of(ended: &Terminated) -> Self {
        let said: Value = serde_json::from_str(&ended.message).unwrap_or_default();
        let text = |field: &str, most: usize| one_line(said[field].as_str().unwrap_or_default(), most);
        Report {
            outcome: text("outcome", 60),
            exit_code: ended.exit_code,
            message: text("message", 4096),
            snapshot: text("snapshot", 200),
            files: said["files"].as_u64(),
            bytes: said["bytes"].as_u64(),
            losses: said["losses"].as_u64().unwrap_or_default(),
        }
    }

    /// Whether the mover found nothing to restore, and that is right.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exit_code == 0 && matches!(self.outcome.as_str(), "empty" | "no-repository")
    }
}

/// The progress of a mover.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Number of files done and in all.
    pub files: (u64, u64),
    /// Number of bytes done and in all.
    pub bytes: (u64, u64),
    /// Seconds to go, where that is known.
    pub eta_seconds: Option<u64>,
}

impl Progress {
    /// Returns the newest progress in the end of a log; none where the mover says none.
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
        // Nobody waits for a month: such a figure only says that nothing is known yet.
        let eta_seconds = field("eta").and_then(|eta| eta.parse().ok()).filter(|eta| *eta < 30 * 86_400);
        Some(Progress { files: pair("files")?, bytes: pair("bytes")?, eta_seconds })
    }
}

/// The snapshot that a volume was taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenFrom {
    /// The snapshot's ID.
    pub id: String,
    /// The time when the snapshot was taken, as the mover writes it.
    pub time: String,
}

impl TakenFrom {
    /// Takes ID and time, to the second: nobody chooses a snapshot by less.
    fn new(id: &str, time: &str) -> Self {
        let seconds =
            time.trim().parse::<Timestamp>().map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        TakenFrom { id: one_line(id, 64), time: seconds.unwrap_or_else(|_| one_line(time, 40)) }
    }

    /// Reads `ID of DATE`.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let (id, time) = text.split_once(" of ")?;
        (!id.is_empty()).then(|| TakenFrom::new(id, time))
    }

    /// Finds the chosen snapshot in a log, or in what the operator keeps of one.
    #[must_use]
    pub fn of_log(log: &str) -> Option<Self> {
        log.lines().rev().find_map(|line| {
            if let Some((_, rest)) = line.split_once("Selected snapshot with id: ") {
                let (id, rest) = rest.split_once(' ')?;
                let (time, _) = rest.strip_prefix('(')?.split_once([',', ')'])?;
                return Some(TakenFrom::new(id, time));
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
        let odd =
            r#"{"outcome":"wrong-password\u001b[2J","files":-5,"losses":"x","message":"a\nb","new":{}}"#;
        let odd = Report::of(&Terminated { exit_code: 12, message: odd.into(), ..Terminated::default() });
        assert_eq!((odd.outcome.as_str(), odd.message.as_str()), ("wrong-password [2J", "a b"));
    }
}
