//! Knows which packs the storage has, and how long they are, before anything that exists is changed.

use std::collections::HashMap;

use rekopia_blob::{BlobError, BlobErrorKind};
use rekopia_format::{BlobId, ContentId, ObjectId};

use super::Repository;
use super::contents::{Contents, missing};
use super::index::{ContentIndex, Location};
use super::objects::{Slice, SliceReader};
use super::read_ahead::ReadAhead;
use crate::error::{Error, Result};

/// The packs of an index as the storage lists them.
pub(crate) struct ListedPacks {
    /// The index that they belong to.
    pub(crate) contents: Contents,
    /// Bytes of each pack, by its number in the index; `None`: not listed.
    lens: Vec<Option<u64>>,
}

/// Prefixes of packs: data and metadata.
const PREFIXES: [&str; 2] = ["p", "q"];

impl ListedPacks {
    /// Lists the packs. When one of the index is not there, maintenance may have moved what was in it: the index is
    /// read once more, and the packs are listed again.
    ///
    /// # Errors
    /// When the storage cannot be listed.
    pub(crate) async fn read(repository: &Repository) -> Result<Self> {
        let first = Self::list(repository.contents()).await?;
        if first.lens.iter().all(Option::is_some) {
            return Ok(first);
        }
        repository.reload_index().await?;
        Self::list(repository.contents()).await
    }

    async fn list(contents: Contents) -> Result<Self> {
        let numbers = numbers(&contents.index);
        let mut lens = vec![None; numbers.len()];
        let [data, metadata] = PREFIXES.map(|prefix| {
            contents.traffic.count(0);
            contents.blobs.list(prefix)
        });
        let (data, metadata) = tokio::join!(data, metadata);
        for listed in [data, metadata] {
            let listed = listed.map_err(|e| Error::storage(e, "cannot list the packs of the repository"))?;
            for blob in listed {
                if let Some(len) = numbers.get(&blob.id).and_then(|number| lens.get_mut(*number)) {
                    *len = Some(blob.len);
                }
            }
        }
        drop(numbers);
        Ok(ListedPacks { contents, lens })
    }

    /// Whether all contents of an object are there, as far as lengths of packs tell; its seek tables are read.
    ///
    /// # Errors
    /// What a read of the first missing one would fail with; those of reading the seek tables.
    pub(crate) async fn check_object(&self, object: &ObjectId, ahead: &mut ReadAhead) -> Result<()> {
        let mut reader = SliceReader::new(object, None);
        loop {
            let slices = reader.next(&self.contents, ahead, 4096).await?;
            if slices.is_empty() {
                return Ok(());
            }
            self.check_slices(&slices)?;
        }
    }

    /// Whether the contents of these slices are there, as [`check_object`](Self::check_object) tells.
    pub(crate) fn check_slices<'a>(&self, slices: impl IntoIterator<Item = &'a Slice>) -> Result<()> {
        for slice in slices.into_iter().filter(|slice| slice.len != Some(0)) {
            self.check(&slice.content, &self.contents.locate(&slice.content)?)?;
        }
        Ok(())
    }

    /// Whether the pack holds this content, as far as its length tells.
    ///
    /// # Errors
    /// What a read of the content would fail with.
    pub(crate) fn check(&self, content: &ContentId, location: &Location) -> Result<()> {
        let end = location.range().end;
        let (kind, why) = match self.lens.get(location.pack.0 as usize).copied().flatten() {
            Some(len) if end <= len => return Ok(()),
            Some(len) => {
                (BlobErrorKind::Truncated, format!("the storage lists it with {len} bytes, {end} are needed"))
            }
            None => (BlobErrorKind::NotFound, "the storage does not list it".to_owned()),
        };
        let pack = self.contents.index.pack(location.pack);
        Err(missing(&BlobError::new(kind, why).of(pack), content, pack))
    }
}

fn numbers(index: &ContentIndex) -> HashMap<&BlobId, usize> {
    index.packs().iter().zip(0..).collect()
}
