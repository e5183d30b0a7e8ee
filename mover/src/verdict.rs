//! Judges a report or an error: the outcome, with what a person can do about it.

use std::time::Duration;

use globset::GlobSetBuilder;
use rekopia::{Error, ErrorKind, Hint, Report};
use rekopia_blob::BlobErrorKind;

use crate::config::{Config, Operation};
use crate::outcome::{Done, Outcome, failed_line};
use crate::say::one_line;

/// Judges the report of a run. The engine says how a program ends that did this; the mover alone accepts losses that
/// its settings allow, and extras that could not be deleted.
pub(crate) fn judge(config: &Config, mut done: Done) -> Outcome {
    let Some(kind) = done.report.exit_kind() else {
        return Outcome::Restored(Box::new(done));
    };
    if kind == ErrorKind::Cancelled {
        return Outcome::Stopped(Some(Box::new(done)));
    }
    if let Some(fatal) = &done.report.fatal {
        let message = with_remedy(kind, None, failed_line(fatal, 400));
        return failed(kind, name(kind), message, done);
    }
    done.warnings.extend(undeleted(&done.report));
    if done.report.failed == 0 {
        return Outcome::Restored(Box::new(done));
    }
    if accepted(config, &done.report) {
        return Outcome::RestoredWithLosses(Box::new(done));
    }
    let message = missing(&done.report);
    failed(kind, if kind == ErrorKind::Incomplete { "incomplete" } else { name(kind) }, message, done)
}

fn failed(kind: ErrorKind, name: &'static str, message: String, done: Done) -> Outcome {
    let done = Some(Box::new(done));
    Outcome::Failed { code: kind.exit_code(), name, message, details: Vec::new(), done }
}

fn missing(report: &Report) -> String {
    let cause = report.failures.first().map(|f| format!(": {}", failed_line(f, 300))).unwrap_or_default();
    let message = format!("{} entries are not as in the snapshot{cause}", report.failed);
    match report.failures.iter().find(|f| f.kind != ErrorKind::Corrupt) {
        Some(other) => with_remedy(other.kind, None, message),
        None => format!("{message}; repair the cause, or set onMissing: accept"),
    }
}

