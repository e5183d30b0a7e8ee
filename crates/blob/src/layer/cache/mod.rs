//! Keeps metadata of a far storage on the disk from one run to the next.
//!
//! Only what is small, read by every run and never changes under its name is kept: index blobs (`x…`, `n…`, `m…`) and
//! ranges of metadata packs (`q…`). Listings always come from the storage. What is kept is what the storage gave,
//! still encrypted; it goes through the same authentication afterwards. The cache is never needed and never trusted: what
//! is missing, cut short, changed, or of another age than the listing says is read from the storage.

mod folder;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use folder::Folder;
use rekopia_format::BlobId;

use crate::error::{BlobError, BlobErrorKind};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};

/// The place and size of a cache of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheOptions {
    /// A folder for the cache alone; made when it is missing. Each repository gets a folder below it.
    pub dir: PathBuf,
    /// Bytes of one repository's metadata to keep; the oldest go first.
    pub max_bytes: u64,
}

impl CacheOptions {
    /// A cache in this folder of at most 1 GiB: what the metadata of a repository of some ten terabytes takes.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        CacheOptions { dir: dir.into(), max_bytes: 1 << 30 }
    }

    crate::setters! {
        max_bytes: u64,
    }
}

/// A storage with a cache: looks on the disk first.
pub(super) struct Cache {
    inner: Arc<dyn BlobReader>,
    folder: Arc<Folder>,
    /// Length and time of the index blobs that were listed.
    listed: Mutex<HashMap<BlobId, (u64, i64)>>,
    /// Blobs of which nothing that is kept is given out any more: what the storage once gave was wrong.
    forgotten: Mutex<HashSet<BlobId>>,
}

impl Cache {
    /// Puts a cache around `inner`; `None` when the folder cannot be used, which is only warned of.
    pub(super) fn around(inner: &Arc<dyn BlobReader>, options: &CacheOptions) -> Option<Self> {
        match Folder::open(&options.dir, &inner.describe(), options.max_bytes) {
            Ok(folder) => {
                let (inner, folder) = (Arc::clone(inner), Arc::new(folder));
                Some(Cache { inner, folder, listed: Mutex::default(), forgotten: Mutex::default() })
            }
            Err(e) => {
                tracing::warn!("no metadata is cached in {}: {e}", options.dir.display());
                None
            }
        }
    }

    async fn cached(
        &self,
        id: &BlobId,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        let modified_ns = listed.map(|(_, time)| time);
        let (folder, name, wanted) = (Arc::clone(&self.folder), id.clone(), range.clone());
        let is_forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).contains(id);
        let look = move || match !is_forgotten && folder.get(&name, wanted.as_ref(), modified_ns, &mut into) {
            true => Ok(into),
            false => Err(into),
        };
        let into = match tokio::task::spawn_blocking(look).await {
            Ok(Ok(found)) if listed.is_none_or(|(len, _)| range.is_some() || len == found.len() as u64) => {
                return Ok(found);
            }
            Ok(Ok(unused) | Err(unused)) => unused,
            Err(_) => Vec::new(),
        };
        let bytes = self.inner.read(id, range.clone(), into).await?;
        let (folder, name) = (Arc::clone(&self.folder), id.clone());
        let keep = move || {
            folder.put(&name, range.as_ref(), modified_ns.unwrap_or(0), &bytes);
            bytes
        };
        tokio::task::spawn_blocking(keep).await.map_err(|e| {
            BlobError::new(BlobErrorKind::Unavailable, "the metadata cache failed").of(id).because(e)
        })
    }
}

fn is_index(name: &str) -> bool {
    name.starts_with(['x', 'n', 'm'])
}

#[deny(clippy::missing_trait_methods)]
impl BlobReader for Cache {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        let keep = match &range {
            None => is_index(id.as_str()),
            Some(range) => id.as_str().starts_with('q') && !range.is_empty(),
        };
        if keep { Box::pin(self.cached(id, range, into)) } else { self.inner.read(id, range, into) }
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move {
            let found = self.inner.list(prefix).await?;
            let index = found.iter().filter(|b| is_index(b.id.as_str()));
            let index = index.map(|b| (b.id.clone(), (b.len, b.modified.unix_nanos())));
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).extend(index);
            Ok(found)
        })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        self.inner.stat(id)
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        self.inner.look_elsewhere()
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        self.inner.any(prefix)
    }

    fn distrust(&self, id: &BlobId) {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        self.folder.forget(id);
        self.inner.distrust(id);
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn folder(&self) -> Option<PathBuf> {
        self.inner.folder()
    }

    fn profile(&self) -> StorageProfile {
        self.inner.profile()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
