//! Writes plaintext to files: what a worker thread does with a content.

use std::sync::{Arc, Mutex, PoisonError};

use super::destination::Destination;
use super::fetch::Target;
use super::finish::{End, half_changed};
use super::ledger::Ledger;
use super::slot::{FileSlot, SlotKind, Writing};
use crate::error::{Error, ErrorKind, Result};
use crate::observer::Cancel;
use crate::sink::{ExistingKind, FidelityIssue, Patch, Sink};

/// Writes contents to the slots that want them, and completes each slot with its last slice.
pub(crate) struct Writer {
    pub(crate) destination: Destination,
    pub(crate) ledger: Arc<Ledger>,
    /// The flag that ends the work: when it is set nothing is written any more.
    pub(crate) stop: Cancel,
    /// Slots that are being written.
    pub(crate) unfinished: Arc<Mutex<Vec<Arc<FileSlot>>>>,
}

impl Writer {
    /// Writes a content to a place that wants it; returns the attributes that could not be set.
    pub(super) fn write(&self, target: &Target, plain: &[u8]) -> Result<Vec<FidelityIssue>> {
        let slot = &target.slot;
        let Some(sink) = self.destination.written() else { return Ok(Vec::new()) };
        if slot.has_failed() {
            return Ok(Vec::new());
        }
        if self.stop.is_cancelled() {
            return Err(Error::cancelled());
        }
        let node = &slot.folder.node;
        if slot.kind == SlotKind::Symlink {
            if !target.whole {
                return Err(Error::new(ErrorKind::Corrupt, "the link's target is too long"));
            }
            return Ok(sink.symlink(node, &slot.name, plain, &slot.attributes, slot.existing())?);
        }
        Ledger::add(&self.ledger.written_bytes, plain.len() as u64);
        if target.whole && slot.existing().is_none() {
            return Ok(sink.write_new(node, &slot.name, &slot.attributes, plain)?);
        }
        match &*self.writing(sink, slot)? {
            Writing::New(file) => file.write_at(target.start, plain)?,
            Writing::Patched(patch) => patch.write_at(target.start, plain)?,
        }
        Ok(Vec::new())
    }

    /// Returns the file of a slot while it is written; the first slice begins it.
    fn writing(&self, sink: &Arc<Sink>, slot: &Arc<FileSlot>) -> Result<Arc<Writing>> {
        let mut open = slot.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writing) = &*open {
            return Ok(Arc::clone(writing));
        }
        let node = &slot.folder.node;
        let writing = Arc::new(match slot.existing() {
            Some(existing) => Writing::Patched(Patch::start(sink, node, &slot.name, existing)),
            None => Writing::New(sink.create_large(node, &slot.name, slot.size)?),
        });
        *open = Some(Arc::clone(&writing));
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(slot));
        Ok(writing)
    }

    /// Counts one slice less to wait for; the last one finishes the file. Returns how it ended.
    pub(crate) fn slice_done(&self, slot: &Arc<FileSlot>) -> Option<End> {
        if !slot.one_done() {
            return None;
        }
        let failure = slot.take_failure();
        let stopped = self.stop.is_cancelled();
        let writing = slot.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writing.is_some() {
            let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(i) = unfinished.iter().position(|s| Arc::ptr_eq(s, slot)) {
                unfinished.swap_remove(i);
            }
        }
        let result = match failure {
            Some(failure) => Err(failure),
            None if stopped && writing.is_some() => Err((Error::cancelled(), false)),
            None => self.complete(slot, writing.as_deref()).map_err(|e| (e, false)),
        };
        Some(match result {
            Ok((bytes, issues)) => End::Complete { bytes, issues },
            Err((error, mixed)) => {
                let mixed = mixed | writing.is_some_and(|w| w.abandon());
                let cancelled = stopped && error.kind() == ErrorKind::Cancelled;
                match (mixed, cancelled) {
                    (true, true) => End::Failed { error: half_changed(), mixed },
                    (_, false) => End::Failed { error, mixed },
                    (false, true) => End::Stopped,
                }
            }
        })
    }

    /// Gives a file whose slices are all in its length and attributes; returns its bytes, and the attributes that could
    /// not be set.
    fn complete(&self, slot: &FileSlot, writing: Option<&Writing>) -> Result<(u64, Vec<FidelityIssue>)> {
        use std::sync::atomic::Ordering::Relaxed;
        let bytes = slot.object_bytes.load(Relaxed) + slot.kept_bytes.load(Relaxed);
        let Some(sink) = self.destination.written() else {
            self.would_change(slot, bytes);
            return Ok((bytes, Vec::new()));
        };
        if slot.protected.load(Relaxed) {
            return Ok((bytes, Vec::new()));
        }
        if slot.left_alone.load(Relaxed) {
            self.ledger.skip(slot.kind == SlotKind::File);
            self.ledger.unrestored.note(|| slot.path());
            return Ok((bytes, Vec::new()));
        }
        let issues = match writing {
            Some(Writing::New(file)) => file.finish(bytes, &slot.attributes)?,
            Some(Writing::Patched(patch)) => patch.commit(bytes, &slot.attributes)?,
            // A link that was fetched has its attributes; of a link that was right already only the target is known.
            None if slot.kind == SlotKind::Symlink => match slot.existing() {
                Some(existing) if slot.kept_bytes.load(Relaxed) > 0 => {
                    sink.settle(&slot.folder.node, &slot.name, existing, &slot.attributes)?
                }
                _ => Vec::new(),
            },
            None => match slot.existing() {
                Some(existing) if existing.kind != ExistingKind::File || existing.size != bytes => {
                    Patch::start(sink, &slot.folder.node, &slot.name, existing)
                        .commit(bytes, &slot.attributes)?
                }
                // Everything was right already, but perhaps an attribute.
                Some(existing) => sink.settle(&slot.folder.node, &slot.name, existing, &slot.attributes)?,
                None if bytes == 0 => sink.write_new(&slot.folder.node, &slot.name, &slot.attributes, &[])?,
                None => Vec::new(),
            },
        };
        Ok((bytes, issues))
    }

    /// Counts what a dry run would do to an entry that exists.
    fn would_change(&self, slot: &FileSlot, bytes: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        let (Some(view), Some(existing)) = (self.destination.compared(), slot.existing()) else { return };
        if slot.left_alone.load(Relaxed) || slot.protected.load(Relaxed) {
            return;
        }
        let same_kind = match slot.kind {
            SlotKind::File => existing.kind == ExistingKind::File,
            SlotKind::Symlink => existing.kind == ExistingKind::Symlink,
        };
        let same_size = slot.kind == SlotKind::Symlink || existing.size == bytes;
        let perhaps = same_kind && same_size && slot.opaque.load(Relaxed);
        let fetches = slot.object_bytes.load(Relaxed) > 0;
        if perhaps || !same_kind || fetches || !same_size || !view.has(existing, &slot.attributes) {
            self.ledger.would_change(slot.path(), perhaps);
        }
    }

    /// Gives up what is half-written when a run was stopped: nothing of it stays. `mixed` is told of files of which
    /// that is not so.
    pub(crate) fn abandon_unfinished(&self, mixed: impl Fn(&FileSlot)) {
        let unfinished = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        for slot in unfinished {
            let writing = slot.open.lock().unwrap_or_else(PoisonError::into_inner).take();
            if writing.is_some_and(|w| w.abandon()) {
                mixed(&slot);
            }
        }
    }
}
