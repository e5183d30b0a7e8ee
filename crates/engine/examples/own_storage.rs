//! A storage of one's own: a repository in a `HashMap`, here filled from a directory without sub-folders.
//!
//! `cargo run --example own_storage -- FOLDER PASSWORD`

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rekopia::blob::{
    BlobError, BlobErrorKind, BlobId, BlobInfo, BlobReader, BoxFuture, StorageProfile, Time, Usage,
};
use rekopia::{OpenOptions, Password, Repository, Silent};

struct InMemory(HashMap<BlobId, Vec<u8>>);

impl InMemory {
    fn blob(&self, id: &BlobId) -> Result<&Vec<u8>, BlobError> {
        self.0.get(id).ok_or_else(|| BlobError::new(BlobErrorKind::NotFound, "no such blob").of(id))
    }
}

impl BlobReader for InMemory {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            let blob = self.blob(id)?;
            let range = range.map_or(0..blob.len(), |range| range.start as usize..range.end as usize);
            let too_short = || BlobError::new(BlobErrorKind::Truncated, "the blob is shorter").of(id);
            into.clear();
            into.extend_from_slice(blob.get(range).ok_or_else(too_short)?);
            Ok(into)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        let found = self.0.iter().filter(move |(id, _)| id.as_str().starts_with(prefix));
        let info =
            |(id, bytes): (&BlobId, &Vec<u8>)| BlobInfo::new(id.clone(), bytes.len() as u64, Time::default());
        Box::pin(async move { Ok(found.map(info).collect()) })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async { Ok(BlobInfo::new(id.clone(), self.blob(id)?.len() as u64, Time::default())) })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.list(prefix).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(async { Ok(false) })
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile::new(8).local(true)
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, password] = args.as_slice() else { return Err("FOLDER PASSWORD".into()) };
    let mut blobs = HashMap::new();
    for file in std::fs::read_dir(folder)?.filter_map(Result::ok).filter(|file| file.path().is_file()) {
        // In a directory Kopia gives each blob the ending `.f`.
        let name = file.file_name().to_string_lossy().trim_end_matches(".f").to_owned();
        if let Ok(id) = BlobId::parse(&name) {
            blobs.insert(id, std::fs::read(file.path())?);
        }
    }
    let (blobs, password) = (Arc::new(InMemory(blobs)), Password::new(password.as_str()));
    let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
    println!("{} snapshots in {}", repository.snapshots().await?.all().len(), repository.info().location);
    Ok(())
}
