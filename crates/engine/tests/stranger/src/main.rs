//! A program by somebody who knows only the library's documentation: `stranger REPO PASSWORD FOLDER` opens, lists,
//! restores with progress, cancels, and reads one file. The long gate compiles and runs it.

use std::path::Path;
use std::sync::Arc;

use rekopia::blob::{Settings, connect};
use rekopia::{
    Cancel, Event, Observer, OpenOptions, Password, Phase, Reference, Repository, RestoreOptions, Selection,
};
use tokio::io::AsyncReadExt;

struct Progress;

impl Observer for Progress {
    fn event(&self, event: Event) {
        if let Event::Progress(progress) = event {
            eprintln!("{} of {} files", progress.files, progress.total_files);
        }
    }
}

/// Stops a restore as soon as it begins to write.
struct Impatient(Cancel);

impl Observer for Impatient {
    fn event(&self, event: Event) {
        if matches!(event, Event::Phase { phase: Phase::Restoring }) {
            self.0.cancel();
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, password, folder] = args.as_slice() else { return Err("REPO PASSWORD FOLDER".into()) };
    let folder = Path::new(folder);

    // Open, list, restore.
    let blobs = connect(&Settings::parse(repo)?).await?;
    let password = Password::new(password.as_str());
    let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Progress)).await?;
    for (source, snapshots) in repository.snapshots().await?.by_source() {
        println!("{source}: {} snapshots", snapshots.len());
    }
    let from = repository.resolve(&Reference::parse("latest")?, &Selection::default()).await?;
    let options = RestoreOptions::default();
    let report = repository.restore(&from, &folder.join("restored"), &options, Arc::new(Progress)).await?;
    assert!(report.is_complete(), "{:?}", report.failures());

    // Cancel.
    let cancel = Cancel::new();
    let options = RestoreOptions::default().cancel(cancel.clone());
    let report = repository.restore(&from, &folder.join("stopped"), &options, Arc::new(Impatient(cancel))).await?;
    assert!(report.cancelled, "{report:?}");

    // Read one file.
    let found = repository.resolve(&Reference::parse("latest/config/secret.key")?, &Selection::default()).await?;
    let object = found.entry.object.ok_or("the file has no data")?;
    let mut bytes = Vec::new();
    repository.open_object(&object).await?.into_async_read().read_to_end(&mut bytes).await?;
    assert_eq!(bytes, std::fs::read(folder.join("restored/config/secret.key"))?);
    Ok(())
}