/// Names extras that are still there: the volume has everything of the snapshot, and a second run would not do better.
fn undeleted(report: &Report) -> Option<String> {
    let first: Vec<String> = report.remaining.iter().take(3).map(|r| one_line(&r.path, 100)).collect();
    let why = report.remaining.first().map(|r| format!(" ({})", one_line(&r.message, 200)));
    let named = format!(": {}{}", first.join(", "), why.unwrap_or_default());
    (report.undeleted > 0).then(|| format!("{} extra entries could not be deleted{named}", report.undeleted))
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

/// Returns the outcome of an error that ended the run before there was a report.
pub(crate) async fn failure(config: &Config, e: &Error) -> Outcome {
    let kind = e.kind();
    let message = one_line(&e.chain(), 400);
    match kind {
        ErrorKind::Cancelled => Outcome::Stopped(None),
        ErrorKind::NoRepository => no_repository(config, &one_line(&message, 200), place_is_missing(e)).await,
        ErrorKind::InvalidPassword => {
            let message = format!("invalid repository password, or a damaged format blob: {message}");
            Outcome::failed(kind.exit_code(), name(kind), with_remedy(kind, e.hint(), message))
        }
        _ => Outcome::failed(kind.exit_code(), name(kind), with_remedy(kind, e.hint(), message)),
    }
}

/// Whether what should hold the repository is not there itself: a missing mount is no empty one, whatever is set. Of a
/// mounted directory its last folder may be missing.
fn place_is_missing(e: &Error) -> bool {
    e.is_from_storage(BlobErrorKind::NoPlace)
}

/// Returns the outcome of an empty place: a mistyped and an unmounted one look like it; so whatever lies around it is
/// named.
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

/// Returns a message with what a person can do at its end, which the operator keeps.
fn with_remedy(kind: ErrorKind, hint: Option<&Hint>, message: String) -> String {
    let remedy = match kind {
        ErrorKind::Destination if hint == Some(&Hint::DeleteFirst) => {
            "take a larger volume, or set deleteFirst: true"
        }
        ErrorKind::InvalidPassword => "check KOPIA_PASSWORD in the Secret",
        ErrorKind::Storage => "check endpoint, keys, mount and network policy",
        ErrorKind::Archived => "bring the objects back from the archive first",
        ErrorKind::Destination => {
            "check the volume: its size or quota, its access mode, the uid of the mover"
        }
        ErrorKind::Refused => "if that is right, raise maxDelete",
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
        ErrorKind::Refused => "refused-delete",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use rekopia::{Failure, Remark};

    use super::*;
    use crate::env::Env;
    use crate::outcome::Times;
    use crate::recorded::Recorded;

    fn config(more: &[(&str, &str)]) -> Config {
        let mut env = vec![
            ("KOPIA_PASSWORD", "x"),
            ("KOPIA_REPOSITORY", "filesystem:///srv/x"),
            ("KOPIA_OVERRIDE_USERNAME", "app"),
            ("KOPIA_OVERRIDE_HOSTNAME", "ns"),
            ("DATA_DIR", "/"),
        ];
        env.extend(more);
        Config::check(&Env::of(&env), &["restore".into()]).unwrap_or_else(|e| panic!("{e:?}"))
    }

    fn judged(settings: &[(&str, &str)], fill: impl FnOnce(&mut Report)) -> Outcome {
        let mut report = Report::default();
        fill(&mut report);
        let (repository, snapshot) = (String::new(), String::new());
        let (times, warnings) = (Times::default(), Vec::new());
        let recorded = Recorded::default();
        let done = Done { repository, snapshot, report, times, dry: false, warnings, recorded };
        judge(&config(settings), done)
    }

    fn fail(report: &mut Report, kind: ErrorKind) {
        report.failed += 1;
        report.failures.push(Failure::new("db/a", kind, "why"));
    }

    #[test]
    fn the_code_is_the_engines() {
        let code = |fill: fn(&mut Report)| judged(&[], fill).exit_code();
        assert_eq!(code(|_| ()), 0);
        assert_eq!(code(|r| fail(r, ErrorKind::Corrupt)), 14, "nothing at all worked");
        assert_eq!(code(|r| (r.directories = 1, fail(r, ErrorKind::Destination)).1), 3);
        assert_eq!(code(|r| (r.files = 1, fail(r, ErrorKind::Archived)).1), 3);
        let stopped = |r: &mut Report| {
            r.fatal = {
                fail(r, ErrorKind::Destination);
                r.failures.first().cloned()
            }
        };
        assert_eq!(judged(&[], stopped).exit_code(), 16);
        assert!(matches!(judged(&[], |r| r.cancelled = true), Outcome::Stopped(Some(_))));
    }

    #[test]
    fn what_could_not_be_deleted_is_a_warning() {
        let remains = |report: &mut Report| {
            report.undeleted = 7;
            let path = |n| Remark::new(format!("old/{n}"), "operation not permitted");
            report.remaining = (0..7).map(path).collect();
        };
        let Outcome::Restored(done) = judged(&[], remains) else { panic!() };
        let said = "7 extra entries could not be deleted: old/0, old/1, old/2 (operation not permitted)";
        assert_eq!(done.warnings, [said]);
        let both = |report: &mut Report| {
            remains(report);
            report.files = 1;
            fail(report, ErrorKind::Corrupt);
        };
        assert_eq!(judged(&[], both).exit_code(), 3);
        let Outcome::RestoredWithLosses(done) = judged(&[("REKOPIA_ACCEPT_MISSING", "db/*")], both) else {
            panic!()
        };
        assert_eq!(done.warnings, [said]);
    }

    #[test]
    fn the_setting_that_allows_it_is_quoted() {
        let message = with_remedy(ErrorKind::Destination, Some(&Hint::DeleteFirst), "no room".into());
        assert!(message.ends_with("or set deleteFirst: true"), "{message}");
        assert!(!with_remedy(ErrorKind::Destination, None, "no space left".into()).contains("deleteFirst"));
    }

    #[test]
    fn a_limit_of_deletion_has_a_name() {
        assert_eq!((name(ErrorKind::Refused), ErrorKind::Refused.exit_code()), ("refused-delete", 18));
    }
}
