//! Does what Kopia's maintenance does: epochs, compactions, watermarks, deletions (§4.7, §4.8).

use std::collections::HashSet;

use rekopia_format::time::format_rfc3339_nanos;
use rekopia_format::{BlobId, ContentId};
use serde_json::{Value, json};

use super::index::{self, IndexEntry, merge};
use super::{Error, RepositoryWriter, Result, WrittenIndex};

/// The kind of an index blob, which is in its name (§4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexBlobKind {
    /// An index blob of a client, without epochs: `n…-<session>`.
    Legacy,
    /// An index blob of several such, compacted: `n…`.
    LegacyCompacted,
    /// An index blob of a client in an epoch: `xn<epoch>_`.
    Epoch(u64),
    /// An index blob of one epoch, compacted: `xs<epoch>_`.
    Single(u64),
    /// An index blob of several epochs, compacted: `xr<low>_<high>_`.
    Range(u64, u64),
}

impl RepositoryWriter {
    /// Writes these entries as a set of index blobs of their own, and leaves those of the next flush alone.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::TooLarge`].
    pub fn put_index(
        &mut self,
        kind: IndexBlobKind,
        mut entries: Vec<IndexEntry>,
        blobs: usize,
    ) -> Result<Vec<BlobId>> {
        let drawn = format!("s{}", self.random.hex(8));
        let session = self.session.as_ref().map_or(drawn.as_str(), |s| &s.id);
        let (prefix, suffix) = match kind {
            IndexBlobKind::Legacy => ("n".into(), format!("-{session}")),
            IndexBlobKind::LegacyCompacted => ("n".into(), String::new()),
            IndexBlobKind::Epoch(epoch) => (format!("xn{epoch}_"), format!("-{session}-c{blobs}")),
            IndexBlobKind::Single(epoch) => (format!("xs{epoch}_"), format!("-{drawn}-c{blobs}")),
            IndexBlobKind::Range(low, high) => (format!("xr{low}_{high}_"), format!("-{drawn}-c{blobs}")),
        };
        let mut names = Vec::new();
        let share = entries.len().div_ceil(blobs.max(1));
        while !entries.is_empty() {
            let rest = entries.split_off(share.min(entries.len()));
            let mut file = index::encode(self.options.index_version, &mut entries)?;
            if kind == IndexBlobKind::LegacyCompacted {
                file.extend(self.random.bytes::<32>());
            }
            let (blob, len) = self.put_sealed_blob(&prefix, &file, &suffix)?;
            names.push(blob.clone());
            if self.options.remember_entries {
                self.written.push(WrittenIndex { blob, len, kind, entries });
            }
            entries = rest;
        }
        Ok(names)
    }

