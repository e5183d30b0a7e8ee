//! Compares entries with what the target has already: what is right stays, what differs goes on to the plan.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rekopia_format::ContentOpener;

use super::compare_disk::{DiskRange, Found, check_ranges};
use super::ledger::Ledger;
use super::options::{Overwrite, RestoreOptions};
use super::run_state::RunState;
use super::slot::{FileSlot, SlotKind};
use super::walked::Walked;
use crate::error::Error;
use crate::limits::cores;
use crate::repository::objects::Slice;
use crate::sink::{Existing, ExistingKind, Sink, Want};

/// Compares entries with the target on blocking threads.
#[derive(Clone)]
pub(crate) struct Reconcile {
    sink: Arc<Sink>,
    opener: Arc<ContentOpener>,
    overwrite: Overwrite,
    ledger: Arc<Ledger>,
    state: Arc<RunState>,
    threads: usize,
}

/// The difference below which Kopia's `--skip-existing` takes times for equal.
const SKIP_EXISTING_NS: u64 = 2_000_000_000;
/// Entries that one blocking task compares.
const ENTRIES_PER_TASK: usize = 64;
/// Bytes of slices that one blocking task hashes: contents of some megabytes side by side, and the next when one ends.
const BYTES_PER_TASK: u64 = 64 << 20;

impl Reconcile {
    pub(crate) fn new(
        sink: Arc<Sink>,
        opener: Arc<ContentOpener>,
        options: &RestoreOptions,
        ledger: Arc<Ledger>,
        state: Arc<RunState>,
    ) -> Self {
        let threads = cores();
        Reconcile { sink, opener, overwrite: options.overwrite, ledger, state, threads }
    }

    /// Looks at every entry of a batch; returns the batch with what is still to do.
    pub(crate) async fn run(&self, batch: Vec<Walked>) -> Vec<Walked> {
        use futures::StreamExt;
        let tasks = futures::stream::iter(parts(batch)).map(|part| {
            let this = self.clone();
            async move { tokio::task::spawn_blocking(move || this.compare_all(part)).await }
        });
        let mut done = Vec::new();
        let mut tasks = tasks.buffered(self.threads.max(1));
        while let Some(part) = tasks.next().await {
            match part {
                Ok(part) => done.extend(part),
                Err(_) => {
                    let error = Error::internal("a comparing thread panicked");
                    self.state.fail(&self.ledger, String::new(), &error, false);
                }
            }
        }
        done
    }

    /// Looks at all of `part` first, then hashes what has to be hashed together.
    fn compare_all(&self, mut part: Vec<Walked>) -> Vec<Walked> {
        let mut doubtful = Vec::new();
        for (number, item) in part.iter_mut().enumerate() {
            let Walked::Slices { slot, slices, .. } = item else { continue };
            // A run that was stopped writes nothing any more.
            if self.state.stop.is_cancelled() {
                break;
            }
            if slot.has_failed() {
                self.keep_instead(slot);
            } else if self.compare(slot, slices) == Verdict::Hash {
                doubtful.push(number);
            }
        }
        let mut right: Vec<(usize, usize)> = Vec::new();
        let ranges = doubtful.iter().flat_map(|&number| self.ranges(&part[number], number));
        check_ranges(self.opener.hash(), ranges, |place, found| {
            if found == Found::Right {
                right.push(place);
            }
        });
        right.sort_unstable();
        for of_entry in right.chunk_by(|a, b| a.0 == b.0) {
            if let Walked::Slices { slot, slices, .. } = &mut part[of_entry[0].0] {
                let (mut places, mut at) = (of_entry.iter().peekable(), 0..);
                let kept = slices.extract_if(.., |_| {
                    let this = at.next();
                    places.next_if(|(_, place)| Some(*place) == this).is_some()
                });
                let kept: Vec<Slice> = kept.collect();
                self.keep(slot, &kept);
            }
        }
        part
    }

