//! Opens a repository, lists its snapshots, restores the newest of a source.
//!
//! `cargo run --example restore_snapshot -- testdata/quickstart/repo rekopia-quickstart paperless@media:/data ./restored`

use std::{path::Path, sync::Arc};

use rekopia::blob::{Settings, connect};
use rekopia::{OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, password, reference, target] = args.as_slice() else {
        return Err("REPO PASSWORD REF TARGET".into());
    };
    let blobs = connect(&Settings::parse(repo)?).await?;
    let open = OpenOptions::default();
    let repository =
        Repository::open(blobs, &Password::new(password.as_str()), &open, Arc::new(Silent)).await?;
    for snapshot in repository.snapshots().await?.all() {
        println!("{} {} {}", snapshot.id, snapshot.start, snapshot.source);
    }
    let from = repository.resolve(&Reference::parse(reference)?, &Selection::default()).await?;
    let options = RestoreOptions::default();
    let report = repository.restore(&from, Path::new(target), &options, Arc::new(Silent)).await?;
    println!("{} files, {} failed", report.files, report.failed);
    std::process::exit(report.exit_kind().map_or(0, |kind| kind.exit_code().into()));
}
