//! Plaintext → files: what a worker thread does with the bytes of a pack read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use super::clock::Stage;
use super::decode::{ContentDecoder, check_length};
use super::fetch::{Fetched, PackBytes, Target, lost_error};
use super::finish::Outcome;
use super::plan::{PackRead, WantedContent};
use super::report::Tally;
use super::slot::{FileSlot, Folder, SlotKind, Writing};
use crate::error::{Error, ErrorKind, Result};
use crate::repository::contents::Contents;
use crate::sink::{ExistingKind, Patch, Sink};

/// A place among the entries that wait for the workers; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Waiting(OwnedSemaphorePermit);

impl Waiting {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Waiting(permit)
    }

    fn free(self) {
        drop(self.0);
    }
}

/// What the workers are given.
#[derive(Debug)]
pub(crate) enum Work {
    /// Bytes to decode, or contents that cannot be had.
    Fetched(Fetched),
    /// All entries of a directory are known; an empty one is created when it is finished.
    Listed(Arc<Folder>, Waiting),
    /// A pack read that is only counted.
    Planned(PackRead<Target>),
    /// All slices of a slot are known.
    Announced(Arc<FileSlot>, Waiting),
}

/// What all workers of a pass share.
pub(crate) struct Workshop {
    pub(crate) contents: Contents,
    /// `None`: swallow everything (verification).
    pub(crate) sink: Option<Arc<Sink>>,
    pub(crate) outcome: Arc<Outcome>,
    /// Recompute the keyed hash of every content.
    pub(crate) hash: bool,
    /// Slices whose pack was not there; `None` when that is final.
    pub(crate) gone: Option<Mutex<Vec<WantedContent<Target>>>>,
    /// Slots that are being written.
    pub(crate) unfinished: Arc<Mutex<Vec<Arc<FileSlot>>>>,
}

/// Contents that are tried once more with a fresh index at most; more is damage.
const MAX_GONE: usize = 1 << 20;

impl Workshop {
    /// Works until the channel closes.
    pub(crate) fn work(&self, queue: &crossbeam_channel::Receiver<Work>) {
        let mut decoder = ContentDecoder::new(self.hash);
        let clock = &*self.outcome.tally.clock;
        let mut free = Instant::now();
        for work in queue {
            clock.add(Stage::Idle, free);
            match work {
                Work::Fetched(Fetched::Bytes(bytes)) => self.write_all(bytes, &mut decoder),
                Work::Fetched(Fetched::Lost { contents, gone, error, pack }) => {
                    for content in contents {
                        self.lost(content, gone, |c| lost_error(c, &error, &pack));
                    }
                }
                Work::Listed(folder, place) => {
                    self.outcome.child_done(self.sink.as_deref(), &folder);
                    place.free();
                }
                Work::Planned(read) => {
                    let targets = read.contents.iter().flat_map(|c| &c.targets);
                    targets.for_each(|target| self.slice_done(&target.slot));
                }
                Work::Announced(slot, place) => {
                    self.slice_done(&slot);
                    place.free();
                }
            }
            free = Instant::now();
        }
    }

    fn write_all(&self, mut bytes: PackBytes, decoder: &mut ContentDecoder) {
        let start = bytes.read.range.start;
        let pack = self.contents.index.pack(bytes.read.pack).clone();
        let mut contents = std::mem::take(&mut bytes.read.contents).into_iter().peekable();
        let mut own = Vec::new();
        let clock = &*self.outcome.tally.clock;
        let mut started = Instant::now();
        while let Some(content) = contents.next() {
            let range = content.location.range();
            let (from, to) = ((range.start - start) as usize, (range.end - start) as usize);
            // Opening decrypts in place; where two contents overlap, the first gets a copy of its own.
            let overlaps = contents.peek().is_some_and(|next| next.location.range().start < range.end);
            let Some(stored) = bytes.bytes.get_mut(from..to) else {
                self.lost(content, false, |_| Error::internal("a read is shorter than its range"));
                continue;
            };
            let stored = if overlaps {
                own.clear();
                own.extend_from_slice(stored);
                &mut own[..]
            } else {
                stored
            };
            Tally::add(&self.outcome.tally.needed_bytes, to.saturating_sub(from) as u64);
            let decoded = decoder.decode(&self.contents.opener, &content, stored);
            started = clock.add(Stage::Decode, started);
            match decoded {
                Ok(plain) => {
                    for target in &content.targets {
                        let written =
                            check_length(target, plain, &content).and_then(|()| self.write(target, plain));
                        match written {
                            Ok(()) => Tally::add(&self.outcome.tally.done_bytes, target.len),
                            Err(e) => target.slot.fail(e, false),
                        }
                        self.slice_done(&target.slot);
                    }
                }
                Err(e) => {
                    let e = Arc::new(e.in_pack(&pack));
                    for target in &content.targets {
                        target.slot.fail(e.again(), false);
                        self.slice_done(&target.slot);
                    }
                }
            }
            started = clock.add(Stage::Write, started);
        }
        bytes.recycle();
    }

