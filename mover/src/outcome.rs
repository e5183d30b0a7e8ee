//! Says how a run ended: one closed enum, each with its exit code, its last log lines and its termination message.
//!
//! The operator keeps only lines that its filter lets through, and of these the last 1,024 bytes (contract §3.5); so
//! the verdict, its numbers and its remedy are the last lines, and each says "failed" or one of the words that pass.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rekopia::{Cancel, ErrorKind, Report};
use serde_json::{Value, json};

use crate::env::Env;
use crate::recorded::Recorded;
use crate::say::{one_line, say};
use crate::signals;

/// Bytes of one of the log's last lines at most: several have room in what the operator keeps.
pub(crate) const LONGEST_LINE: usize = 700;

/// The end of a run.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is as the snapshot has it; or, for `check`, would be.
    Restored(Box<Done>),
    /// Everything is as the snapshot has it but for losses that the settings accept.
    RestoredWithLosses(Box<Done>),
    /// A healthy repository without this identity; the volume is untouched.
    Empty {
        /// The reason, with the repository's unique ID.
        message: String,
    },
    /// No repository, and the settings allow that; the volume is untouched.
    NoRepositoryAccepted {
        /// The place that was looked at.
        message: String,
    },
    /// The run ended in any other way: the operator tries again.
    Failed {
        /// The exit code from the table of both binaries.
        code: u8,
        /// The outcome's name, for programs.
        name: &'static str,
        /// The message: what failed and what to do.
        message: String,
        /// Lines before the message, in the form that fills `availableIdentities` where they name snapshots.
        details: Vec<String>,
        /// The part that was restored, when something was.
        done: Option<Box<Done>>,
    },
    /// Stopped by a signal; a second run completes. With what was restored until then, when something was begun.
    Stopped(Option<Box<Done>>),
    /// The stock script may take over (the process is replaced).
    HandOver,
}

/// The work that a restore did.
#[derive(Debug)]
pub(crate) struct Done {
    /// The repository's unique ID, in hex.
    pub(crate) repository: String,
    /// The snapshot's ID and when it was taken.
    pub(crate) snapshot: String,
    /// The engine's report.
    pub(crate) report: Report,
    /// The times that the parts of the run took.
    pub(crate) times: Times,
    /// Whether nothing was written: `check`.
    pub(crate) dry: bool,
    /// Warnings that must reach the operator's status.
    pub(crate) warnings: Vec<String>,
    /// Errors that the snapshot recorded when it was taken.
    pub(crate) recorded: Recorded,
}

/// The times that the parts of a run took, in seconds, in the order in which they ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(pub(crate) Vec<(&'static str, f64)>);

impl Times {
    /// Writes the times as `key derivation 0.05 s, open 0.08 s, …`; the parts of a part come before it.
    pub(crate) fn sentence(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(what, s)| format!("{what} {s:.2} s")).collect();
        parts.join(", ")
    }
}

impl Outcome {
    /// Makes a failure without details.
    pub(crate) fn failed(code: u8, name: &'static str, message: impl Into<String>) -> Self {
        Outcome::Failed { code, name, message: message.into(), details: Vec::new(), done: None }
    }

