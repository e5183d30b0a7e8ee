//! Errors → exit codes and the line that a person reads.

use std::sync::atomic::{AtomicU8, Ordering};

use rekopia::{ErrorKind, Report};

/// Restored with entries missing.
pub(crate) const INCOMPLETE: u8 = 3;
/// The command line makes no sense.
pub(crate) const USAGE: u8 = 2;

/// The exit code of a class of errors.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    kind.exit_code()
}

static STOPPED_BY: AtomicU8 = AtomicU8::new(130);

/// Notes the exit code of the signal that asks to stop.
pub(crate) fn note_signal(code: u8) {
    STOPPED_BY.store(code, Ordering::Relaxed);
}

/// The exit code of the signal that asked to stop.
pub(crate) fn stopped_by() -> u8 {
    STOPPED_BY.load(Ordering::Relaxed)
}

/// The exit code of a finished run.
pub(crate) fn code_of_report(report: &Report) -> u8 {
    if report.cancelled {
        return code(ErrorKind::Cancelled);
    }
    if let Some(fatal) = &report.fatal {
        return code(fatal.kind);
    }
    match (report.failed, report.failures.first()) {
        (0, _) => 0,
        // Every further file would fail alike until the objects are back.
        _ if report.failures.iter().any(|f| f.kind == ErrorKind::Archived) => code(ErrorKind::Archived),
        // Nothing at all could be restored: the cause says more than "incomplete".
        (_, Some(first)) if report.files + report.symlinks + report.directories == 0 => code(first.kind),
        _ => INCOMPLETE,
    }
}

/// The exit code of an error that ended the command.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(e) = cause.downcast_ref::<rekopia::Error>() {
            return code(e.kind());
        }
        if let Some(e) = cause.downcast_ref::<rekopia_blob::BlobError>() {
            use rekopia_blob::BlobErrorKind as Blob;
            return match e.kind() {
                Blob::NotFound => 10,
                Blob::Settings => USAGE,
                Blob::Damaged => 14,
                _ => 15,
            };
        }
        if cause.is::<UsageError>() {
            return USAGE;
        }
    }
    1
}

/// Something about the command line that clap cannot see.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Whether writing to standard output failed because nobody reads it any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|c| c.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// One line on stderr; with `--json` a document on stdout too.
pub(crate) fn print_error(error: &anyhow::Error, code: u8, json: bool) {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(&cause);
        }
    }
    if json {
        let document = serde_json::json!({"event": "error", "error": line, "exitCode": code});
        let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("{document}\n").as_bytes());
    }
    eprintln!("rekopia: {line}");
    if let Some(advice) = advice(code) {
        eprintln!("  {advice}");
    }
}

fn advice(code: u8) -> Option<&'static str> {
    Some(match code {
        10 => {
            "Check the path or URL: a repository holds kopia.repository (kopia.repository.f in a directory)."
        }
        12 => {
            "Check the password (--password-file, KOPIA_PASSWORD); if it is right, kopia.repository is damaged."
        }
        13 => "`rekopia snapshots` lists what there is.",
        14 => "`rekopia verify` shows how far the damage goes.",
        16 => "Nothing that was there before has been changed unless it is named above.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_exit_codes() {
        let mut report = Report { files: 1, ..Report::default() };
        assert_eq!(code_of_report(&report), 0);
        report.failed = 1;
        assert_eq!(code_of_report(&report), 3);
        report.cancelled = true;
        assert_eq!(code_of_report(&report), 130);
        assert_eq!(code(ErrorKind::InvalidPassword), 12);
        assert_eq!(code(ErrorKind::Locked), 17);
        assert_eq!(code_of(&UsageError("x".into()).into()), 2);
    }
}
