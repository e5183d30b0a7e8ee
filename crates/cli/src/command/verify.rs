//! Reads and authenticates without writing.

use std::sync::Arc;

use anyhow::Result;
use rekopia::{
    Cancel, Error, ErrorKind, Event, Failure, Missing, Observer, Reference, Report, Repository, Selection,
    Snapshot, VerifyOptions,
};

use serde_json::Value;

use super::caution::caution;
use super::choice::{resolve, selection};
use crate::args::{Global, Verify};
use crate::exit::{self, CommandError};
use crate::progress::Display;
use crate::signals::stoppable;
use crate::summary::{self, Job};

pub(super) async fn run(global: &Global, args: &Verify, cancel: &Cancel) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, true);
    let repository = stoppable(cancel, crate::connect::open(global, &observer)).await?;
    let options = VerifyOptions {
        hash: args.hash,
        memory_bytes: global.memory.unwrap_or_else(rekopia::memory_bytes),
        parallel: global.parallel.unwrap_or(0).into(),
        threads: global.threads.unwrap_or(0).into(),
        cancel: cancel.clone(),
    };
    let mut recorded = Vec::new();
    let mut total = match &args.reference {
        Some(reference) => {
            let resolving = resolve(&repository, global, reference, &args.which);
            let one = stoppable(cancel, resolving).await?;
            recorded.extend(one.snapshot.as_ref().and_then(|s| caution(s, observer.as_ref())));
            repository.verify(&one, &options, observer).await?
        }
        None => every(&repository, global, args, &options, &observer, &mut recorded).await?,
    };
    // What is told is what the command asked in all.
    total = total.with_traffic(repository.traffic());
    total.cancelled |= cancel.is_cancelled();
    let code = exit::code_of_report(&total);
    exit::code_after_output(code, summary::print(global, &total, Job::Verify, code, recorded))
}

/// Verifies every source's newest snapshot, or with `--all` every snapshot. One that cannot be read at all is a failure
/// among others: the rest is looked at all the same.
async fn every(
    repository: &Repository,
    global: &Global,
    args: &Verify,
    options: &VerifyOptions,
    observer: &Arc<dyn Observer>,
    recorded: &mut Vec<Value>,
) -> Result<Report> {
    let snapshots = stoppable(&options.cancel, async { Ok(repository.snapshots().await?) }).await?;
    let selection = selection(global, &args.which)?;
    let mut wanted: Vec<&Snapshot> = Vec::new();
    for mut of_source in snapshots.by_source().into_values() {
        of_source.retain(|s| selection.has_tags(s));
        if args.all { wanted.extend(of_source) } else { wanted.extend(selection.choose(&of_source)) }
    }
    let has_damage = !snapshots.damage().is_empty();
    if !has_damage && !wanted.iter().any(|s| args.which.incomplete || s.incomplete.is_none()) {
        let missing = (!snapshots.all().is_empty()).then_some(Missing::Snapshot);
        return Err(CommandError::not_found(nothing(snapshots.all(), &selection), missing).into());
    }
    let mut total = Report::of_verification();
    for e in snapshots.damage() {
        unreadable(&mut total, "the index".into(), e, observer);
    }
    for snapshot in wanted {
        recorded.extend(caution(snapshot, observer.as_ref()));
        match one(repository, snapshot, args, options, observer).await {
            Ok(report) => total.add(report),
            Err(e) if e.kind() == ErrorKind::Corrupt => {
                unreadable(&mut total, format!("{} {}", snapshot.source, snapshot.id), &e, observer);
            }
            Err(e) => return Err(e.into()),
        }
        if options.cancel.is_cancelled() {
            break;
        }
    }
    Ok(total)
}

async fn one(
    repository: &Repository,
    snapshot: &Snapshot,
    args: &Verify,
    options: &VerifyOptions,
    observer: &Arc<dyn Observer>,
) -> rekopia::Result<Report> {
    let root = Reference::of_id(snapshot.id.as_str());
    let selection = Selection { incomplete: args.which.incomplete, ..Selection::default() };
    let resolving = options.cancel.run_until_cancelled(repository.resolve(&root, &selection)).await;
    let Some(resolved) = resolving.transpose()? else {
        let mut stopped = Report::of_verification();
        stopped.cancelled = true;
        return Ok(stopped);
    };
    repository.verify(&resolved, options, Arc::clone(observer)).await
}

fn unreadable(total: &mut Report, path: String, e: &Error, observer: &Arc<dyn Observer>) {
    observer.event(Event::Failed { path: path.clone(), message: e.chain() });
    total.failed += 1;
    total.failures.push(Failure { path, kind: e.kind(), message: e.chain(), mixed: false });
}

fn nothing(all: &[Snapshot], selection: &Selection) -> String {
    if !all.is_empty() && !all.iter().any(|s| selection.has_tags(s)) {
        return "there is nothing to verify: no snapshot has these tags".into();
    }
    match all.iter().filter(|s| s.incomplete.is_some()).count() {
        0 if all.is_empty() => "there is nothing to verify: the repository has no snapshots".into(),
        0 => "there is nothing to verify: no snapshot is that old".into(),
        n => format!(
            "there is nothing to verify: no complete snapshot, {n} incomplete (--incomplete takes them)"
        ),
    }
}