    /// Returns the ranges of an entry that could be right, with their places.
    fn ranges<'a>(
        &'a self,
        item: &'a Walked,
        number: usize,
    ) -> impl Iterator<Item = DiskRange<(usize, usize)>> + 'a {
        let (slot, slices) = match item {
            Walked::Slices { slot, slices, .. } => (Some(slot), slices.as_slice()),
            _ => (None, &[][..]),
        };
        let file = slot.and_then(|slot| match slot.kind {
            SlotKind::File => self.sink.open_existing(&slot.folder.node, &slot.name).ok(),
            SlotKind::Symlink => self.sink.read_link(&slot.folder.node, &slot.name).ok(),
        });
        let file = file.map(Arc::new);
        slices.iter().enumerate().filter_map(move |(place, slice)| {
            // What was compressed as a whole is named by the hash of the compressed stream.
            let len = slice.len.filter(|_| !slice.compressed)?;
            let (start, content) = (slice.start, slice.content);
            Some(DiskRange { file: file.clone(), start, len, content, token: (number, place) })
        })
    }

    /// Keeps what is right without a look at its bytes, or returns what remains to be done.
    fn compare(&self, slot: &Arc<FileSlot>, slices: &mut Vec<Slice>) -> Verdict {
        let Some(existing) = slot.before.get_or_init(|| self.look(slot)) else {
            if slot.stays() {
                self.keep(slot, slices);
                slices.clear();
            }
            return Verdict::Done;
        };
        let keeps = match slot.kind {
            SlotKind::Symlink => {
                self.overwrite == Overwrite::Never
                    || existing.kind == ExistingKind::Symlink && self.overwrite == Overwrite::SkipExisting
            }
            SlotKind::File => {
                self.overwrite == Overwrite::Never
                    || existing.kind == ExistingKind::File && self.trusts(slot, existing)
            }
        };
        if keeps {
            slot.left_alone.store(self.leaves_alone(), Ordering::Relaxed);
            self.keep(slot, slices);
            slices.clear();
        }
        match slot.kind {
            SlotKind::File if !keeps && existing.kind == ExistingKind::File => Verdict::Hash,
            // The beginning of a target is another target.
            SlotKind::Symlink if !keeps && existing.kind == ExistingKind::Symlink => {
                let whole = slices.len() == 1 && slices[0].len == Some(existing.size);
                if whole { Verdict::Hash } else { Verdict::Done }
            }
            _ => Verdict::Done,
        }
    }

    /// Keeps what exists, where everything that exists is kept: then it does not matter that the snapshot's entry
    /// cannot be read.
    fn keep_instead(&self, slot: &FileSlot) {
        if self.overwrite == Overwrite::Never
            && (slot.before.get_or_init(|| self.look(slot)).is_some() || slot.stays())
        {
            slot.forgive();
            slot.left_alone.store(true, Ordering::Relaxed);
            slot.kept_bytes.store(slot.size, Ordering::Relaxed);
            slot.object_bytes.store(0, Ordering::Relaxed);
        }
    }

    fn look(&self, slot: &FileSlot) -> Option<Existing> {
        let want = Want { is_link: slot.kind == SlotKind::Symlink, may_clash: slot.may_clash };
        match self.sink.look(&slot.folder.node, &slot.name, want) {
            Ok(existing) => existing,
            Err(e) if e.is_kept() => {
                slot.left_alone.store(true, Ordering::Relaxed);
                None
            }
            Err(e) if e.is_protected() => {
                slot.protected.store(true, Ordering::Relaxed);
                None
            }
            Err(e) => {
                slot.fail(e.into(), false);
                None
            }
        }
    }

    /// Whether what is kept is not even given its attributes.
    fn leaves_alone(&self) -> bool {
        matches!(self.overwrite, Overwrite::SkipExisting | Overwrite::Never)
    }

    /// Whether the file is taken for right without a look at its bytes.
    fn trusts(&self, slot: &FileSlot, existing: &Existing) -> bool {
        let same_size = existing.size == slot.size;
        let apart = existing.attributes.mtime_ns.abs_diff(slot.attributes.mtime_ns);
        match self.overwrite {
            Overwrite::Always | Overwrite::Never => false,
            Overwrite::IfChanged => same_size && apart == 0,
            Overwrite::SkipExisting => same_size && apart < SKIP_EXISTING_NS,
        }
    }

    fn keep(&self, slot: &FileSlot, slices: &[Slice]) {
        let bytes: u64 = slices.iter().filter_map(|s| s.len).sum();
        slot.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ledger::add(&self.ledger.done_bytes, bytes);
        if slot.kind == SlotKind::File && !slot.protected.load(Ordering::Relaxed) {
            Ledger::add(&self.ledger.kept_bytes, bytes);
        }
    }
}

/// The decision about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The part of the entry that is left is to be fetched.
    Done,
    /// The bytes on the disk have to be hashed.
    Hash,
}

/// Cuts a batch into pieces of about equal work, in order.
fn parts(batch: Vec<Walked>) -> Vec<Vec<Walked>> {
    let mut parts = vec![Vec::new()];
    let (mut entries, mut bytes) = (0, 0);
    let mut add = |item: Walked, cost: u64| {
        if entries >= ENTRIES_PER_TASK || bytes >= BYTES_PER_TASK {
            parts.push(Vec::new());
            (entries, bytes) = (0, 0);
        }
        entries += 1;
        bytes += cost;
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    };
    for item in batch {
        match item {
            Walked::Slices { slot, slices, last } => {
                let mut rest = slices;
                while rest.iter().filter_map(|s| s.len).sum::<u64>() > BYTES_PER_TASK && rest.len() > 1 {
                    let mut sum = 0;
                    let cut = rest
                        .iter()
                        .take_while(|s| {
                            sum += s.len.unwrap_or(0);
                            sum <= BYTES_PER_TASK
                        })
                        .count()
                        .max(1);
                    let later = rest.split_off(cut);
                    let some = Walked::Slices { slot: Arc::clone(&slot), slices: rest, last: false };
                    add(some, BYTES_PER_TASK);
                    rest = later;
                }
                let cost = rest.iter().filter_map(|s| s.len).sum();
                add(Walked::Slices { slot, slices: rest, last }, cost);
            }
            other => add(other, 0),
        }
    }
    parts
}
