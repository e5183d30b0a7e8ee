//! Turns errors into exit codes and the line that a person reads.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use rekopia::{ErrorKind, Hint, Report};

use crate::say::{end_status, give_last_line, is_closed_output, say};
use crate::text;

/// The exit code of a command line that makes no sense.
pub(crate) const USAGE: u8 = 2;
/// The exit code of any other failure.
pub(crate) const FAILURE: u8 = 1;

static STOPPED_BY: AtomicU8 = AtomicU8::new(130);

/// Notes the exit code of the signal that asks to stop.
pub(crate) fn note_signal(code: u8) {
    STOPPED_BY.store(code, Ordering::Relaxed);
}

/// Returns the exit code of a class of errors; of a stopped run that of the signal.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Cancelled => STOPPED_BY.load(Ordering::Relaxed),
        kind => kind.exit_code(),
    }
}

/// Returns the exit code of a finished run.
pub(crate) fn code_of_report(report: &Report) -> u8 {
    report.exit_kind().map_or(0, code)
}

/// Returns the exit code of a run whose report was printed, or could not be. A reader who closed the pipe changes
/// nothing about how the run ended; a full disk makes a failure of a success only.
pub(crate) fn code_after_output(code: u8, printed: std::io::Result<()>) -> anyhow::Result<u8> {
    match printed.map_err(anyhow::Error::from) {
        Err(e) if code == 0 && !is_closed_output(&e) => Err(e),
        _ => Ok(code),
    }
}

/// Returns the exit code of an error that ended the command.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    let stopped = error.is::<Stopped>().then_some(ErrorKind::Cancelled);
    stopped.or_else(|| error.chain().find_map(kind_of)).map_or(FAILURE, code)
}

fn kind_of(cause: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let of_engine = cause.downcast_ref::<rekopia::Error>().map(rekopia::Error::kind);
    let ours = || cause.downcast_ref::<CommandError>().map(|e| e.kind);
    of_engine.or_else(ours)
}

/// The error of a command that a signal ended before it had begun in earnest; also the context of the error that came
/// of it.
#[derive(Debug)]
pub(crate) struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped on request")
    }
}

impl std::error::Error for Stopped {}

/// An error that this program itself finds.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: ErrorKind,
    what: String,
    hint: Option<Hint>,
}

impl CommandError {
    /// Makes the error for something about the command line that the parser of options cannot see.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        CommandError { kind: ErrorKind::Usage, what: what.into(), hint: None }
    }

    /// Makes the error for something that cannot be as it should.
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        CommandError { kind: ErrorKind::Corrupt, what: what.into(), hint: None }
    }

    /// Makes the error for something that is not in the repository; `hint`: where something else is that can be looked at.
    pub(crate) fn not_found(what: impl Into<String>, hint: Option<Hint>) -> Self {
        CommandError { kind: ErrorKind::NotFound, what: what.into(), hint }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for CommandError {}

/// Makes an error of what a panic says.
pub(crate) fn defect(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let what = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it says nothing");
    anyhow::anyhow!("a defect of this program, please report it: {what}")
}

/// Prints the error that ended a command: one line on stderr with its advice; with `--json` a document on stdout, too.
pub(crate) fn print_error(error: &anyhow::Error, code: u8, json: bool) {
    let line = one_line(error);
    if json {
        let document = serde_json::json!({"event": "error", "error": line, "exitCode": code});
        let _ = give_last_line(document);
    }
    end_status();
    say(&format!("rekopia: {line}"));
    if let Some(advice) = advice(code, hint(error)) {
        say(&format!("  {advice}"));
    }
}

/// Returns an error with its causes, each said once.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(&cause);
        }
    }
    text::line(&line)
}

fn hint(error: &anyhow::Error) -> Option<&Hint> {
    error.chain().find_map(|cause| {
        let of_engine = cause.downcast_ref::<rekopia::Error>().and_then(rekopia::Error::hint);
        of_engine.or_else(|| cause.downcast_ref::<CommandError>()?.hint.as_ref())
    })
}

/// Returns what a person can do about a command that ended with this code.
fn advice(code: u8, hint: Option<&Hint>) -> Option<String> {
    let advice = match (code, hint) {
        (10, _) => {
            "Check the path or URL: a repository holds kopia.repository (kopia.repository.f in a directory)."
        }
        (12, _) => {
            "Check the password (--password-file, KOPIA_PASSWORD); if it is right, kopia.repository is damaged."
        }
        (13, Some(Hint::ListDirectory { directory })) => {
            return Some(format!("`rekopia ls {}` lists what there is.", text::quoted(directory)));
        }
        (13, Some(Hint::ListTree { tree })) => {
            return Some(format!("`rekopia ls -r {}` lists what a pattern can match.", text::quoted(tree)));
        }
        (13, Some(_)) => "`rekopia snapshots` lists what there is.",
        (14, Some(Hint::GiveFormatBlob)) => "--format-blob FILE takes such a copy.",
        (14, Some(Hint::Salvage)) => "--salvage does that; `rekopia doctor` says what is damaged.",
        (14, _) => "`rekopia doctor` says what is damaged, and what to do about it.",
        (16, Some(Hint::DeleteFirst)) => "--yes allows that; nothing that was there before has been changed.",
        // The engine ends a restore with an error only before it touches anything.
        (16, _) => "Nothing that was there before has been changed.",
        (17, Some(Hint::IgnoreUpgradeLock)) => {
            "Wait for it, or pass --ignore-upgrade-lock if it has crashed."
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: ErrorKind) -> rekopia::Failure {
        rekopia::Failure::new("x", kind, "")
    }

    #[test]
    fn one_function_decides() {
        let mut report = Report::default();
        assert_eq!(code_of_report(&report), 0);
        report.undeleted = 1;
        assert_eq!(code_of_report(&report), 3);
        (report.failed, report.failures) = (1, vec![failed(ErrorKind::Corrupt)]);
        assert_eq!(code_of_report(&report), 14, "nothing at all worked");
        report.files = 1;
        assert_eq!(code_of_report(&report), 3);
        let mut verified = Report::of_verification();
        (verified.files, verified.failed) = (1, 1);
        verified.failures = vec![failed(ErrorKind::Storage)];
        assert_eq!(code_of_report(&verified), 15);
        verified.failures.push(failed(ErrorKind::Corrupt));
        assert_eq!(code_of_report(&verified), 14);
    }

    #[test]
    fn errors_have_the_codes_of_their_class() {
        assert_eq!(code(ErrorKind::InvalidPassword), 12);
        assert_eq!(code(ErrorKind::Locked), 17);
        assert_eq!(code_of(&CommandError::usage("x").into()), 2);
        let not_found = CommandError::not_found("x", Some(Hint::ListSnapshots));
        let error = anyhow::Error::from(not_found).context("y");
        assert_eq!((code_of(&error), hint(&error)), (13, Some(&Hint::ListSnapshots)));
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(code_of(&anyhow::Error::from(broken)), 1, "not every closed pipe is our output");
        assert_eq!(code_of(&anyhow::Error::from(CommandError::usage("x")).context(Stopped)), 130);
    }

    #[test]
    fn advice_is_true_or_absent() {
        assert!(advice(14, None).unwrap().contains("doctor"));
        for code in [1, 2, 3, 13, 15, 17, 18, 130, 143] {
            assert_eq!(advice(code, None), None);
        }
    }
}
