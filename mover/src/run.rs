//! The restore: open, choose, check the choice, fill the volume, judge the result.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use globset::GlobSetBuilder;
use rekopia::{
    Cancel, Error, ErrorKind, Event, Observer, OpenOptions, Reference, Report, Repository, RestoreOptions,
    RootReference, Selection, Snapshot, Snapshots,
};

use rekopia_blob::LayerOptions;

use crate::config::{Config, Operation};
use crate::identity;
use crate::outcome::{Done, Outcome, one_line};

/// Restores, or says what a restore would do.
pub(crate) async fn restore(config: &Config, cancel: Cancel) -> Outcome {
    match restore_inner(config, cancel).await {
        Ok(outcome) => outcome,
        Err(e) => failure(config, &e),
    }
}

/// Requests in flight where the settings say nothing. A whole cluster asks at once when it is rebuilt: more would only
/// be refused and tried again, and the last mover would be done later.
const IN_FLIGHT: usize = 8;

/// Opens the repository; an error names the place.
pub(crate) async fn open(config: &Config) -> rekopia::Result<Repository> {
    let in_flight = if config.options.parallel > 0 { config.options.parallel } else { IN_FLIGHT };
    let limits = LayerOptions { in_flight: Some(in_flight), ..LayerOptions::default() };
    let blobs = rekopia_blob::connect_with(&config.storage, &limits).await;
    let blobs = blobs.map_err(|e| Error::from_storage(e, "cannot reach the repository"))?;
    let repository = Repository::open(
        blobs,
        &config.password,
        &OpenOptions { ignore_upgrade_lock: true },
        &Log::default(),
    )
    .await?;
    let info = repository.info();
    println!("INFO: Repository connected: {} ({})", one_line(&info.location, 300), info.unique_id);
    Ok(repository)
}

/// The pin beats everything: another repository is as good as none.
pub(crate) fn wrong_repository(config: &Config, repository: &Repository) -> Option<Outcome> {
    let pinned = config.settings.repository_unique_id.as_ref()?;
    let found = &repository.info().unique_id;
    (pinned != found).then(|| {
        let what = format!(
            "the repository has the unique id {found}, the setting repositoryUniqueID wants {pinned}; \
             correct the location or the setting"
        );
        Outcome::failed(10, "wrong-repository", what)
    })
}

async fn restore_inner(config: &Config, cancel: Cancel) -> rekopia::Result<Outcome> {
    let started = Instant::now();
    let repository = open(config).await?;
    if let Some(refused) = wrong_repository(config, &repository) {
        return Ok(refused);
    }
    let snapshots = repository.snapshots().await?;
    let mut warnings = Vec::new();
    let chosen = match choose(config, &repository, &snapshots, &mut warnings) {
        Ok(chosen) => chosen,
        Err(outcome) => return Ok(*outcome),
    };
    let id = chosen.id.to_string();
    println!("INFO: Selected snapshot with id: {id} ({}, {})", chosen.source, when(chosen.start_ns));
    println!("INFO: TIMING: {:.2} s until the snapshot was chosen", started.elapsed().as_secs_f64());
    let reference = Reference { root: RootReference::Id(id.clone()), sub_path: Vec::new() };
    let from = repository.resolve(&reference, &Selection::default()).await?;
    let options = RestoreOptions { cancel, ..config.options.clone() };
    let report = repository.restore(&from, &config.data_dir, &options, Arc::new(Log::default())).await?;
    let done = Done {
        repository: repository.info().unique_id.clone(),
        snapshot: format!("{id} of {}", when(chosen.start_ns)),
        dry: config.operation == Operation::Check,
        warnings,
        report,
    };
    Ok(judge(config, done))
}

/// The snapshot to restore, or why there is none.
fn choose<'a>(
    config: &Config,
    repository: &Repository,
    snapshots: &'a Snapshots,
    warnings: &mut Vec<String>,
) -> Result<&'a Snapshot, Box<Outcome>> {
    let source = &config.source;
    let own = snapshots.of_source(source);
    let unique = &repository.info().unique_id;
    if own.is_empty() {
        return Err(Box::new(nothing(config, snapshots, unique)));
    }
    let newest = Selection::default().choose(&own);
    let Some(chosen) = config.selection.choose(&own) else {
        let complete = own.iter().filter(|s| s.incomplete.is_none() && s.root.is_some()).count();
        let oldest = own.first().map_or_else(String::new, |s| when(s.start_ns));
        let what = format!(
            "no snapshot of {source} matches: {complete} complete of {} exist, the oldest of {oldest}; \
             correct restoreAsOf or previous",
            own.len()
        );
        return Err(Box::new(Outcome::failed(13, "no-such-snapshot", what)));
    };
    for skipped in own.iter().filter(|s| s.start_ns > chosen.start_ns && s.incomplete.is_some()) {
        let why = skipped.incomplete.as_deref().unwrap_or_default();
        println!(
            "WARN: skipping the incomplete snapshot {} of {} ({why})",
            skipped.id,
            when(skipped.start_ns)
        );
    }
    if !config.chosen_by_user && newest.is_some_and(|n| n.id == chosen.id) {
        let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        if let Some(shrunk) = identity::shrunk(chosen, &own, now) {
            let instant = when(shrunk.good.start_ns);
            let what = format!(
                "snapshot {} of {} has lost most of what {} of {instant} had",
                chosen.id,
                when(chosen.start_ns),
                shrunk.good.id
            );
            if shrunk.recent && !config.settings.accept_shrunk {
                let what = format!(
                    "{what}; to restore the earlier one set restoreAsOf: {instant}, \
                     to take the newest set onShrunk: restore"
                );
                return Err(Box::new(Outcome::failed(18, "refused-shrunk", what)));
            }
            warnings.push(what);
        }
    }
    Ok(chosen)
}

