//! A restore with a progress bar that Ctrl-C stops.
//!
//! `cargo run --example progress_bar -- testdata/quickstart/repo rekopia-quickstart latest ./restored`

use std::{path::Path, sync::Arc};

use rekopia::blob::{Settings, connect};
use rekopia::{
    Cancel, Event, Observer, OpenOptions, Password, Reference, Repository, RestoreOptions, Selection,
};

struct Bar;

impl Observer for Bar {
    fn event(&self, event: Event) {
        match event {
            Event::Phase { phase } => eprintln!("\n{}", phase.name()),
            Event::Warning { message } => eprintln!("\nwarning: {message}"),
            Event::Progress(p) => {
                let done =
                    p.bytes.checked_mul(40).and_then(|n| n.checked_div(p.total_bytes)).unwrap_or(0).min(40);
                let left = p.eta_seconds.map_or(String::new(), |s| format!("{s} s left"));
                eprint!(
                    "\r[{:<40}] {}/{} files {left:<16}",
                    "#".repeat(done as usize),
                    p.files,
                    p.total_files
                );
            }
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, password, reference, target] = args.as_slice() else {
        return Err("REPO PASSWORD REF TARGET".into());
    };
    let blobs = connect(&Settings::parse(repo)?).await?;
    let open = OpenOptions::default();
    let repository = Repository::open(blobs, &Password::new(password.as_str()), &open, Arc::new(Bar)).await?;
    let from = repository.resolve(&Reference::parse(reference)?, &Selection::default()).await?;
    let cancel = Cancel::new();
    let options = RestoreOptions::default().cancel(cancel.clone());
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        cancel.cancel();
    });
    let report = repository.restore(&from, Path::new(target), &options, Arc::new(Bar)).await?;
    eprintln!("\n{} files{}", report.files, if report.cancelled { ", stopped" } else { "" });
    std::process::exit(report.exit_kind().map_or(0, |kind| kind.exit_code().into()));
}
