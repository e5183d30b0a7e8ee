//! Restores: opens, chooses, checks the choice, fills the volume, judges the result.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rekopia::{
    Cancel, Error, ErrorKind, Observer, OpenOptions, Reference, Repository, Selection, Snapshot, Snapshots,
};

use rekopia_blob::{BlobErrorKind, LayerOptions};

use crate::choice::choose;
use crate::config::{Config, Operation};
use crate::findings::Findings;
use crate::log::Log;
use crate::outcome::{Done, Outcome, stoppable};
use crate::receipt::receipt;
use crate::recorded::Recorded;
use crate::say::{one_line, say};
use crate::verdict::{failure, judge};

/// Restores, or says what a restore would do. Where the settings allow it, a damaged repository is tried once more, with
/// what its index does not lead to any more. `findings` gets what the last try found out.
pub(crate) async fn restore(config: &Config, cancel: &Cancel, findings: &mut Findings) -> Outcome {
    let outcome = attempt(config, cancel, false, findings).await;
    if !config.settings.salvage {
        return outcome.with_way_out();
    }
    if !outcome.is_damage() || cancel.is_cancelled() {
        return outcome;
    }
    say("WARN: the repository is damaged; trying what its packs say of themselves (onDamage: salvage)");
    attempt(config, cancel, true, findings).await
}

async fn attempt(config: &Config, cancel: &Cancel, salvage: bool, findings: &mut Findings) -> Outcome {
    *findings = Findings::default();
    let ended = restore_inner(config, cancel, salvage, findings).await;
    outcome_of(ended, config, cancel).await
}

/// Returns what an error of the engine means for the job.
async fn outcome_of(ended: rekopia::Result<Outcome>, config: &Config, cancel: &Cancel) -> Outcome {
    match ended {
        Ok(outcome) => outcome,
        Err(e) => stoppable(cancel, failure(config, &e)).await,
    }
}

/// Requests in flight where the settings say nothing. A whole cluster asks at once when it is rebuilt: more would only
/// be refused and tried again, and the last mover would be done later.
const IN_FLIGHT: usize = 8;

/// Opens the repository; an error names the place.
pub(crate) async fn open(config: &Config, log: &Arc<Log>, salvage: bool) -> rekopia::Result<Repository> {
    let in_flight = if config.options.parallel > 0 { config.options.parallel } else { IN_FLIGHT };
    let limits = LayerOptions::default().in_flight(Some(in_flight));
    let options = OpenOptions::default()
        .ignore_upgrade_lock(true)
        .index_memory_bytes(rekopia::index_memory_bytes())
        .index_dir(config.cache_dir.clone())
        .salvage(salvage);
    let mut opened = open_at(config, &config.storage, &limits, &options, log).await;
    if opened.as_ref().is_err_and(|e| e.is_from_storage(BlobErrorKind::Denied))
        && let Some(storage) = config.storage.with_trimmed_password()
    {
        say("INFO: the server refuses the password; trying it without the white space around it");
        opened = open_at(config, &storage, &limits, &options, log).await;
    }
    let repository = opened?;
    let info = repository.info();
    say(&format!("INFO: Repository connected: {} ({})", one_line(&info.location, 300), info.unique_id));
    Ok(repository)
}

/// Opens with the trimmed password, else with the one that was given.
async fn open_at(
    config: &Config,
    storage: &rekopia_blob::Settings,
    limits: &LayerOptions,
    options: &OpenOptions,
    log: &Arc<Log>,
) -> rekopia::Result<Repository> {
    let blobs = rekopia_blob::connect_with(storage, limits).await;
    let blobs = blobs.map_err(|e| Error::from_storage(e, "cannot reach the repository"))?;
    let opened = Repository::open(blobs.clone(), &config.password, options, Arc::clone(log) as _).await;
    match (opened, &config.raw_password) {
        (Err(e), Some(raw)) if e.kind() == ErrorKind::InvalidPassword => {
            say("INFO: the password does not fit; trying it with the white space around it");
            Repository::open(blobs, raw, options, Arc::clone(log) as _).await
        }
        (opened, _) => opened,
    }
}

