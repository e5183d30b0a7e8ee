//! Runs `restore`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use rekopia::{
    Cancel, ErrorKind, Observer, OnError, Overwrite, OwnerPolicy, Pace, Receipting, RefuseExisting,
    Repository, Resolved, RestoreOptions, SyncMode, Zone,
};

use super::caution::caution;
use super::choice::resolve;
use super::original::original;
use super::receipt;
use crate::args::{Global, OnErrorArg, OverwriteArg, Restore, SyncArg};
use crate::consent::consent;
use crate::exit::CommandError;
use crate::progress::Display;
use crate::say::say;
use crate::signals::stoppable;
use crate::summary::{self, Job};
use crate::{connect, exit, text};

pub(super) async fn run(global: &Global, args: &Restore, cancel: &Cancel) -> Result<u8> {
    check(args)?;
    receipt::check_name(args.receipt.as_deref(), args.report.as_deref())?;
    let began = Instant::now();
    let observer: Arc<dyn Observer> = Display::new(global, true);
    let (repository, from, target) = stoppable(cancel, find(global, args, &observer)).await?;
    let kept = global.salvage_index.as_deref().and_then(|path| path.canonicalize().ok());
    let written = [&args.report, &args.receipt].into_iter().flatten();
    if kept.is_some() && written.into_iter().any(|path| path.canonicalize().ok() == kept) {
        return Err(
            CommandError::usage("--salvage-index names the same file as --report or --receipt").into()
        );
    }
    if !global.quiet && !global.json {
        announce(args, &from, &target);
    }
    let recorded = from.snapshot.as_ref().and_then(|snapshot| caution(snapshot, observer.as_ref()));
    let mut options = options(global, args, cancel.clone());
    options.consent = consent(global, args, cancel);
    options.protected = connect::files(global)?;
    options.protected.extend(args.report.clone());
    let opened = began.elapsed().as_secs_f64();
    let mut report = match repository.restore(&from, &target, &options, observer).await {
        // Asked to stop at the question: that is no answer.
        Err(e) if e.kind() == ErrorKind::Refused && cancel.is_cancelled() => {
            return Err(anyhow::Error::from(e).context(exit::Stopped));
        }
        // What is told is what the command asked in all.
        restored => restored?.with_traffic(repository.traffic()),
    };
    // The estimate becomes that of the whole command: opening is added.
    if let Some(estimate) = report.planned.as_mut().and_then(|planned| planned.estimate.as_mut()) {
        estimate.seconds += opened;
    }
    let mut code = exit::code_of_report(&report);
    let ended = code;
    if let Some(path) = &args.receipt {
        code = receipt::write(path, &repository, &from, &options, &report, code);
    }
    let job = if args.dry_run { Job::DryRun } else { Job::Restore };
    let printed = summary::print(global, &report, job, code, Vec::from_iter(recorded));
    if let Some(path) = args.receipt.as_deref().filter(|_| code == ended) {
        receipt::announce(global, path, &report, code);
    }
    exit::code_after_output(code, printed)
}

/// Opens the repository and finds what is to be restored, and where to.
async fn find(
    global: &Global,
    args: &Restore,
    observer: &Arc<dyn Observer>,
) -> Result<(Repository, Resolved, PathBuf)> {
    let repository = connect::open(global, observer).await?;
    let (reference, target) = match &args.target {
        Some(target) => (args.reference.clone(), target.clone()),
        None => {
            let (reference, target) = original(global, &repository, &args.reference).await?;
            let place = text::printable(&target.to_string_lossy());
            say(&format!("rekopia: no TARGET: restoring to the original place, {place}"));
            (reference, target)
        }
    };
    let from = resolve(&repository, global, &reference, &args.which).await?;
    Ok((repository, from, target))
}

