//! Reads and authenticates without writing.

use std::sync::Arc;

use anyhow::Result;
use rekopia::{Cancel, Observer, Report, Resolved, Selection, VerifyOptions};

use super::resolve;
use super::restore::{print_report, watch_signals};
use crate::args::{Global, Verify};
use crate::exit;
use crate::progress::Display;

pub(super) async fn run(global: &Global, args: &Verify) -> Result<u8> {
    let display = Display::new(global, true);
    let observer: Arc<dyn Observer> = display.clone();
    let repository = crate::connect::open(global, &observer).await?;
    let mut wanted: Vec<Resolved> = Vec::new();
    if let Some(reference) = &args.reference {
        wanted.push(resolve(&repository, reference, &args.which).await?);
    } else {
        let snapshots = repository.snapshots().await?;
        let selection = Selection { incomplete: args.which.incomplete, ..Selection::default() };
        for of_source in snapshots.by_source().values() {
            let chosen =
                if args.all { of_source.clone() } else { selection.choose(of_source).into_iter().collect() };
            for snapshot in chosen {
                wanted.push(resolve(&repository, snapshot.id.as_str(), &args.which).await?);
            }
        }
    }
    let cancel = Cancel::new();
    let _watch = watch_signals(&cancel);
    let options = VerifyOptions {
        hash: args.hash,
        memory_bytes: global.memory.unwrap_or_else(rekopia::memory_bytes),
        parallel: global.parallel.unwrap_or(0).into(),
        threads: global.threads.unwrap_or(0).into(),
        cancel: cancel.clone(),
    };
    let mut total = Report::default();
    for one in &wanted {
        match repository.verify(one, &options, Arc::clone(&observer)).await {
            Ok(report) => add(&mut total, report),
            Err(e) if wanted.len() > 1 && e.kind() == rekopia::ErrorKind::Corrupt => {
                let name = one.snapshot.as_ref().map_or(String::new(), |s| format!("{} {}", s.source, s.id));
                observer.event(rekopia::Event::Failed { path: name.clone(), message: e.to_string() });
                total.failed += 1;
                total.failures.push(rekopia::Failure {
                    path: name,
                    kind: e.kind(),
                    message: e.chain(),
                    mixed: false,
                });
            }
            Err(e) => return Err(e.into()),
        }
        if cancel.is_cancelled() {
            break;
        }
    }
    total.cancelled = cancel.is_cancelled();
    display.finish();
    print_report(global, &total, "Verified")?;
    let code = exit::code_of_report(&total);
    // Verification restores nothing: entries that cannot be read are damage.
    Ok(if code == exit::INCOMPLETE { exit::code(rekopia::ErrorKind::Corrupt) } else { code })
}

fn add(total: &mut Report, report: Report) {
    total.files += report.files;
    total.directories += report.directories;
    total.symlinks += report.symlinks;
    total.bytes += report.bytes;
    total.failed += report.failed;
    total.needed_bytes += report.needed_bytes;
    total.requests = report.requests;
    total.fetched_bytes = report.fetched_bytes;
    total.seconds += report.seconds;
    total.failures.extend(report.failures);
    total.incomplete.extend(report.incomplete);
    total.warnings.extend(report.warnings);
    total.fatal = total.fatal.take().or(report.fatal);
}
