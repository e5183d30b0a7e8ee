//! Restores one file into memory, without touching a disk.
//!
//! `cargo run --example file_to_memory -- testdata/quickstart/repo rekopia-quickstart latest/config/secret.key`

use std::sync::Arc;

use rekopia::blob::{Settings, connect};
use rekopia::{OpenOptions, Password, Reference, Repository, Selection, Silent};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, password, reference] = args.as_slice() else { return Err("REPO PASSWORD REF".into()) };
    let blobs = connect(&Settings::parse(repo)?).await?;
    let open = OpenOptions::default();
    let repository =
        Repository::open(blobs, &Password::new(password.as_str()), &open, Arc::new(Silent)).await?;
    let found = repository.resolve(&Reference::parse(reference)?, &Selection::default()).await?;
    let object = found.entry.object.ok_or("no data is stored of it")?;
    let mut file = repository.open_object(&object).await?.into_async_read();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).await?;
    println!("{} bytes of {}", bytes.len(), found.entry.name_text());
    Ok(())
}
