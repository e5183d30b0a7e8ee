//! The main job.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use rekopia::{Cancel, Observer, OnError, Overwrite, OwnerPolicy, Report, RestoreOptions, SyncMode};
use serde_json::json;

use super::resolve;
use crate::args::{Global, OnErrorArg, OverwriteArg, Restore, SyncArg};
use crate::exit;
use crate::progress::Display;
use crate::text;

pub(super) async fn run(global: &Global, args: &Restore) -> Result<u8> {
    let display = Display::new(global, true);
    let observer: Arc<dyn Observer> = display.clone();
    let repository = crate::connect::open(global, &observer).await?;
    let from = resolve(&repository, &args.reference, &args.which).await?;
    if !global.quiet && !global.json {
        let what = from.snapshot.as_ref().map_or(args.reference.clone(), |s| {
            let when = crate::time::show(s.start_ns, &jiff::tz::TimeZone::system());
            let below = if from.sub_path.is_empty() { String::new() } else { format!(" /{}", from.sub_path) };
            format!("{}{below} of {when} ({})", s.source, s.id)
        });
        let verb = if args.dry_run { "Would restore" } else { "Restoring" };
        eprintln!("{verb} {} to {}", text::printable(&what), args.target.display());
    }
    let cancel = Cancel::new();
    let _watch = watch_signals(&cancel);
    let options = options(global, args, cancel);
    let report = repository.restore(&from, &args.target, &options, Arc::clone(&observer)).await?;
    display.finish();
    print_report(global, &report, if args.dry_run { "Would restore" } else { "Restored" })?;
    let code = exit::code_of_report(&report);
    let code = if report.cancelled { exit::stopped_by() } else { code };
    if let Some(path) = args.receipt.as_deref().filter(|_| code == 0) {
        let receipt = serde_json::to_vec_pretty(&json!({
            "repository": repository.info().unique_id,
            "snapshot": from.snapshot.as_ref().map(|s| s.id.as_str().to_owned()),
            "source": from.snapshot.as_ref().map(|s| s.source.to_string()),
            "subPath": from.sub_path,
            "report": report,
        }))?;
        std::fs::write(path, receipt)
            .with_context(|| format!("cannot write the receipt {}", path.display()))?;
    }
    Ok(code)
}

fn options(global: &Global, args: &Restore, cancel: Cancel) -> RestoreOptions {
    let mut options = RestoreOptions {
        overwrite: match args.overwrite {
            _ if args.skip_existing => Overwrite::SkipExisting,
            OverwriteArg::Always => Overwrite::Always,
            OverwriteArg::IfChanged => Overwrite::IfChanged,
            OverwriteArg::Never => Overwrite::Never,
        },
        delete_extra: args.delete_extra,
        include: args.include.clone(),
        exclude: args.exclude.clone(),
        owner: if args.skip_owners { OwnerPolicy::Skip } else { args.owner },
        modes: !args.no_mode,
        times: !args.no_times,
        strict_attributes: args.strict_attributes,
        on_error: match args.on_error {
            OnErrorArg::Stop if !args.ignore_errors => OnError::Stop,
            _ => OnError::Continue,
        },
        sparse: args.sparse,
        verify: args.verify,
        sync: if args.sync == SyncArg::None { SyncMode::None } else { SyncMode::End },
        dry_run: args.dry_run,
        parallel: global.parallel.unwrap_or(0).into(),
        threads: global.threads.unwrap_or(0).into(),
        report_file: args.report.clone(),
        cancel,
        ..RestoreOptions::default()
    };
    options.memory_bytes = global.memory.unwrap_or_else(rekopia::memory_bytes);
    options
}

/// The first signal asks the work to stop, the second leaves at once.
pub(super) fn watch_signals(cancel: &Cancel) -> impl Drop + use<> {
    use tokio::signal::unix::{SignalKind, signal};
    struct Watch(Vec<tokio::task::JoinHandle<()>>);
    impl Drop for Watch {
        fn drop(&mut self) {
            self.0.iter().for_each(tokio::task::JoinHandle::abort);
        }
    }
    let kinds =
        [(SignalKind::interrupt(), 130u8), (SignalKind::terminate(), 143), (SignalKind::hangup(), 129)];
    let tasks = kinds.into_iter().filter_map(|(kind, code)| {
        let mut signals = signal(kind).ok()?;
        let cancel = cancel.clone();
        Some(tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if cancel.is_cancelled() {
                    std::process::exit(code.into());
                }
                exit::note_signal(code);
                eprintln!("rekopia: stopping (once more to leave at once)");
                cancel.cancel();
            }
        }))
    });
    Watch(tasks.collect())
}