/// A healthy repository without this identity: right for a new application, unless somebody else may be meant.
fn nothing(config: &Config, snapshots: &Snapshots, unique: &str) -> Outcome {
    let source = &config.source;
    let misses = identity::misses(snapshots.all(), source);
    let mut meant: Vec<&Snapshot> = misses.near;
    meant.extend(misses.orphaned);
    let listed = |snapshot: &&Snapshot| {
        let time = jiff::Timestamp::from_nanosecond(snapshot.end_ns.into()).unwrap_or_default();
        one_line(&format!("{} {}", snapshot.source, time.strftime("%Y-%m-%d %H:%M:%S")), 120)
    };
    if !meant.is_empty() && !config.settings.ignore_near_miss {
        meant.sort_by_key(|s| s.start_ns);
        let from = meant.len().saturating_sub(4);
        let mut details: Vec<String> = meant[from..].iter().map(listed).collect();
        details.push(format!("No snapshots found for {source}"));
        let best = &meant[meant.len() - 1].source;
        let message = format!(
            "nothing of {source} in repository {unique}, but {best} exists; set sourceIdentity \
             (sourceName {:?}, sourceNamespace {:?}, sourcePathOverride {:?}), or for a new application \
             onNearMiss: continue",
            best.user, best.host, best.path
        );
        return Outcome::Failed { code: 13, name: "near-miss", message, details, done: None };
    }
    if config.chosen_by_user {
        let what = format!(
            "nothing of {source} in repository {unique}, although restoreAsOf or previous asks for it"
        );
        return Outcome::failed(13, "no-such-snapshot", what);
    }
    println!("INFO: No snapshots found for {source}");
    let mut message = format!("nothing of {source} in repository {unique}");
    if config.settings.fail_when_empty {
        return Outcome::failed(13, "empty", format!("{message}, and onEmpty is fail"));
    }
    if let Some(other) = misses.elsewhere.first() {
        message.push_str(&format!("; the same name makes backups as {}", other.source));
    }
    Outcome::Empty { message }
}

/// From the report to the outcome: losses may be accepted, nothing else.
fn judge(config: &Config, done: Done) -> Outcome {
    let report = &done.report;
    if report.cancelled {
        return Outcome::Stopped;
    }
    if report.is_complete() {
        return Outcome::Restored(Box::new(done));
    }
    if let Some(fatal) = &report.fatal {
        let (code, message) = (fatal.kind.exit_code(), fatal.message.clone());
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
    let cause = first.map_or_else(String::new, |f| one_line(&format!(": {}: {}", f.path, f.message), 300));
    let message = format!(
        "{} entries are not as in the snapshot{cause}; repair the cause, or set onMissing: accept",
        report.failed
    );
    let name = if code == 3 { "incomplete" } else { first.map_or("incomplete", |f| name(f.kind)) };
    Outcome::Failed { code, name, message, details: Vec::new(), done: Some(Box::new(done)) }
}

fn accepted(config: &Config, report: &Report) -> bool {
    // A full disk or a refused permission is no loss of the repository's.
    if report.failures.iter().any(|f| f.kind != ErrorKind::Corrupt) {
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
pub(crate) fn failure(config: &Config, e: &Error) -> Outcome {
    let kind = e.kind();
    let message = e.chain();
    if kind == ErrorKind::Cancelled {
        return Outcome::Stopped;
    }
    if kind == ErrorKind::NoRepository {
        let pinned = config.settings.repository_unique_id.is_some();
        if config.settings.continue_without_repository && !pinned {
            return Outcome::NoRepositoryAccepted {
                message: format!("{message}; onNoRepository is continue"),
            };
        }
        let remedy = "check URL, prefix and mount; for a first cluster ever add \
                      KOPIA_MANUAL_CONFIG: '{\"rekopia\":{\"onNoRepository\":\"continue\"}}' to the Secret";
        return Outcome::failed(10, "no-repository", format!("{message}; {remedy}"));
    }
    let message = match kind {
        ErrorKind::InvalidPassword => {
            format!(
                "invalid repository password, or a damaged format blob: {message}; check KOPIA_PASSWORD in the Secret"
            )
        }
        _ => message,
    };
    Outcome::failed(kind.exit_code(), name(kind), message)
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

fn when(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).map_or_else(|_| "an unknown time".into(), |t| t.to_string())
}

/// Warnings as they come, progress every ten seconds, failures up to a limit.
#[derive(Default)]
struct Log(Mutex<(Option<Instant>, u64)>);

impl Observer for Log {
    fn event(&self, event: Event) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Warning { message } => println!("WARN: {}", one_line(&message, 2000)),
            Event::Progress(p) => {
                let last = *state.0.get_or_insert_with(Instant::now);
                if last.elapsed() >= Duration::from_secs(10) {
                    state.0 = Some(Instant::now());
                    println!(
                        "INFO: {} of {} entries, {} of {} bytes",
                        p.entries, p.total_entries, p.bytes, p.total_bytes
                    );
                }
            }
            Event::Failed { path, message } => {
                state.1 += 1;
                if state.1 <= 100 {
                    println!("ERROR: failed: {}", one_line(&format!("{path}: {message}"), 2000));
                }
            }
            _ => {}
        }
    }
}
