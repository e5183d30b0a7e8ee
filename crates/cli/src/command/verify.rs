//! Reads and authenticates without writing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rekopia::{
    AsOf, Cancel, Coverage, Error, Event, Failure, Hint, Observer, Report, Repository, Resolved,
    RestoreOptions, Selection, SetOptions, Snapshot, Time, VerifyOptions, Zone,
};

use serde_json::Value;

use super::caution::caution;
use super::choice::{resolve, selection};
use super::receipt;
use crate::args::{Global, Verify};
use crate::exit::{self, CommandError};
use crate::metrics as outcome;
use crate::progress::Display;
use crate::signals::stoppable;
use crate::summary::{self, Job};

pub(super) async fn run(global: &Global, args: &Verify, cancel: &Cancel) -> Result<u8> {
    if let (Some(receipt), Some(target)) = (&args.receipt, &args.against) {
        return receipt::check(global, receipt, target, cancel).await;
    }
    let began = jiff::Timestamp::now();
    let mut metrics = args.part.metrics.clone();
    if metrics.is_some() && metrics == args.part.state {
        return Err(CommandError::usage("--metrics and --state name one file").into());
    }
    let ended = verify(global, args, &mut metrics, cancel).await;
    if let Some(path) = &metrics {
        let (code, report) = match &ended {
            Ok((code, report, _)) => (*code, Some(report)),
            Err(e) => (exit::code_of(e), None),
        };
        let written = rekopia::put_file(path, outcome::of(path, began, code, report).as_bytes());
        if let Err(e) = written.with_context(|| format!("cannot write the metrics {}", path.display())) {
            // A program that watches the file must not take an old one for a new one.
            return Err(ended.err().unwrap_or(e));
        }
    }
    let (code, report, recorded) = ended?;
    let job = if args.against.is_some() { Job::Compare } else { Job::Verify };
    exit::code_after_output(code, summary::print(global, &report, job, code, recorded))
}

/// Verifies; returns what was found out, with the exit code and the errors that the snapshots recorded. Metrics that
/// would lie in the repository are not written.
async fn verify(
    global: &Global,
    args: &Verify,
    metrics: &mut Option<PathBuf>,
    cancel: &Cancel,
) -> Result<(u8, Report, Vec<Value>)> {
    let observer: Arc<dyn Observer> = Display::new(global, true);
    let repository = stoppable(cancel, crate::connect::open(global, &observer)).await?;
    if let Some(Err(e)) = metrics.as_deref().map(|path| repository.check_outside(path)) {
        *metrics = None;
        return Err(e.into());
    }
    args.part.state.as_deref().map_or(Ok(()), |path| repository.check_outside(path))?;
    let options = VerifyOptions::default()
        .hash(args.hash)
        .memory_bytes(global.memory.unwrap_or_else(rekopia::memory_bytes))
        .parallel(global.parallel.unwrap_or(0).into())
        .threads(global.threads.unwrap_or(0).into())
        .cancel(cancel.clone());
    let mut recorded = Vec::new();
    let found = match (args.reference.as_slice(), &args.against) {
        ([reference], Some(against)) => {
            let one = stoppable(cancel, resolve(&repository, global, reference, &args.which)).await?;
            repository.compare(&one, against, &compared(args, &options), observer).await?
        }
        (_, Some(_)) => return Err(CommandError::usage("--against compares with one REF").into()),
        ([reference], None) if !args.part.is_asked_for() => {
            let one = stoppable(cancel, resolve(&repository, global, reference, &args.which)).await?;
            recorded.extend(one.snapshot.as_ref().and_then(|s| caution(s, observer.as_ref())));
            repository.verify(&one, &options, observer).await?
        }
        (references, None) => {
            let (trees, mut total) = match references {
                [] => every(&repository, global, args, cancel, &observer).await?,
                references => {
                    let mut trees = Vec::new();
                    for reference in references {
                        let resolving = resolve(&repository, global, reference, &args.which);
                        trees.push(stoppable(cancel, resolving).await?);
                    }
                    (trees, Report::of_verification())
                }
            };
            let snapshots = trees.iter().filter_map(|tree| tree.snapshot.as_ref());
            recorded.extend(snapshots.filter_map(|snapshot| caution(snapshot, observer.as_ref())));
            total.add(set(&repository, args, options, &trees, &observer).await?);
            total
        }
    };
    // What is told is what the command asked in all.
    let mut found = found.with_traffic(repository.traffic());
    found.cancelled |= cancel.is_cancelled();
    Ok((exit::code_of_report(&found), found, recorded))
}

/// Bytes of a state at most: ten million packs take about that.
const LONGEST: u64 = 1 << 30;

/// Returns how a tree is compared.
fn compared(args: &Verify, options: &VerifyOptions) -> RestoreOptions {
    RestoreOptions::default()
        .include(args.include.clone())
        .exclude(args.exclude.clone())
        .owner(args.owner)
        .modes(!args.no_mode)
        .times(!args.no_times)
        .memory_bytes(options.memory_bytes)
        .cancel(options.cancel.clone())
}