/// Refuses by their names Kopia's options that would mean something else here, and a target that Kopia would take for
/// an archive.
fn check(args: &Restore) -> Result<(), CommandError> {
    let archives = "restoring into an archive is not possible (only --mode local, or auto)";
    match args.mode.as_str() {
        "auto" | "local" => {}
        other => return Err(CommandError::usage(format!("--mode {other}: {archives}"))),
    }
    for (name, is_given) in [
        ("--shallow", args.shallow.is_some()),
        ("--shallow-minsize", args.shallow_minsize.is_some()),
        ("--consistent-attributes", args.consistent_attributes),
    ] {
        if is_given {
            return Err(CommandError::usage(format!("{name} is not possible: it is Kopia's alone")));
        }
    }
    let Some(target) = args.target.as_deref().filter(|_| args.mode == "auto") else { return Ok(()) };
    let name = target.to_string_lossy();
    let suffix =
        [".zip", ".tar", ".tar.gz", ".tgz"].into_iter().find(|s| name.trim_end_matches('/').ends_with(s));
    match suffix.filter(|_| !target.is_dir()) {
        Some(suffix) => {
            let what = format!(
                "TARGET ends in {suffix}: restoring into an archive is not possible; \
                 --mode local takes it for the name of a file or folder"
            );
            Err(CommandError::usage(what))
        }
        None => Ok(()),
    }
}

fn announce(args: &Restore, from: &Resolved, target: &Path) {
    let what = from.snapshot.as_ref().map_or(args.reference.clone(), |s| {
        let when = Zone::system().show(s.start);
        let below = if from.sub_path.is_empty() { String::new() } else { format!(" /{}", from.sub_path) };
        format!("{}{below} of {when} ({})", s.source, s.id)
    });
    let verb = if args.dry_run { "Would restore" } else { "Restoring" };
    let target = text::printable(&target.to_string_lossy());
    say(&format!("{verb} {} to {target}", text::line(&what)));
}

fn options(global: &Global, args: &Restore, cancel: Cancel) -> RestoreOptions {
    let mut options = RestoreOptions::default()
        .overwrite(match args.overwrite {
            _ if args.skip_existing => Overwrite::SkipExisting,
            OverwriteArg::Always => Overwrite::Always,
            OverwriteArg::IfChanged => Overwrite::IfChanged,
            OverwriteArg::Never => Overwrite::Never,
        })
        .refuse_existing(
            RefuseExisting::default()
                .files(args.no_overwrite_files)
                .directories(args.no_overwrite_directories)
                .symlinks(args.no_overwrite_symlinks),
        )
        .delete_extra(args.delete_extra)
        .max_delete(args.max_delete)
        // Without a terminal to ask at, only this says that old may go before new has come.
        .delete_first(args.yes)
        .include(args.include.clone())
        .exclude(args.exclude.clone())
        .owner(if args.skip_owners { OwnerPolicy::Skip } else { args.owner })
        .modes(!args.no_mode)
        .times(!args.no_times)
        .strict_attributes(args.strict_attributes)
        .on_error(match args.on_error {
            OnErrorArg::Stop if !args.ignore_errors => OnError::Stop,
            _ => OnError::Continue,
        })
        .fill_holes(args.fill_holes.is_some())
        .sparse(args.sparse)
        .verify(args.verify)
        .receipt(args.receipt.clone().map_or(Receipting::Off, Receipting::File))
        .sync(if args.sync == SyncArg::None { SyncMode::None } else { SyncMode::End })
        .dry_run(args.dry_run)
        .pace(pace(global, args))
        .parallel(global.parallel.unwrap_or(0).into())
        .threads(global.threads.unwrap_or(0).into())
        .report_file(args.report.clone())
        .cancel(cancel);
    options.memory_bytes = global.memory.unwrap_or_else(rekopia::memory_bytes);
    options
}

/// Returns how the time of a dry run is to be found out.
fn pace(global: &Global, args: &Restore) -> Option<Pace> {
    let limit = global.limit_download.filter(|limit| *limit > 0);
    let link = [args.link, limit].into_iter().flatten().min();
    (args.link.is_some() || args.probe).then_some(Pace::default().link(link).probe(args.probe).disk(true))
}
