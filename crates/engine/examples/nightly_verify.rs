//! A job for cron: reads a part of the repository each night, first what was never read, and ends with an exit code.
//!
//! `cargo run --example nightly_verify -- testdata/quickstart/repo rekopia-quickstart state.json`

use std::{path::Path, sync::Arc, time::Duration};

use rekopia::blob::{Settings, connect};
use rekopia::{Coverage, OpenOptions, Password, Repository, Resolved, SetOptions, Silent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, password, state] = args.as_slice() else { return Err("REPO PASSWORD STATE".into()) };
    let blobs = connect(&Settings::parse(repo)?).await?;
    let open = OpenOptions::default();
    let repository =
        Repository::open(blobs, &Password::new(password.as_str()), &open, Arc::new(Silent)).await?;
    let id = repository.info().unique_id.clone();
    let mut coverage = match std::fs::read(state) {
        Ok(json) => Coverage::from_json(&json, &id)?,
        Err(_) => Coverage::default(),
    };
    let snapshots = repository.snapshots().await?;
    let trees: Vec<Resolved> = snapshots.all().iter().filter_map(|s| Resolved::root_of(s).ok()).collect();
    let hour = Some(Duration::from_secs(3600));
    let options = SetOptions::default().sample(Some(0.04)).max_time(hour).now(rekopia::now());
    let report = repository.verify_set(&trees, &options, &mut coverage, Arc::new(Silent)).await?;
    rekopia::put_file(Path::new(state), &coverage.to_json(&id))?;
    if let Some(verified) = &report.verified {
        println!(
            "{:.1} % readable, {:.1} % covered",
            verified.readable_percent(),
            verified.covered_percent()
        );
    }
    for failure in report.failures() {
        println!("{}: {}", failure.path, failure.message);
    }
    std::process::exit(report.exit_kind().map_or(0, |kind| kind.exit_code().into()));
}