/// Verifies trees together; what was right is written to the state, however the run ends.
async fn set(
    repository: &Repository,
    args: &Verify,
    verify: VerifyOptions,
    trees: &[Resolved],
    observer: &Arc<dyn Observer>,
) -> Result<Report> {
    let part = &args.part;
    let id = &repository.info().unique_id;
    let mut coverage =
        part.state.as_deref().map_or_else(|| Ok(Coverage::default()), |path| state(path, id))?;
    let options = SetOptions::default()
        .verify(verify)
        .presence(part.presence)
        .sample(part.sample)
        .max_bytes(part.max_bytes)
        .max_time(part.max_time)
        .now(rekopia::now());
    let report = repository.verify_set(trees, &options, &mut coverage, Arc::clone(observer)).await?;
    if let Some(path) = &part.state {
        let written = rekopia::put_file(path, &coverage.to_json(id));
        written.with_context(|| format!("cannot write the state {}", path.display()))?;
    }
    Ok(report)
}

/// Returns what earlier runs have read; nothing, where there was none.
fn state(path: &Path, repository: &str) -> Result<Coverage> {
    let read = || {
        // Nobody waits for a pipe, or reads a device to its end.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is not a file"));
        }
        let mut json = Vec::new();
        std::fs::File::open(path)?.take(LONGEST).read_to_end(&mut json)?;
        Ok(json)
    };
    match read() {
        Ok(json) => Coverage::from_json(&json, repository).with_context(|| {
            format!("the state {} cannot be used (to begin anew, remove it)", path.display())
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Coverage::default()),
        Err(e) => Err(e).with_context(|| format!("cannot read the state {}", path.display())),
    }
}

/// Returns every source's newest snapshot, with `--all` every snapshot, with `--since` those since then; and a report
/// of those that cannot be read at all: the rest is looked at all the same.
async fn every(
    repository: &Repository,
    global: &Global,
    args: &Verify,
    cancel: &Cancel,
    observer: &Arc<dyn Observer>,
) -> Result<(Vec<Resolved>, Report)> {
    let since = args
        .since
        .as_deref()
        .map(|text| AsOf::parse_since(text, rekopia::now(), &Zone::system()))
        .transpose()?;
    let snapshots = stoppable(cancel, async { Ok(repository.snapshots().await?) }).await?;
    let selection = selection(global, &args.which)?;
    let mut wanted: Vec<&Snapshot> = Vec::new();
    for mut of_source in snapshots.by_source().into_values() {
        of_source.retain(|s| selection.has_tags(s));
        match since {
            Some(since) => wanted.extend(of_source.into_iter().filter(|s| s.start >= since)),
            None if args.all => wanted.extend(of_source),
            None => wanted.extend(selection.choose(&of_source)),
        }
    }
    let has_damage = !snapshots.damage().is_empty();
    if !has_damage && !wanted.iter().any(|s| args.which.incomplete || s.incomplete.is_none()) {
        let hint = (!snapshots.all().is_empty()).then_some(Hint::ListSnapshots);
        let nothing = nothing(snapshots.all(), &selection, since);
        return Err(CommandError::not_found(nothing, hint).into());
    }
    let mut total = Report::of_verification();
    for e in snapshots.damage() {
        unreadable(&mut total, "the index".into(), e, observer);
    }
    let mut trees = Vec::new();
    for snapshot in wanted {
        match Resolved::root_of(snapshot) {
            Ok(root) => trees.push(root),
            Err(e) => unreadable(&mut total, format!("{} {}", snapshot.source, snapshot.id), &e, observer),
        }
    }
    Ok((trees, total))
}

fn unreadable(total: &mut Report, path: String, e: &Error, observer: &Arc<dyn Observer>) {
    observer.event(Event::Failed { path: path.clone(), message: e.chain() });
    total.failed += 1;
    total.failures.push(Failure::new(path, e.kind(), e.chain()));
}

fn nothing(all: &[Snapshot], selection: &Selection, since: Option<Time>) -> String {
    if !all.is_empty() && !all.iter().any(|s| selection.has_tags(s)) {
        return "there is nothing to verify: no snapshot has these tags".into();
    }
    if !all.is_empty() && since.is_some_and(|since| all.iter().all(|s| s.start < since)) {
        return "there is nothing to verify: no snapshot was taken since then".into();
    }
    match all.iter().filter(|s| s.incomplete.is_some()).count() {
        0 if all.is_empty() => "there is nothing to verify: the repository has no snapshots".into(),
        0 => "there is nothing to verify: no snapshot is that old".into(),
        n => format!(
            "there is nothing to verify: no complete snapshot, {n} incomplete (--incomplete takes them)"
        ),
    }
}