    /// Returns the exit code from the table of both binaries.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Outcome::Failed { code, .. } => *code,
            Outcome::Stopped(_) => signals::code(),
            _ => 0,
        }
    }

    /// Whether damage of the repository is why something is missing; a format blob that does not open may be damaged, too.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Outcome::Failed { code: 12 | 14, .. } => true,
            Outcome::Failed { done: Some(done), .. } | Outcome::RestoredWithLosses(done) => {
                done.report.failures.iter().any(|failure| failure.kind == ErrorKind::Corrupt)
            }
            _ => false,
        }
    }

    /// Adds the setting that allows salvage, where that would help: in the engine's words.
    pub(crate) fn with_way_out(mut self) -> Self {
        if let Outcome::Failed { code: 14, message, .. } = &mut self
            && message.contains("salvage ")
        {
            message.push_str("; onDamage: salvage allows that");
        }
        self
    }

    /// Returns the outcome's name, for programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Outcome::Restored(_) => "restored",
            Outcome::RestoredWithLosses(_) => "restored-with-losses",
            Outcome::Empty { .. } => "empty",
            Outcome::NoRepositoryAccepted { .. } => "no-repository",
            Outcome::Failed { name, .. } => name,
            Outcome::Stopped(_) => "stopped",
            Outcome::HandOver => "hand-over",
        }
    }

    /// Returns why the run ended so and what to do about it, where that is not in the numbers of its last line.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Outcome::Empty { message } | Outcome::NoRepositoryAccepted { message } => Some(message),
            Outcome::Failed { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Returns what was done until then, where something was begun.
    pub(crate) fn done(&self) -> Option<&Done> {
        match self {
            Outcome::Restored(done) | Outcome::RestoredWithLosses(done) => Some(done),
            Outcome::Failed { done, .. } | Outcome::Stopped(done) => done.as_deref(),
            _ => None,
        }
    }

    /// Writes the termination message, where there is a place for it, and prints the last lines; returns the exit code.
    /// Whoever comes first tells: a second one changes nothing and gets the code that was told.
    pub(crate) fn tell(&self, operation: &str, termination_log: &Path) -> u8 {
        static TOLD: OnceLock<u8> = OnceLock::new();
        let mut is_first = false;
        let code = *TOLD.get_or_init(|| {
            is_first = true;
            // Only where the kubelet put the file: it is never made. Before the log, which may block.
            if termination_log.is_file() {
                let _ = std::fs::write(termination_log, self.termination_message());
            }
            self.exit_code()
        });
        if !is_first {
            return code;
        }
        say("INFO: === OPERATION SUMMARY ===");
        say(&format!("INFO: OPERATION_TYPE: {operation}"));
        say(&format!("INFO: OPERATION_RESULT: {}", if code == 0 { "SUCCESS" } else { "FAILURE" }));
        say(&format!("INFO: EXIT_CODE: {code}"));
        for line in self.lines(operation) {
            say(&one_line(&line, LONGEST_LINE));
        }
        say("INFO: === Done ===");
        code
    }

    /// Returns the last lines of the log: what was lost, warnings, and the verdict with its numbers and remedy.
    pub(crate) fn lines(&self, operation: &str) -> Vec<String> {
        let failed = verdict(operation);
        match self {
            Outcome::Restored(done) => {
                let mut lines: Vec<String> = done.cautions().chain(done.planned()).collect();
                lines.push(done.sentence("successfully"));
                lines
            }
            Outcome::RestoredWithLosses(done) => {
                let mut lines = done.losses(5);
                lines.extend(done.cautions());
                lines.push(
                    done.sentence(&format!("with {} accepted losses (failed entries)", done.report.failed)),
                );
                lines
            }
            Outcome::Empty { message } => vec![
                "INFO: === No data will be restored ===".into(),
                format!("INFO: No eligible snapshots found: {message}"),
            ],
            Outcome::NoRepositoryAccepted { message } => vec![
                "INFO: === No data will be restored ===".into(),
                format!("INFO: No eligible snapshots found: {message}"),
            ],
            Outcome::Failed { code, name, message, details, done } => {
                let mut lines = details.clone();
                if let Some(done) = done {
                    lines.extend(done.losses(4));
                    lines.push(format!("ERROR: failed after {}", done.numbers()));
                }
                lines.push(format!("ERROR: {failed} ({name}, exit {code}): {message}"));
                lines
            }
            Outcome::Stopped(done) => {
                let code = self.exit_code();
                let last = format!(
                    "ERROR: {failed} (stopped, exit {code}): stopped on request; the next run completes it"
                );
                let numbers = done.iter().map(|done| {
                    let is_said =
                        done.report.warnings.iter().any(|warning| warning.starts_with("not synced"));
                    let synced = if is_said { ", not synced" } else { "" };
                    format!("ERROR: failed after {}{synced}", done.numbers())
                });
                numbers.chain([last]).collect()
            }
            Outcome::HandOver => Vec::new(),
        }
    }

    /// Writes a JSON object of at most 4 KiB: the kubelet cuts longer ones, and half an object is none.
    fn termination_message(&self) -> String {
        let lengths = [1500, 600, 100, 40].map(|longest| self.document(longest).to_string());
        let fitting = lengths.iter().find(|text| text.len() <= 4096);
        fitting.unwrap_or(&lengths[3]).clone()
    }

    fn document(&self, longest: usize) -> Value {
        let mut document = json!({ "outcome": self.name(), "exitCode": self.exit_code() });
        if let Some(message) = self.message() {
            document["message"] = json!(one_line(message, longest));
        }
        if let Some(done) = self.done() {
            let r = &done.report;
            document["repository"] = json!(done.repository);
            document["snapshot"] = json!(done.snapshot);
            document["files"] = json!(r.files);
            document["bytes"] = json!(r.bytes);
            document["seconds"] = json!(r.seconds);
            let times =
                done.times.0.iter().map(|(what, s)| ((*what).to_owned(), json!((s * 1e3).round() / 1e3)));
            document["times"] = Value::Object(times.collect());
            document["losses"] = json!(r.failed);
            document["fidelity"] = json!(r.unset_attributes);
            document["undeleted"] = json!(r.undeleted);
            if let Some(tree) = &r.tree {
                document["treeHash"] = json!(tree.hash);
            }
            let first = r.failures.iter().take(5).map(|f| json!(one_line(&f.path, longest.min(200))));
            document["firstLosses"] = first.collect();
            document["recordedErrors"] = json!(done.recorded.count);
            let first = done.recorded.paths.iter().map(|path| json!(one_line(path, longest.min(200))));
            document["firstRecordedErrors"] = first.collect();
        }
        document["version"] = json!(1);
        document
    }
}

