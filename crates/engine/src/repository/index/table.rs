//! Looks contents up in the frozen table of all index entries.

use std::collections::{HashMap, HashSet};

use rekopia_format::{BlobId, ContentId};

use super::fanout::FanOut;
use super::location::{Location, PackIdx};
use super::record::{DELETED, LEN_MASK, Record, key_of};
use super::spill::SortedFile;
use crate::error::{Error, ErrorKind, Result};

/// The range from the first to the last byte of contents in each metadata pack (`q…`).
pub(crate) type Extents = HashMap<PackIdx, std::ops::Range<u64>>;

/// The merged entries, ready for lookups.
#[derive(Debug)]
pub(crate) struct ContentIndex {
    pub(super) records: Records,
    pub(super) fanout: FanOut,
    pub(super) packs: Vec<BlobId>,
    /// Whether an index blob names the pack of this number.
    pub(super) indexed: Vec<bool>,
    pub(super) compressions: Vec<u32>,
    pub(super) manifests: Vec<ContentId>,
    /// Contents with manifests that only the packs' own indexes name.
    pub(super) local_manifests: Vec<ContentId>,
    /// The reason why records that are too many for memory are there all the same.
    pub(super) warning: Option<String>,
}

/// The place where the sorted records are.
#[derive(Debug)]
pub(super) enum Records {
    Memory(Vec<Record>),
    File { sorted: SortedFile, extents: Extents },
}

impl ContentIndex {
    /// Returns where `id` is; deleted contents included, since they are readable until they are dropped (§4.5).
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the table is in a file that cannot be read.
    pub(crate) fn find(&self, id: &ContentId) -> Result<Option<Location>> {
        Ok(self.place(id)?.map(|(_, location)| location))
    }