/// Where the time went, on lines of less than 80 columns. Stages overlap.
fn stages(report: &Report) -> String {
    let s = &report.stages;
    let parts = [
        ("walk", s.walk),
        ("compare", s.reconcile),
        ("plan", s.plan),
        ("fetch", s.fetch),
        ("wait for memory", s.stall),
        ("decode", s.decode),
        ("write", s.write),
        ("idle", s.idle),
        ("sync", s.sync),
    ];
    let shown: Vec<String> = parts.iter().map(|(name, seconds)| format!("{name} {seconds:.2}s")).collect();
    let mut lines = String::from("Time of all threads: ");
    let mut width = lines.len();
    for (i, part) in shown.iter().enumerate() {
        if width + part.len() + 2 > 78 {
            lines.push_str("\n  ");
            width = 2;
        }
        lines.push_str(part);
        lines.push_str(if i + 1 < shown.len() { ", " } else { ".\n" });
        width += part.len() + 2;
    }
    if report.latency_seconds > 0.0 {
        let (latency, tries) = (report.latency_seconds * 1000.0, text::count(report.retries, "second try"));
        lines.push_str(&format!("The storage answers in {latency:.0} ms; {tries}.\n"));
    }
    lines
}

/// The last words: one event with `--json`, a few lines otherwise.
pub(super) fn print_report(global: &Global, report: &Report, verb: &str) -> Result<()> {
    if global.json {
        let mut document = serde_json::to_value(report)?;
        document["event"] = json!("report");
        document["exitCode"] = json!(exit::code_of_report(report));
        writeln!(std::io::stdout(), "{document}")?;
        return Ok(());
    }
    if global.quiet {
        return Ok(());
    }
    let (files, dirs) = (text::count(report.files, "file"), text::count(report.directories, "directory"));
    let links = text::count(report.symlinks, "symbolic link");
    let seconds = text::duration(report.seconds);
    let mut line = format!("{verb} {files}, {dirs} and {links} ({}) in {seconds}", text::size(report.bytes));
    if report.kept_bytes > 0 {
        line.push_str(&format!(", {} was right already", text::size(report.kept_bytes)));
    }
    if report.deleted > 0 {
        line.push_str(&format!(", {} extra deleted", report.deleted));
    }
    eprintln!("{line}.");
    if global.verbose > 0 {
        let read = text::size(report.fetched_bytes);
        eprintln!(
            "Read {read} in {}, {} needed.",
            text::count(report.requests, "request"),
            text::size(report.needed_bytes)
        );
        eprint!("{}", stages(report));
    }
    if let Some(planned) = &report.planned {
        let (requests, packs) =
            (text::count(planned.requests, "request"), text::count(planned.packs, "pack"));
        eprintln!(
            "It would read {} in {requests} from {packs}; nothing was written.",
            text::size(planned.bytes)
        );
    }
    for warning in &report.warnings {
        eprintln!("warning: {}", text::printable(warning));
    }
    for remark in &report.incomplete {
        eprintln!("incomplete: {}: {}", text::printable(&remark.path), remark.message);
    }
    if report.unset_attributes > 0 {
        eprintln!("warning: {} could not be set:", text::count(report.unset_attributes, "attribute"));
        for remark in report.fidelity.iter().take(5) {
            eprintln!("  {}: {}", text::printable(&remark.path), remark.message);
        }
    }
    if report.failed > 0 {
        let (word, were) = if report.failed == 1 { ("entry", "is") } else { ("entries", "are") };
        eprintln!("{} {word} {were} NOT as in the snapshot (named above).", report.failed);
    }
    if report.cancelled {
        eprintln!("Stopped on request; run it again to complete the restore.");
    } else if let Some(fatal) = &report.fatal {
        eprintln!("Stopped: {}", fatal.message);
    }
    Ok(())
}