/// Returns where the kubelet takes the termination message from.
pub(crate) fn termination_log(env: &Env) -> PathBuf {
    env.path("REKOPIA_TERMINATION_LOG").unwrap_or_else(|| "/dev/termination-log".into())
}

impl Done {
    fn sentence(&self, how: &str) -> String {
        let verb = if self.dry { "Snapshot restore would be" } else { "Snapshot restore" };
        format!("INFO: {verb} completed {how}: snapshot {}, {}", self.snapshot, self.numbers())
    }

    fn numbers(&self) -> String {
        let r = &self.report;
        let mut text = format!("{} files, {} bytes, {:.1} s", r.files, r.bytes, r.seconds);
        if r.kept_files > 0 {
            text.push_str(&format!(", {} files were right already", r.kept_files));
        }
        if r.deleted > 0 {
            text.push_str(&format!(", {} extra entries deleted", r.deleted));
        }
        if r.protected > 0 {
            text.push_str(&format!(", {} left as they are because this run uses them", r.protected));
        }
        if r.unset_attributes > 0 {
            text.push_str(&format!(", {} attributes not settable as this user", r.unset_attributes));
        }
        text.push_str(&format!(", {} requests, {} bytes fetched", r.requests, r.fetched_bytes));
        text
    }

    fn cautions(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().map(|w| format!("WARN: no error, but: {w}"))
    }

    /// Returns what `check` found that a restore would do to what is there.
    fn planned(&self) -> Vec<String> {
        let Some(planned) = &self.report.planned else { return Vec::new() };
        let mut lines = Vec::new();
        let mut named = |what: String, first: &[String]| {
            let first: Vec<String> = first.iter().take(3).map(|path| one_line(path, 100)).collect();
            lines.push(format!("INFO: would {what}: {}", first.join(", ")));
        };
        if planned.changed > 0 {
            named(format!("change {} existing entries", planned.changed), &planned.first_changed);
        }
        let deletion = &planned.deletion;
        if deletion.entries > 0 {
            let when = if deletion.before_writing { " before anything is written" } else { "" };
            let what = format!("delete {} of the {} entries{when}", deletion.entries, deletion.of);
            named(what, &deletion.first);
        }
        lines
    }

    fn losses(&self, most: usize) -> Vec<String> {
        let line = |f: &rekopia::Failure| format!("ERROR: failed: {}", failed_line(f, 130));
        self.report.failures.iter().take(most).map(line).collect()
    }
}

/// Runs work that leaves nothing behind and returns its outcome: a signal drops it where it stands.
pub(crate) async fn stoppable(cancel: &Cancel, work: impl Future<Output = Outcome>) -> Outcome {
    cancel.run_until_cancelled(work).await.unwrap_or(Outcome::Stopped(None))
}

/// Returns what failed, in words; "failed" passes the operator's filter.
fn verdict(operation: &str) -> String {
    match operation {
        "check" => "a restore would have failed".into(),
        "unknown" => "failed".into(),
        named => format!("{named} failed"),
    }
}

/// Returns the line of a failed entry: a long path must not push its cause out of the line.
pub(crate) fn failed_line(failure: &rekopia::Failure, most: usize) -> String {
    one_line(&format!("{}: {}", one_line(&failure.path, most / 2), failure.message), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_would_change_and_go() {
        let mut report = Report::default();
        let first = vec!["old".to_owned(), "x".repeat(30_000_000)];
        let deletion = rekopia::Deletion::default().entries(12).first(first).of(40).before_writing(true);
        let first_changed = vec!["a".into()];
        report.planned =
            Some(rekopia::Planned::default().changed(3).first_changed(first_changed).deletion(deletion));
        report.protected = 2;
        let (repository, snapshot) = (String::new(), String::new());
        let (times, warnings) = (Times::default(), Vec::new());
        let recorded = Recorded::default();
        let done = Done { repository, snapshot, report, times, dry: true, warnings, recorded };
        let lines = Outcome::Restored(Box::new(done)).lines("check");
        assert_eq!(lines[0], "INFO: would change 3 existing entries: a");
        let deleting = "INFO: would delete 12 of the 40 entries before anything is written: old, xxx";
        assert!(lines[1].starts_with(deleting) && lines[1].len() < 300, "{}", lines[1]);
        assert!(lines[2].contains(", 2 left as they are because"), "{}", lines[2]);
    }

    #[test]
    fn the_termination_message_is_small() {
        let outcome = Outcome::failed(15, "storage", "x".repeat(100_000));
        assert!(outcome.termination_message().len() <= 4096);
        assert!(outcome.lines("restore").iter().all(|l| one_line(l, LONGEST_LINE).len() <= 704));
        let quoted = Outcome::failed(15, "storage", "\"\\".repeat(50_000));
        let message = quoted.termination_message();
        assert!(message.len() <= 4096 && serde_json::from_str::<Value>(&message).is_ok(), "{message}");
    }
}