/// Refuses another repository than the pinned one: it is as good as none.
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

async fn restore_inner(
    config: &Config,
    cancel: &Cancel,
    salvage: bool,
    findings: &mut Findings,
) -> rekopia::Result<Outcome> {
    let log = Arc::new(Log::default());
    let began = Instant::now();
    let opened = cancel.run_until_cancelled(open(config, &log, salvage)).await;
    let Some(repository) = opened.transpose()? else { return Ok(Outcome::Stopped(None)) };
    log.took("open", began.elapsed());
    restore_from(&repository, config, &log, cancel, salvage, findings).await
}

/// Restores from a repository that is open, which took so long; see [`restore`].
pub(crate) async fn restore_opened(
    repository: &Repository,
    config: &Config,
    opening: Duration,
    cancel: &Cancel,
    findings: &mut Findings,
) -> Outcome {
    let log = Arc::new(Log::default());
    log.took("open", opening);
    let ended = restore_from(repository, config, &log, cancel, false, findings).await;
    outcome_of(ended, config, cancel).await.with_way_out()
}

async fn restore_from(
    repository: &Repository,
    config: &Config,
    log: &Arc<Log>,
    cancel: &Cancel,
    salvage: bool,
    findings: &mut Findings,
) -> rekopia::Result<Outcome> {
    findings.repository = Some(repository.info().unique_id.clone());
    if let Some(refused) = wrong_repository(config, repository) {
        return Ok(refused);
    }
    let began = Instant::now();
    let listed = cancel.run_until_cancelled(repository.snapshots()).await;
    let Some(snapshots) = listed.transpose()? else { return Ok(Outcome::Stopped(None)) };
    let selecting = select(config, repository, &snapshots, salvage, findings);
    let selected = cancel.run_until_cancelled(selecting).await;
    let Some(selected) = selected.transpose()? else { return Ok(Outcome::Stopped(None)) };
    let (chosen, mut warnings) = match selected {
        Ok(selected) => selected,
        Err(outcome) => return Ok(outcome),
    };
    let id = chosen.id.to_string();
    let source = one_line(&chosen.source.to_string(), 300);
    say(&format!("INFO: Selected snapshot with id: {id} ({}, {source})", chosen.start));
    say(&format!("INFO: {} MiB of memory for data in flight", config.options.memory_bytes >> 20));
    let reference = Reference::of_id(id.clone());
    let selection = Selection::default();
    let resolved = cancel.run_until_cancelled(repository.resolve(&reference, &selection)).await;
    let Some(from) = resolved.transpose()? else { return Ok(Outcome::Stopped(None)) };
    log.took("select", began.elapsed());
    let began = Instant::now();
    let options = config.options.clone().cancel(cancel.clone());
    let watching = Arc::clone(log) as Arc<dyn Observer>;
    let report = repository.restore(&from, &config.data_dir, &options, watching).await?;
    // What is told is what the pod asked in all.
    let report = report.with_traffic(repository.traffic());
    log.took("restore", began.elapsed());
    say(&format!("INFO: TIMING: {}", log.times().sentence()));
    warnings.extend(receipt(repository, &from, &options, &report));
    let done = Done {
        repository: repository.info().unique_id.clone(),
        snapshot: format!("{id} of {}", chosen.start),
        dry: config.operation == Operation::Check,
        times: log.times(),
        warnings,
        recorded: Recorded::of(chosen),
        report,
    };
    let marked = done.report.exit_kind().is_some() && !done.dry;
    let outcome = judge(config, done);
    if marked && outcome.exit_code() == 0 {
        accept(&config.data_dir);
    }
    Ok(outcome)
}

