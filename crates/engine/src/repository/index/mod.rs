//! Where contents are: one frozen, sorted table of all index entries.
//!
//! ```text
//! index blobs ──add──► records ──freeze──► sorted, one record per content, fan-out on the leading bits
//!                         │ more than may be in memory
//!                         └──► sorted runs in a nameless file ──merge──► the same table in a file, read by pread
//! ```
//!
//! A record is 36 bytes whatever the hash. The fan-out adds half a byte per entry in memory, so that the table stays
//! under 40 bytes per entry; of a table in a file only the fan-out is in memory, 0.05 bytes per entry.

mod builder;
mod fanout;
mod merge;
mod record;
pub(crate) mod spill;

use std::collections::HashMap;
use std::path::PathBuf;

use rekopia_format::content::Packed;
use rekopia_format::{BlobId, ContentId};

use crate::error::{Error, ErrorKind, Result};
pub(crate) use builder::IndexBuilder;
use fanout::FanOut;
use record::{Record, key_of};
use spill::SortedFile;

/// A pack, by its position in the table of pack names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackIdx(pub(crate) u32);

/// Where a content is stored and how to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) pack: PackIdx,
    /// Bytes from the start of the pack.
    pub(crate) offset: u32,
    pub(crate) packed: Packed,
    pub(crate) deleted: bool,
}

impl Location {
    /// The bytes of the pack that hold the content.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        let start = u64::from(self.offset);
        start..start + u64::from(self.packed.packed_len)
    }
}

/// How much of the index may be in memory, and where the rest goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexLimit {
    /// Bytes of records; 0: as many as there are.
    pub(crate) bytes: u64,
    /// A folder on a disk; it is made when it is needed and its parent is there.
    pub(crate) dir: Option<PathBuf>,
}

/// From the first to the last byte of contents in each metadata pack (`q…`).
pub(crate) type Extents = HashMap<PackIdx, std::ops::Range<u64>>;

/// The merged entries, ready for lookups.
#[derive(Debug)]
pub(crate) struct ContentIndex {
    records: Records,
    fanout: FanOut,
    packs: Vec<BlobId>,
    compressions: Vec<u32>,
    manifests: Vec<ContentId>,
    /// Why records that are too many for memory are there all the same.
    warning: Option<String>,
}

#[derive(Debug)]
enum Records {
    Memory(Vec<Record>),
    File { sorted: SortedFile, extents: Extents },
}

/// An index entry that cannot be represented or makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Parse(#[from] rekopia_format::index::Error),
    #[error(transparent)]
    Id(#[from] rekopia_format::ids::InvalidId),
    #[error("the index holds more than {0}")]
    TooMany(&'static str),
    #[error("content of {0} bytes is too long")]
    TooLong(u32),
    #[error("content uses encryption key {0}, but there is only key 0")]
    UnknownKey(u8),
    /// Not the repository's fault.
    #[error("the index that was written to a file cannot be read back")]
    ReadBack { source: std::io::Error },
}

impl ContentIndex {
    /// Where `id` is; deleted contents included, since they are readable until they are dropped (§4.5).
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the table is in a file that cannot be read.
    pub(crate) fn find(&self, id: &ContentId) -> Result<Option<Location>> {
        let key = key_of(id);
        let range = self.fanout.find(key.0);
        let found = match &self.records {
            Records::Memory(records) => {
                let candidates = records.get(range).unwrap_or_default();
                candidates.binary_search_by_key(&key, Record::key).ok().map(|i| candidates[i])
            }
            Records::File { sorted, .. } => sorted.search(range, key).map_err(|e| {
                let what =
                    "the part of the index that does not fit in memory cannot be read from the cache folder";
                Error::new(ErrorKind::Storage, what).because(e)
            })?,
        };
        Ok(found.and_then(|record| record.location(&self.compressions)))
    }

    /// The name of a pack that a [`Location`] of this index points to.
    pub(crate) fn pack(&self, pack: PackIdx) -> &BlobId {
        &self.packs[pack.0 as usize]
    }

    /// What is known of each metadata pack.
    pub(crate) fn metadata_extents(&self) -> Extents {
        match &self.records {
            Records::Memory(records) => {
                let mut extents = Extents::new();
                records.iter().for_each(|record| extend(&mut extents, record, &self.packs));
                extents
            }
            Records::File { extents, .. } => extents.clone(),
        }
    }

    /// How many packs the entries name.
    pub(crate) fn pack_count(&self) -> usize {
        self.packs.len()
    }

    /// Contents with prefix `m` that are not deleted: they hold the manifests (§6.1).
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(crate) fn manifest_contents(&self) -> Result<Vec<ContentId>> {
        let mut live = Vec::with_capacity(self.manifests.len());
        for id in &self.manifests {
            if self.find(id)?.is_some_and(|location| !location.deleted) {
                live.push(*id);
            }
        }
        Ok(live)
    }

    /// Contents in the index.
    pub(crate) fn len(&self) -> usize {
        match &self.records {
            Records::Memory(records) => records.len(),
            Records::File { sorted, .. } => sorted.len(),
        }
    }

    /// Bytes that the table holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let records = match &self.records {
            Records::Memory(records) => records.capacity() * size_of::<Record>(),
            Records::File { .. } => 0,
        };
        (records + self.fanout.bytes()) as u64
    }

    /// Bytes that the table holds in a file.
    pub(crate) fn file_bytes(&self) -> u64 {
        match &self.records {
            Records::Memory(_) => 0,
            Records::File { sorted, .. } => (sorted.len() * Record::BYTES) as u64,
        }
    }

    /// Why more than may be in memory is in memory, if so.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

fn extend(extents: &mut Extents, record: &Record, packs: &[BlobId]) {
    // Only metadata has a prefix letter.
    let pack = record.pack();
    if record.prefix() == 0 || !packs[pack.0 as usize].as_str().starts_with('q') {
        return;
    }
    let start = u64::from(record.offset & !record::DELETED);
    let end = start + u64::from(record.packed & record::LEN_MASK);
    let extent = extents.entry(pack).or_insert(start..end);
    extent.start = extent.start.min(start);
    extent.end = extent.end.max(end);
}

#[cfg(test)]
mod tests;
