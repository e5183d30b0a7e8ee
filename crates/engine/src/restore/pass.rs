//! One pass over a tree: wires the stages and keeps them fed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekopia_blob::{BlobError, BlobErrorKind};
use rekopia_format::directory::Entry;
use rekopia_format::entry_name::EntryName;
use tokio::sync::{Semaphore, mpsc};

use super::clock::Stage;
use super::cost::CostModel;
use super::credits::Credits;
use super::fetch::{self, Fetched, Target};
use super::filter::Filter;
use super::finish::Outcome;
use super::options::RestoreOptions;
use super::plan::{PackRead, PlanOptions, PlannedSlice, WantedContent, plan};
use super::reconcile::Reconcile;
use super::report::Tally;
use super::slot::{FileSlot, Folder};
use super::walk::{Walk, WalkOptions, Walked};
use super::work::{Waiting, Work, Workshop};
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::repository::objects::Slice;
use crate::sink::Sink;

/// The tree of a pass: a directory that becomes the root, or one entry in it.
#[derive(Clone)]
pub(crate) enum Tree {
    Directory { folder: Arc<Folder>, root: Entry },
    Single { folder: Arc<Folder>, name: EntryName, entry: Entry },
}

/// Bytes of the budget that pay for one slice of a window: a few windows are on their way at once.
const BYTES_PER_SLICE: u64 = 8192;
/// Entries without data that wait for the workers.
const WAITING_ENTRIES: usize = 4096;
/// A window that goes out early is sparse: what lies in its gaps is mostly wanted by the next one.
const EARLY_GAP: u64 = 256;
/// Plans that wait for fetch.
const QUEUED_READS: usize = 2;

/// Everything that a pass needs.
pub(crate) struct Pass<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) options: &'a RestoreOptions,
    pub(crate) sink: Option<Arc<Sink>>,
    pub(crate) outcome: Arc<Outcome>,
}

