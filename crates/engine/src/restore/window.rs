//! Turns windows of the walk into pack reads: what is compared, located and planned together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};

use super::clock::Stage;
use super::cost::CostModel;
use super::destination::Destination;
use super::fetch::Target;
use super::ledger::Ledger;
use super::options::RestoreOptions;
use super::plan::{PackRead, PlanOptions, PlannedSlice, plan};
use super::reconcile::Reconcile;
use super::run_state::RunState;
use super::slot::{FileSlot, SlotKind, wrong_length};
use super::walked::Walked;
use super::workers::{Job, WindowPermit};
use crate::error::{Error, ErrorKind};
use crate::repository::contents::Contents;
use crate::repository::listed_packs::ListedPacks;
use crate::repository::objects::Slice;

/// Bytes of the budget that pay for one slice of a window: a few windows are on their way at once.
const BYTES_PER_SLICE: u64 = 8192;
/// Bytes of a gap that a window which goes out early reads along: such a window is sparse, and what lies in its gaps is
/// mostly wanted by the next one.
const EARLY_GAP: u64 = 256;

/// Collects windows and turns them into pack reads.
pub(crate) struct Planner<'a> {
    pub(crate) options: &'a RestoreOptions,
    pub(crate) destination: &'a Destination,
    /// The packs as the storage lists them, where that had to be known.
    pub(crate) packs: Option<&'a ListedPacks>,
    pub(crate) ledger: &'a Arc<Ledger>,
    pub(crate) state: &'a Arc<RunState>,
    pub(crate) contents: &'a Contents,
    pub(crate) costs: &'a CostModel,
    pub(crate) reads: &'a mpsc::Sender<PackRead<Target>>,
    pub(crate) jobs: &'a crossbeam_channel::Sender<Job>,
    /// Slices of the window.
    pub(crate) window: Vec<PlannedSlice<Target>>,
    /// Bounds what waits for the workers without holding data.
    pub(crate) permits: Arc<Semaphore>,
}