    fn write(&self, target: &Target, plain: &[u8]) -> Result<()> {
        let slot = &target.slot;
        let Some(sink) = &self.sink else { return Ok(()) };
        if slot.has_failed() {
            return Ok(());
        }
        if self.outcome.stop.is_cancelled() {
            return Err(Error::cancelled());
        }
        let node = &slot.folder.node;
        if slot.kind == SlotKind::Symlink {
            if !target.whole {
                return Err(Error::new(ErrorKind::Corrupt, "the link's target is too long"));
            }
            let issues = sink.symlink(node, &slot.name, plain, &slot.attributes, slot.existing())?;
            self.outcome.unset(issues);
            return Ok(());
        }
        Tally::add(&self.outcome.tally.written_bytes, plain.len() as u64);
        if target.whole && slot.existing().is_none() {
            let issues = sink.write_new(node, &slot.name, &slot.attributes, plain)?;
            self.outcome.unset(issues);
            return Ok(());
        }
        let writing = {
            let mut open = slot.open.lock().unwrap_or_else(PoisonError::into_inner);
            match &*open {
                Some(writing) => Arc::clone(writing),
                None => {
                    let started = match slot.existing() {
                        Some(existing) => Writing::Patched(Patch::start(sink, node, &slot.name, existing)),
                        None => Writing::New(sink.create_large(node, &slot.name, slot.size)?),
                    };
                    let writing = Arc::new(started);
                    *open = Some(Arc::clone(&writing));
                    self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(slot));
                    writing
                }
            }
        };
        match &*writing {
            Writing::New(file) => file.write_at(target.start, plain)?,
            Writing::Patched(patch) => patch.write_at(target.start, plain)?,
        }
        Ok(())
    }

    /// Contents that cannot be had: kept for another try, or the failure of everything that wants them.
    fn lost(
        &self,
        content: WantedContent<Target>,
        gone: bool,
        error: impl Fn(&WantedContent<Target>) -> Error,
    ) {
        if gone && let Some(kept) = &self.gone {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < MAX_GONE {
                kept.push(content);
                return;
            }
        }
        for target in &content.targets {
            target.slot.fail(error(&content), false);
            self.slice_done(&target.slot);
        }
    }

    /// One slice less to wait for; the last one finishes the file.
    pub(crate) fn slice_done(&self, slot: &Arc<FileSlot>) {
        if !slot.one_done() {
            return;
        }
        let failure = slot.take_failure();
        let stopped = self.outcome.stop.is_cancelled();
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
        match result {
            Ok(bytes) => self.outcome.slot_done(slot, bytes),
            Err((e, mixed)) => {
                let mixed = mixed | writing.is_some_and(|w| w.abandon());
                let cancelled = stopped && e.kind() == ErrorKind::Cancelled;
                // What was merely not finished when the run was stopped is no failure of its own.
                if mixed && cancelled {
                    self.outcome.failed(slot.path(), &half_changed(), true);
                } else if !cancelled {
                    self.outcome.failed(slot.path(), &e, mixed);
                }
            }
        }
        self.outcome.child_done(self.sink.as_deref(), &slot.folder);
    }

    /// Length and attributes of a file whose slices are all in; gives its bytes.
    fn complete(&self, slot: &FileSlot, writing: Option<&Writing>) -> Result<u64> {
        use std::sync::atomic::Ordering::Relaxed;
        let bytes = slot.object_bytes.load(Relaxed) + slot.kept_bytes.load(Relaxed);
        let Some(sink) = &self.sink else { return Ok(bytes) };
        if slot.left_alone.load(Relaxed) {
            Tally::add(&self.outcome.tally.skipped, 1);
            return Ok(bytes);
        }
        let issues = match writing {
            Some(Writing::New(file)) => file.finish(bytes, &slot.attributes)?,
            Some(Writing::Patched(patch)) => patch.commit(bytes, &slot.attributes)?,
            // One that was fetched has everything; of one that was right already only the target is known.
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
        self.outcome.unset(issues);
        Ok(bytes)
    }

    /// Gives up what is half-written when a run was stopped: nothing of it stays.
    pub(crate) fn abandon_unfinished(&self) {
        let unfinished = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        for slot in unfinished {
            let writing = slot.open.lock().unwrap_or_else(PoisonError::into_inner).take();
            if writing.is_some_and(|w| w.abandon()) {
                self.outcome.failed(slot.path(), &half_changed(), true);
            }
        }
    }
}

fn half_changed() -> Error {
    Error::new(ErrorKind::Destination, "stopped while an existing file was being changed")
}