/// Returns the snapshot to restore, with warnings, or why there is none.  One that no index leads to is taken only when
/// all of it is there, else the next older.
async fn select<'a>(
    config: &Config,
    repository: &Repository,
    snapshots: &'a Snapshots,
    salvage: bool,
    findings: &mut Findings,
) -> rekopia::Result<Result<(&'a Snapshot, Vec<String>), Outcome>> {
    let hidden = beyond(config, repository, snapshots, salvage).await?;
    let (mut selection, mut passed_over) = (config.selection.clone(), Vec::new());
    loop {
        let mut warnings = Vec::new();
        let chosen = choose(config, &selection, repository, snapshots, &mut warnings, findings);
        let newest = chosen.as_ref().ok().copied();
        match snapshots.doubt(newest) {
            Some(doubt) if salvage && newest.is_some() => warnings.push(one_line(&doubt.chain(), 600)),
            Some(doubt) => return Ok(Err(in_doubt(&doubt, newest))),
            None => {}
        }
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(outcome) => return Ok(Err(hidden.unwrap_or(*outcome))),
        };
        let id = &chosen.id;
        match repository.check_salvaged(snapshots, chosen).await {
            Ok(()) => {
                warnings.extend(passed_over);
                if snapshots.is_salvaged(chosen) {
                    warnings.push(format!("snapshot {id} is in no index: it was found in its pack"));
                }
                return Ok(Ok((chosen, warnings)));
            }
            Err(e) if e.kind() == ErrorKind::Corrupt => {
                let why = one_line(&e.chain(), 300);
                let what =
                    format!("snapshot {id} is in no index and not whole ({why}): an older one is taken");
                passed_over.push(what);
                selection.passed_over.push(id.to_string());
            }
            Err(e) => return Err(e),
        }
    }
}

/// Looks into packs in no index before it is said that nothing was found.
async fn beyond(
    config: &Config,
    repository: &Repository,
    snapshots: &Snapshots,
    salvage: bool,
) -> rekopia::Result<Option<Outcome>> {
    if !snapshots.of_source(&config.source).is_empty() || snapshots.doubt(None).is_some() {
        return Ok(None);
    }
    if let Some(blob) = repository.lost_sessions().first() {
        let source = &config.source;
        let what = format!(
            "index blob {blob} cannot be read, and no metadata pack of its session is there: snapshots of {source} may be lost"
        );
        return Ok(Some(Outcome::failed(14, "damaged", one_line(&what, 600))));
    }
    if salvage {
        return Ok(None);
    }
    let unindexed = repository.unindexed().await?;
    let Some(packs) = unindexed.counted() else { return Ok(None) };
    let own = unindexed.snapshots().iter().filter(|s| s.source == config.source).max_by_key(|s| s.start);
    let what = match (own, unindexed.unreadable().first()) {
        (Some(s), _) => format!(
            "{packs}, one holds snapshot {} of {}: index blobs are missing; salvage reads it",
            s.id, s.source
        ),
        (None, Some(e)) => {
            format!("{packs}, and one that may hold {} cannot be read: {}", config.source, e.chain())
        }
        (None, None) => {
            say(&format!(
                "INFO: {packs} (a backup is running, or was interrupted); none holds {}",
                config.source
            ));
            return Ok(None);
        }
    };
    Ok(Some(Outcome::failed(14, "damaged", one_line(&what, 600))))
}

/// Makes the outcome of a run where it cannot be told which snapshot is meant.
fn in_doubt(doubt: &Error, newest: Option<&Snapshot>) -> Outcome {
    let message = one_line(&doubt.chain(), 600);
    let fill =
        newest.map(|s| format!(", or fill the volume with that one: `rekopia restore {} TARGET`", s.id));
    let what = format!("{message}; repair the repository{}", fill.unwrap_or_default());
    Outcome::failed(14, "damaged", what)
}

/// Removes the mark of an incomplete restore where what is missing is accepted: nothing that looks for it shall wait
/// for a better one.
fn accept(data_dir: &Path) {
    if let Err(e) = rekopia::clear_incomplete_mark(data_dir) {
        say(&format!("WARN: the mark user.rekopia.incomplete stays on {}: {e}", data_dir.display()));
    }
}