impl Planner<'_> {
    /// Takes what the walk finds, until it ends.
    pub(crate) async fn run(mut self, mut walked: mpsc::Receiver<Vec<Walked>>) {
        let reconcile = self.destination.target().filter(|s| !s.is_fresh()).map(|sink| {
            Reconcile::new(
                Arc::clone(sink),
                Arc::clone(&self.contents.opener),
                self.options,
                Arc::clone(self.ledger),
                Arc::clone(self.state),
            )
        });
        let window_slices = (self.options.memory_bytes / 4 / BYTES_PER_SLICE).clamp(512, 65_536) as usize;
        loop {
            let next = match tokio::time::timeout(self.costs.patience(), walked.recv()).await {
                Ok(next) => next,
                // The walk is behind: what there is keeps fetch busy meanwhile. A dry run fetches nothing, and is to be the
                // same each time.
                Err(_) => {
                    if !self.is_dry() && self.reads.capacity() == self.reads.max_capacity() {
                        self.dispatch(EARLY_GAP).await;
                    }
                    walked.recv().await
                }
            };
            let Some(batch) = next else { break };
            let started = Instant::now();
            let batch = match &reconcile {
                Some(reconcile) => {
                    let batch = reconcile.run(batch).await;
                    self.ledger.clock.add(Stage::Reconcile, started);
                    batch
                }
                None => batch,
            };
            for item in batch {
                self.take(item).await;
            }
            if self.window.len() >= window_slices {
                self.dispatch(u64::MAX).await;
            }
        }
        self.dispatch(u64::MAX).await;
    }

    async fn take(&mut self, item: Walked) {
        let ledger = self.ledger;
        match item {
            Walked::Folder(folder) => {
                Ledger::add(&ledger.total_entries, 1);
                let is_match = folder.parent().is_some() && folder.node.is_wanted();
                Ledger::add(&ledger.matched, u64::from(is_match));
            }
            Walked::Listed { folder, whole } => {
                if whole {
                    folder.node.set_listed_whole();
                }
                self.send(|permit| Job::Listed(folder, permit)).await;
            }
            Walked::Failed { path, error } => {
                Ledger::add(&ledger.matched, 1);
                self.state.fail(ledger, path, &error, false);
            }
            Walked::Renamed { path, restored_as, is_usual } => {
                let what = format!("no file can have this name; its data goes by {:?}", restored_as.as_str());
                // A verification loses nothing by it.
                if is_usual || self.destination.target().is_none() {
                    ledger.warn(format!("{path}: {what}"));
                } else {
                    self.state.fail(ledger, path, &Error::new(ErrorKind::Corrupt, what), false);
                }
            }
            Walked::Slices { slot, slices, last } => self.take_slices(&slot, slices, last).await,
        }
    }

    async fn take_slices(&mut self, slot: &Arc<FileSlot>, slices: Vec<Slice>, last: bool) {
        let ledger = self.ledger;
        // Reconcile has counted what it kept; the rest is on its way.
        let kept = slot.kept_bytes.load(Ordering::Relaxed);
        let bytes: u64 = slices.iter().filter_map(|s| s.len).sum();
        let before = slot.object_bytes.fetch_add(bytes, Ordering::Relaxed) + kept;
        let total = before + bytes;
        if last {
            Ledger::add(&ledger.total_entries, 1);
            Ledger::add(&ledger.total_files, u64::from(slot.kind == SlotKind::File));
            Ledger::add(&ledger.matched, 1);
            Ledger::add(&ledger.total_bytes, total);
            if total != slot.size && !slot.has_failed() && !slot.is_checkpointed() {
                slot.fail(wrong_length(total, slot.size), false);
            }
        }
        if slot.has_failed() {
            if last {
                self.announce(slot).await;
            }
            return;
        }
        let whole = last && before == 0 && slices.len() == 1 && bytes > 0;
        let mut planned = 0;
        for slice in slices {
            // An empty content needs no read: there is nothing in it.
            if slice.len == Some(0) {
                continue;
            }
            slot.opaque.fetch_or(slice.compressed, Ordering::Relaxed);
            let located = self.contents.locate(&slice.content).and_then(|location| {
                self.packs.map_or(Ok(()), |packs| packs.check(&slice.content, &location)).map(|()| location)
            });
            match located {
                Ok(location) => {
                    let target = Target {
                        slot: Arc::clone(slot),
                        start: slice.start,
                        len: slice.len.unwrap_or(0),
                        compressed: slice.compressed,
                        whole,
                    };
                    self.window.push(PlannedSlice { content: slice.content, location, target });
                    planned += 1;
                }
                Err(e) => slot.fail(e, false),
            }
        }
        if whole && planned == 1 {
            // The only slice stands for the announcement too: a small file costs one countdown.
            return;
        }
        slot.expect(planned);
        if last {
            self.announce(slot).await;
        }
    }

    async fn announce(&self, slot: &Arc<FileSlot>) {
        self.send(|permit| Job::Announced(Arc::clone(slot), permit)).await;
    }

    /// Hands an entry without data to the workers, as soon as not too many wait already.
    async fn send(&self, job: impl FnOnce(WindowPermit) -> Job) {
        if let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            let _ = self.jobs.send(job(WindowPermit::new(permit)));
        }
    }

    /// Whether what is planned is only counted.
    fn is_dry(&self) -> bool {
        self.destination.compared().is_some()
    }

    /// Plans the window; `gap` limits what is read along.
    async fn dispatch(&mut self, gap: u64) {
        let slices = std::mem::take(&mut self.window);
        if slices.is_empty() {
            return;
        }
        let options = self.costs.plan_options(packed_bytes(&slices));
        let started = Instant::now();
        let reads = plan(slices, PlanOptions { gap: options.gap.min(gap), ..options });
        self.ledger.clock.add(Stage::Plan, started);
        let is_dry = self.is_dry();
        for read in reads {
            if is_dry {
                self.ledger.plan(&read);
                let _ = self.jobs.send(Job::Planned(read));
            } else if self.reads.send(read).await.is_err() {
                return;
            }
        }
    }
}

/// Returns the bytes of packs that slices need.
pub(crate) fn packed_bytes(slices: &[PlannedSlice<Target>]) -> u64 {
    slices.iter().map(|slice| u64::from(slice.location.packed.packed_len)).sum()
}