    /// Starts the next epoch (`xe`) and returns its number.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn advance_epoch(&mut self) -> Result<u64> {
        self.epoch += 1;
        self.put_blob(&format!("xe{}", self.epoch), b"epoch-marker")?;
        Ok(self.epoch)
    }

    /// Compacts one epoch into `xs`; its `xn` blobs stay.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Unknown`] when nothing was remembered of that epoch.
    pub fn compact_epoch(&mut self, epoch: u64) -> Result<BlobId> {
        self.compact(IndexBlobKind::Single(epoch), |kind| kind == IndexBlobKind::Epoch(epoch))
    }

    /// Compacts epochs `low`…`high` into `xr`; the other blobs stay.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::compact_epoch`].
    pub fn compact_range(&mut self, low: u64, high: u64) -> Result<BlobId> {
        let within = |kind| matches!(kind, IndexBlobKind::Epoch(e) if (low..=high).contains(&e));
        self.compact(IndexBlobKind::Range(low, high), within)
    }

    /// Says that entries deleted at or before this time are gone (`xw`).
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn put_watermark(&mut self, seconds: i64) -> Result<BlobId> {
        self.put_blob(&format!("xw{seconds}"), b"deletion-watermark")
    }

    /// Compacts all `n` blobs into one, dropping entries deleted at or before `drop_deleted`, and logs it (`m`). The
    /// inputs, which it gives back, stay until somebody deletes them.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::compact_epoch`].
    pub fn compact_legacy(&mut self, drop_deleted: Option<i64>) -> Result<Vec<BlobId>> {
        let inputs: Vec<&WrittenIndex> = self.written.iter().collect();
        let time = format_rfc3339_nanos(self.now * 1_000_000_000);
        let describe = |indexes: &[&WrittenIndex]| -> Vec<Value> {
            indexes
                .iter()
                .map(|w| json!({ "id": w.blob.as_str(), "length": w.len, "timestamp": time }))
                .collect()
        };
        let input_metadata = describe(&inputs);
        let mut entries: Vec<IndexEntry> = inputs.iter().flat_map(|w| w.entries.clone()).collect();
        let input_blobs: Vec<BlobId> = inputs.iter().map(|w| w.blob.clone()).collect();
        merge(&mut entries);
        entries.retain(|e| !(e.deleted && drop_deleted.is_some_and(|time| e.timestamp <= time)));
        if entries.is_empty() {
            return Err(Error::Unknown("index entry that a compaction would keep".into()));
        }
        let first_output = self.written.len();
        self.put_index(IndexBlobKind::LegacyCompacted, entries, 1)?;
        let outputs: Vec<&WrittenIndex> = self.written[first_output..].iter().collect();
        let log = json!({ "inputMetadata": input_metadata, "outputMetadata": describe(&outputs) });
        self.written.drain(..first_output);
        self.put_sealed_blob("m", log.to_string().as_bytes(), "")?;
        Ok(input_blobs)
    }

    /// Removes the session's index blobs of epochs `low`…`high`, as maintenance does once they are compacted.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn delete_superseded(&mut self, low: u64, high: u64) -> Result<()> {
        let within =
            |w: &WrittenIndex| matches!(w.kind, IndexBlobKind::Epoch(e) if (low..=high).contains(&e));
        let gone: Vec<BlobId> = self.written.iter().filter(|w| within(w)).map(|w| w.blob.clone()).collect();
        gone.iter().try_for_each(|blob| self.delete_blob(blob))
    }

    /// Marks a content as deleted in the next index blob, at the writer's time or a second after the content's own.
    ///
    /// # Errors
    /// [`Error::Unknown`] when no such content was remembered.
    pub fn delete_content(&mut self, id: &ContentId) -> Result<()> {
        let entry = self.entry(id)?;
        let timestamp = self.now.max(entry.timestamp + 1);
        self.put_entry(IndexEntry { timestamp, deleted: true, ..entry });
        Ok(())
    }

    /// Returns the winning entry of a content, if its pack is finished and it was remembered.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn entry(&self, id: &ContentId) -> Result<IndexEntry> {
        let written = self.written.iter().flat_map(|w| &w.entries);
        let mut all: Vec<IndexEntry> =
            written.chain(&self.pending).filter(|e| e.id == *id).cloned().collect();
        merge(&mut all);
        all.pop().ok_or_else(|| Error::Unknown(format!("content {id} in a finished pack")))
    }

    /// Returns all entries remembered, one a content, in key order.
    pub fn entries(&self) -> Vec<IndexEntry> {
        let mut all: Vec<IndexEntry> = self.written.iter().flat_map(|w| w.entries.clone()).collect();
        merge(&mut all);
        all
    }

    fn compact(&mut self, kind: IndexBlobKind, of: impl Fn(IndexBlobKind) -> bool) -> Result<BlobId> {
        let inputs = self.written.iter().filter(|w| of(w.kind));
        let mut entries: Vec<IndexEntry> = inputs.flat_map(|w| w.entries.clone()).collect();
        merge(&mut entries);
        let blobs = self.put_index(kind, entries, 1)?;
        blobs.into_iter().next().ok_or_else(|| Error::Unknown("index blob to compact".into()))
    }

    /// Returns the packs that live entries point to.
    pub fn packs(&self) -> HashSet<BlobId> {
        self.entries().into_iter().filter(|e| !e.deleted).map(|e| e.pack).collect()
    }
}