    /// Returns the number of `id` in the table, from 0 in its order, and where it is.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(crate) fn place(&self, id: &ContentId) -> Result<Option<(u32, Location)>> {
        let key = key_of(id);
        let range = self.fanout.find(key.0);
        let found = match &self.records {
            Records::Memory(records) => {
                let candidates = records.get(range.clone()).unwrap_or_default();
                let found = candidates.binary_search_by_key(&key, Record::key).ok();
                found.map(|i| (range.start + i, candidates[i]))
            }
            Records::File { sorted, .. } => sorted.search(range, key).map_err(unread)?,
        };
        let placed = |(n, record): (usize, Record)| {
            Some((u32::try_from(n).ok()?, record.location(&self.compressions)?))
        };
        Ok(found.and_then(placed))
    }

    /// Gives `each` the contents whose number `wants`, in the order of the table, with their numbers. The IDs are those
    /// of lookups.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(crate) fn each(
        &self,
        wants: impl Fn(u32) -> bool,
        mut each: impl FnMut(u32, ContentId, Location),
    ) -> Result<()> {
        let mut number = 0;
        let mut look = |record: &Record| {
            if wants(number)
                && let Ok(id) = ContentId::new(record.prefix(), &record.tail)
                && let Some(location) = record.location(&self.compressions)
            {
                each(number, id, location);
            }
            number += 1;
        };
        match &self.records {
            Records::Memory(records) => records.iter().for_each(&mut look),
            Records::File { sorted, .. } => sorted.for_each(&mut look).map_err(unread)?,
        }
        Ok(())
    }

    /// Returns the name of a pack that a [`Location`] of this index points to.
    pub(crate) fn pack(&self, pack: PackIdx) -> &BlobId {
        &self.packs[pack.0 as usize]
    }

    /// Returns what is known of each metadata pack.
    pub(crate) fn metadata_extents(&self) -> Extents {
        match &self.records {
            Records::Memory(records) => {
                let mut extents = Extents::new();
                records.iter().for_each(|record| extend(&mut extents, record, self.pack(record.pack())));
                extents
            }
            Records::File { extents, .. } => extents.clone(),
        }
    }

    /// Returns the packs that the entries name, by number.
    pub(crate) fn packs(&self) -> &[BlobId] {
        &self.packs
    }

    /// Returns the packs that index blobs name; all others are named by their own indexes alone.
    pub(crate) fn indexed_packs(&self) -> HashSet<&BlobId> {
        self.packs.iter().zip(&self.indexed).filter(|(_, indexed)| **indexed).map(|(pack, _)| pack).collect()
    }

    /// Returns the end of the last content in each pack, in bytes from its start, by the pack's number; 0: nothing is
    /// in it.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the table is in a file that cannot be read.
    pub(crate) fn pack_ends(&self) -> Result<Vec<u64>> {
        let mut ends = vec![0; self.packs.len()];
        let mut note = |record: &Record| {
            let end = u64::from(record.offset & !DELETED) + u64::from(record.packed & LEN_MASK);
            if let Some(known) = ends.get_mut(record.pack().0 as usize) {
                *known = end.max(*known);
            }
        };
        match &self.records {
            Records::Memory(records) => records.iter().for_each(&mut note),
            Records::File { sorted, .. } => sorted.for_each(&mut note).map_err(unread)?,
        }
        Ok(ends)
    }

    /// Returns contents with prefix `k`, which hold directories and their seek tables. The IDs are those of lookups: of
    /// a longer hash only the last 16 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the table is in a file that cannot be read.
    pub(crate) fn directory_contents(&self) -> Result<Vec<ContentId>> {
        let mut ids = Vec::new();
        let mut note = |record: &Record| {
            if record.prefix() == b'k' {
                ids.extend(ContentId::new(b'k', &record.tail));
            }
        };
        match &self.records {
            Records::Memory(records) => records.iter().for_each(&mut note),
            Records::File { sorted, .. } => sorted.for_each(&mut note).map_err(unread)?,
        }
        Ok(ids)
    }

    /// Returns contents with prefix `m` that are not deleted: they hold the manifests (§6.1).
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(crate) fn manifest_contents(&self) -> Result<Vec<ContentId>> {
        self.live(&self.manifests)
    }

    /// Returns contents with manifests that no index blob names, but a pack's own index does.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(crate) fn local_manifest_contents(&self) -> Result<Vec<ContentId>> {
        self.live(&self.local_manifests)
    }

    fn live(&self, manifests: &[ContentId]) -> Result<Vec<ContentId>> {
        let mut live = Vec::with_capacity(manifests.len());
        for id in manifests {
            if self.find(id)?.is_some_and(|location| !location.deleted) {
                live.push(*id);
            }
        }
        Ok(live)
    }

    /// Returns the number of contents in the index.
    pub(crate) fn len(&self) -> usize {
        match &self.records {
            Records::Memory(records) => records.len(),
            Records::File { sorted, .. } => sorted.len(),
        }
    }

    /// Returns the bytes that the table holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let records = match &self.records {
            Records::Memory(records) => records.capacity() * size_of::<Record>(),
            Records::File { .. } => 0,
        };
        (records + self.fanout.bytes()) as u64
    }

    /// Returns the bytes that the table holds in a file.
    pub(crate) fn file_bytes(&self) -> u64 {
        match &self.records {
            Records::Memory(_) => 0,
            Records::File { sorted, .. } => (sorted.len() * Record::BYTES) as u64,
        }
    }

    /// Returns why more than may be in memory is in memory, if so.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

fn unread(e: std::io::Error) -> Error {
    let what = "the part of the index that does not fit in memory cannot be read from the cache folder";
    Error::new(ErrorKind::Storage, what).because(e)
}

/// Widens what is known of the pack of a metadata record.
pub(super) fn extend(extents: &mut Extents, record: &Record, pack: &BlobId) {
    // Only metadata has a prefix letter.
    if record.prefix() == 0 || !pack.as_str().starts_with('q') {
        return;
    }
    let start = u64::from(record.offset & !DELETED);
    let end = start + u64::from(record.packed & LEN_MASK);
    let extent = extents.entry(record.pack()).or_insert(start..end);
    extent.start = extent.start.min(start);
    extent.end = extent.end.max(end);
}