impl Pass<'_> {
    /// Restores (or, without a sink, verifies) everything in `tree`.
    pub(crate) async fn run(&self, tree: Tree) -> Result<()> {
        let contents = self.repository.contents();
        let costs = self.costs(&contents);
        let (found, walked) = mpsc::channel(8);
        let walk_options = WalkOptions {
            filter: Filter::new(&self.options.include, &self.options.exclude)?,
            max_depth: self.options.max_depth,
            read_ahead_bytes: self.options.memory_bytes / 4,
            clock: Arc::clone(&self.outcome.tally.clock),
            cancel: self.outcome.stop.clone(),
        };
        let walk = Walk::new(contents.clone(), walk_options, found);
        let walking = tokio::spawn(async move {
            match tree {
                Tree::Directory { folder, root } => walk.run_directory(folder, &root).await,
                Tree::Single { folder, name, entry } => walk.run_single(folder, name, &entry).await,
            }
        });
        let planner = async |reads: &mpsc::Sender<PackRead<Target>>,
                             work: &crossbeam_channel::Sender<Work>| {
            let waiting = Arc::new(Semaphore::new(WAITING_ENTRIES));
            let window = Window::default();
            Planner { pass: self, contents: &contents, costs: &costs, reads, work, window, waiting }
                .run(walked)
                .await
        };
        // A file may be begun in the first round and finished in the second.
        let unfinished = Arc::default();
        let gone = self.stages(&contents, &costs, &unfinished, true, planner).await?;
        walking.await.map_err(|_| Error::internal("the walk panicked"))?;
        if gone.is_empty() {
            return Ok(());
        }
        // Maintenance may have moved contents since the index was read: look once more, then it is damage.
        if let Err(e) = self.repository.reload_index().await {
            self.outcome.tally.warn(format!("the index could not be read once more: {}", e.chain()));
        }
        let (old, contents) = (contents, self.repository.contents());
        let again = async |reads: &mpsc::Sender<PackRead<Target>>, work: &crossbeam_channel::Sender<Work>| {
            let slices = relocated(&old, &contents, gone, work);
            let options = costs.plan_options(packed_bytes(&slices));
            for read in plan(slices, options) {
                if reads.send(read).await.is_err() {
                    break;
                }
            }
        };
        self.stages(&contents, &costs, &unfinished, false, again).await.map(drop)
    }

    /// Runs fetch and the workers for what `feed` plans; gives the contents whose packs were gone.
    async fn stages(
        &self,
        contents: &Contents,
        costs: &CostModel,
        unfinished: &Arc<Mutex<Vec<Arc<FileSlot>>>>,
        may_retry: bool,
        feed: impl AsyncFnOnce(&mpsc::Sender<PackRead<Target>>, &crossbeam_channel::Sender<Work>),
    ) -> Result<Vec<WantedContent<Target>>> {
        let shop = Arc::new(Workshop {
            contents: contents.clone(),
            sink: self.sink.clone(),
            outcome: Arc::clone(&self.outcome),
            hash: self.options.hash,
            gone: may_retry.then(Default::default),
            unfinished: Arc::clone(unfinished),
        });
        let (work, queue) = crossbeam_channel::unbounded();
        let threads = match self.options.threads {
            0 => std::thread::available_parallelism().map_or(2, |n| n.get()) + 1,
            n => n,
        };
        let mut workers = Vec::with_capacity(threads);
        for i in 0..threads {
            let (shop, queue) = (Arc::clone(&shop), queue.clone());
            let worker =
                std::thread::Builder::new().name(format!("rekopia-{i}")).spawn(move || shop.work(&queue));
            workers.push(worker.map_err(|e| Error::internal("cannot start a thread").because(e))?);
        }
        drop(queue);

        let credits = Credits::new(costs.flying_bytes());
        let (reads, planned) = mpsc::channel(QUEUED_READS);
        let fetch_work = work.clone();
        let stop = self.outcome.stop.clone();
        let clock = &self.outcome.tally.clock;
        let fetching = fetch::fetch(contents, planned, &credits, costs, clock, &stop, move |fetched| {
            let _ = fetch_work.send(Work::Fetched(fetched));
            clock.queued(fetch_work.len());
        });
        let feeding = async {
            feed(&reads, &work).await;
            drop((reads, work));
        };
        let watch = self.watch_cancel();
        tokio::select! {
            ((), ()) = async { tokio::join!(fetching, feeding) } => {}
            () = watch => {}
        }
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().all(|w| w.join().is_ok())).await;
        if self.outcome.stop.is_cancelled() {
            shop.abandon_unfinished();
        }
        match joined {
            Ok(true) => Ok(shop.gone.as_ref().map_or_else(Vec::new, |gone| {
                std::mem::take(&mut *gone.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
            })),
            _ => Err(Error::internal("a worker panicked")),
        }
    }

    /// Passes the caller's wish to stop on to the stages; never ends by itself.
    async fn watch_cancel(&self) {
        loop {
            if self.options.cancel.is_cancelled() {
                self.outcome.stop.cancel();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn costs(&self, contents: &Contents) -> CostModel {
        CostModel::new(contents.blobs.traits(), self.data_bytes(), self.options.parallel)
    }

    /// Bytes of the budget for packs.
    fn data_bytes(&self) -> u64 {
        self.options.memory_bytes / 8 * 5
    }
}

/// Collects a window of the walk and turns it into pack reads.
struct Planner<'a> {
    pass: &'a Pass<'a>,
    contents: &'a Contents,
    costs: &'a CostModel,
    reads: &'a mpsc::Sender<PackRead<Target>>,
    work: &'a crossbeam_channel::Sender<Work>,
    window: Window,
    /// Bounds what waits for the workers without holding data.
    waiting: Arc<Semaphore>,
}

#[derive(Default)]
struct Window {
    slices: Vec<PlannedSlice<Target>>,
}

impl Planner<'_> {
    async fn run(mut self, mut walked: mpsc::Receiver<Vec<Walked>>) {
        let reconcile = self.pass.sink.as_ref().filter(|s| !s.is_fresh()).map(|sink| {
            Reconcile::new(
                Arc::clone(sink),
                Arc::clone(&self.contents.opener),
                self.pass.options,
                Arc::clone(&self.pass.outcome),
            )
        });
        let window_slices =
            (self.pass.options.memory_bytes / 4 / BYTES_PER_SLICE).clamp(512, 65_536) as usize;
        loop {
            let next = match tokio::time::timeout(self.costs.patience(), walked.recv()).await {
                Ok(next) => next,
                // The walk is behind: what there is keeps fetch busy meanwhile.
                Err(_) => {
                    if self.reads.capacity() == self.reads.max_capacity() {
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
                    self.pass.outcome.tally.clock.add(Stage::Reconcile, started);
                    batch
                }
                None => batch,
            };
            for item in batch {
                self.take(item).await;
            }
            if self.window.slices.len() >= window_slices {
                self.dispatch(u64::MAX).await;
            }
        }
        self.dispatch(u64::MAX).await;
    }

    async fn take(&mut self, item: Walked) {
        let outcome = Arc::clone(&self.pass.outcome);
        match item {
            Walked::Folder(_) => Tally::add(&outcome.tally.total_entries, 1),
            Walked::Listed { folder, .. } => self.send(|place| Work::Listed(folder, place)).await,
            Walked::Failed { path, error } => outcome.failed(path, &error, false),
            Walked::Slices { slot, slices, last } => self.take_slices(&slot, slices, last).await,
        }
    }

    async fn take_slices(&mut self, slot: &Arc<FileSlot>, slices: Vec<Slice>, last: bool) {
        let outcome = Arc::clone(&self.pass.outcome);
        let tally = &outcome.tally;
        // Reconcile has counted what it kept; the rest is on its way.
        let kept = slot.kept_bytes.load(Ordering::Relaxed);
        let bytes: u64 = slices.iter().filter_map(|s| s.len).sum();
        let before = slot.object_bytes.fetch_add(bytes, Ordering::Relaxed) + kept;
        let total = before + bytes;
        if last {
            Tally::add(&tally.total_entries, 1);
            Tally::add(&tally.total_bytes, total);
            if total != slot.size && !slot.has_failed() && !slot.is_checkpointed() {
                let what = format!("the object has {total} bytes, the entry records {}", slot.size);
                slot.fail(Error::new(ErrorKind::Corrupt, what), false);
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
            match self.contents.locate(&slice.content) {
                Ok(location) => {
                    let target = Target {
                        slot: Arc::clone(slot),
                        start: slice.start,
                        len: slice.len.unwrap_or(0),
                        compressed: slice.compressed,
                        whole,
                    };
                    self.window.slices.push(PlannedSlice { content: slice.content, location, target });
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
        self.send(|place| Work::Announced(Arc::clone(slot), place)).await;
    }

    /// Hands an entry without data to the workers, as soon as not too many wait already.
    async fn send(&self, work: impl FnOnce(Waiting) -> Work) {
        if let Ok(permit) = Arc::clone(&self.waiting).acquire_owned().await {
            let _ = self.work.send(work(Waiting::new(permit)));
        }
    }

    /// Plans the window; `gap` limits what is read along.
    async fn dispatch(&mut self, gap: u64) {
        let slices = std::mem::take(&mut self.window.slices);
        if slices.is_empty() {
            return;
        }
        let options = self.costs.plan_options(packed_bytes(&slices));
        let started = Instant::now();
        let reads = plan(slices, PlanOptions { gap: options.gap.min(gap), ..options });
        self.pass.outcome.tally.clock.add(Stage::Plan, started);
        for read in reads {
            if self.pass.options.dry_run {
                self.pass.outcome.tally.plan(read.pack.0, read.range.end - read.range.start);
                let _ = self.work.send(Work::Planned(read));
            } else if self.reads.send(read).await.is_err() {
                return;
            }
        }
    }
}

fn packed_bytes(slices: &[PlannedSlice<Target>]) -> u64 {
    slices.iter().map(|slice| u64::from(slice.location.packed.packed_len)).sum()
}

/// The same wants, at the places that a fresh index names.
fn relocated(
    old: &Contents,
    fresh: &Contents,
    gone: Vec<WantedContent<Target>>,
    work: &crossbeam_channel::Sender<Work>,
) -> Vec<PlannedSlice<Target>> {
    let mut slices = Vec::new();
    for wanted in gone {
        let (kind, why) = match fresh.index.find(&wanted.content) {
            Ok(Some(location)) => {
                let place = |target| PlannedSlice { content: wanted.content, location, target };
                slices.extend(wanted.targets.into_iter().map(place));
                continue;
            }
            Ok(None) => (BlobErrorKind::NotFound, "its contents are not in the index any more".into()),
            Err(e) => (BlobErrorKind::Unavailable, e.chain()),
        };
        let pack = old.index.pack(wanted.location.pack).clone();
        let error = Arc::new(BlobError::new(kind, why).of(&pack));
        let lost = Fetched::Lost { contents: vec![wanted], gone: false, error, pack };
        let _ = work.send(Work::Fetched(lost));
    }
    slices
}
