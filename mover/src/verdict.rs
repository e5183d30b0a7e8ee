//! From a report or an error to the outcome, with what a person can do about it.

use std::time::Duration;

use globset::GlobSetBuilder;
use rekopia::{Error, ErrorKind, Report};
use rekopia_blob::{BlobError, BlobErrorKind};

use crate::config::{Config, Operation};
use crate::outcome::{Done, Outcome, failed_line, one_line};

/// From the report to the outcome: losses may be accepted, nothing else.
pub(crate) fn judge(config: &Config, done: Done) -> Outcome {
    let report = &done.report;
    if report.cancelled {
        return Outcome::Stopped;
    }
    if report.is_complete() {
        return Outcome::Restored(Box::new(done));
    }
    if let Some(fatal) = &report.fatal {
        let code = fatal.kind.exit_code();
        let cause = failed_line(fatal, 400);
        let message = with_remedy(fatal.kind, cause);
        return Outcome::Failed {
            code,
            name: name(fatal.kind),
            message,
            details: Vec::new(),
            done: Some(Box::new(done)),
        };
    }
    if accepted(config, report) {
        return Outcome::RestoredWithLosses(Box::new(done));
    }
    let first = report.failures.first();
    let archived = report.failures.iter().any(|f| f.kind == ErrorKind::Archived);
    let nothing = report.files + report.symlinks + report.directories == 0;
    let code = match first {
        Some(_) if archived => 15,
        Some(first) if nothing || report.files == 0 && first.kind == ErrorKind::Destination => {
            first.kind.exit_code()
        }
        _ => 3,
    };
    let cause = first.map_or_else(String::new, |f| format!(": {}", failed_line(f, 300)));
    let message = format!("{} entries are not as in the snapshot{cause}", report.failed);
    let message = match report.failures.iter().find(|f| f.kind != ErrorKind::Corrupt) {
        Some(other) => with_remedy(other.kind, message),
        None => format!("{message}; repair the cause, or set onMissing: accept"),
    };
    let name = if code == 3 { "incomplete" } else { first.map_or("incomplete", |f| name(f.kind)) };
    Outcome::Failed { code, name, message, details: Vec::new(), done: Some(Box::new(done)) }
}

fn accepted(config: &Config, report: &Report) -> bool {
    // A full disk or a refused permission is no loss of the repository's, and neither is a file left half-changed.
    if report.failures.iter().any(|f| f.kind != ErrorKind::Corrupt || f.mixed) {
        return false;
    }
    if config.settings.accept_missing {
        return true;
    }
    let mut globs = GlobSetBuilder::new();
    for glob in config.settings.accepted_losses.iter().filter_map(|g| globset::Glob::new(g).ok()) {
        globs.add(glob);
    }
    // Only when every loss is known by name.
    let all_known = usize::try_from(report.failed).is_ok_and(|n| n == report.failures.len());
    all_known && globs.build().is_ok_and(|globs| report.failures.iter().all(|f| globs.is_match(&f.path)))
}

/// An error that ended the run before there was a report.
pub(crate) async fn failure(config: &Config, e: &Error) -> Outcome {
    let kind = e.kind();
    let message = one_line(&e.chain(), 400);
    match kind {
        ErrorKind::Cancelled => Outcome::Stopped,
        ErrorKind::NoRepository => no_repository(config, &one_line(&message, 200), place_is_missing(e)).await,
        ErrorKind::InvalidPassword => {
            let message = format!("invalid repository password, or a damaged format blob: {message}");
            Outcome::failed(kind.exit_code(), name(kind), with_remedy(kind, message))
        }
        _ => Outcome::failed(kind.exit_code(), name(kind), with_remedy(kind, message)),
    }
}

/// Whether what should hold the repository is not there itself: a missing mount is no empty one, whatever is set. Of a
/// mounted directory its last folder may be missing.
fn place_is_missing(e: &Error) -> bool {
    let first: &(dyn std::error::Error + 'static) = e;
    let mut chain = std::iter::successors(Some(first), |e| e.source());
    chain.any(|e| e.downcast_ref::<BlobError>().is_some_and(|e| e.kind() == BlobErrorKind::NoPlace))
}

/// An empty place is what a mistyped and an unmounted one look like; so whatever lies around it is named.
async fn no_repository(config: &Config, message: &str, place_is_missing: bool) -> Outcome {
    let pinned = config.settings.repository_unique_id.is_some();
    let maintenance = config.operation == Operation::Maintenance;
    if config.settings.continue_without_repository && !pinned && !maintenance && !place_is_missing {
        let message = format!("{message}; onNoRepository is continue");
        return Outcome::NoRepositoryAccepted { message };
    }
    let around = tokio::time::timeout(Duration::from_secs(10), rekopia_blob::nearby(&config.storage)).await;
    let around: Vec<String> = around.unwrap_or_default().iter().map(|place| one_line(place, 100)).collect();
    let meant = match around.as_slice() {
        [] => String::new(),
        [one] => format!("; there is one at {one}"),
        several => format!("; there are some at {}", several[..several.len().min(3)].join(", ")),
    };
    let remedy = if maintenance {
        "check URL, prefix and mount; maintenance never makes a repository, the first backup does"
    } else if place_is_missing {
        "the place itself is not there: check path, mount and remote; onNoRepository does not cover that"
    } else {
        "check URL, prefix and mount; for a first cluster ever add \
         KOPIA_MANUAL_CONFIG: '{\"rekopia\":{\"onNoRepository\":\"continue\"}}' to the Secret"
    };
    Outcome::failed(10, "no-repository", format!("{message}{meant}; {remedy}"))
}

/// What a person can do comes last: the operator keeps the end.
fn with_remedy(kind: ErrorKind, message: String) -> String {
    let remedy = match kind {
        ErrorKind::InvalidPassword => "check KOPIA_PASSWORD in the Secret",
        ErrorKind::Storage => "check endpoint, keys, mount and network policy",
        ErrorKind::Archived => "bring the objects back from the archive first",
        ErrorKind::Destination => {
            "check the volume: its size or quota, its access mode, the uid of the mover"
        }
        ErrorKind::Corrupt => "repair the repository, or take another copy of it",
        ErrorKind::UnsupportedFormat | ErrorKind::Locked => {
            "finish the upgrade with Kopia, or use the stock mover"
        }
        _ => return message,
    };
    format!("{message}; {remedy}")
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidPassword => "wrong-password",
        ErrorKind::NotFound => "no-such-snapshot",
        ErrorKind::Corrupt => "damaged",
        ErrorKind::Storage | ErrorKind::Archived => "storage",
        ErrorKind::Destination => "destination",
        ErrorKind::UnsupportedFormat | ErrorKind::Locked => "unsupported",
        ErrorKind::Usage => "settings",
        _ => "failed",
    }
}
