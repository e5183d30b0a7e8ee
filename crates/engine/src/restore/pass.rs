//! One pass over a tree: wires the stages and keeps them fed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekopia_blob::{BlobError, BlobErrorKind};
use rekopia_format::directory::Entry;
use rekopia_format::entry_name::EntryName;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::cost::CostModel;
use super::credits::Credits;
use super::fetch::{self, Fetched, Target};
use super::filter::Filter;
use super::finish::Outcome;
use super::options::RestoreOptions;
use super::plan::{PackRead, PlannedSlice, WantedContent, plan};
use super::slot::{FileSlot, Folder};
use super::walk::{Walk, WalkOptions, Walked};
use super::window::{Planner, packed_bytes};
use super::work::{Again, Waiting, Work, Workshop};
use super::write::Writer;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::repository::listed_packs::ListedPacks;
use crate::sink::Sink;

/// The tree of a pass: a directory that becomes the root, or one entry in it.
#[derive(Clone)]
pub(crate) enum Tree {
    Directory { folder: Arc<Folder>, root: Entry },
    Single { folder: Arc<Folder>, name: EntryName, entry: Entry },
}

/// Plans that wait for fetch.
const QUEUED_READS: usize = 2;

/// Everything that a pass needs.
pub(crate) struct Pass<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) options: &'a RestoreOptions,
    pub(crate) sink: Option<Arc<Sink>>,
    /// The target of a dry run, which is only looked at.
    pub(crate) view: Option<Arc<Sink>>,
    /// The packs as the storage lists them, where that had to be known.
    pub(crate) packs: Option<Arc<ListedPacks>>,
    pub(crate) outcome: Arc<Outcome>,
}

impl Pass<'_> {
    /// Restores (or, without a sink, verifies) everything in `tree`.
    pub(crate) async fn run(&self, tree: Tree) -> Result<()> {
        let contents = match &self.packs {
            Some(packs) => packs.contents.clone(),
            None => self.repository.contents(),
        };
        let costs = self.costs(&contents);
        let (walking, walked) = start_walk(&contents, self.options, &self.outcome, tree)?;
        let planner = async |reads: &mpsc::Sender<PackRead<Target>>,
                             work: &crossbeam_channel::Sender<Work>| {
            let planner = Planner {
                options: self.options,
                sink: self.sink.as_ref().or(self.view.as_ref()),
                packs: self.packs.as_deref(),
                outcome: &self.outcome,
                contents: &contents,
                costs: &costs,
                reads,
                work,
                window: Vec::new(),
                waiting: Waiting::places(),
            };
            planner.run(walked).await
        };
        // A file may be begun in the first round and finished in the second.
        let unfinished = Arc::default();
        let again = self.stages(&contents, &costs, &unfinished, true, planner).await?;
        walking.await.map_err(|_| Error::internal("the walk panicked"))?;
        if again.contents.is_empty() {
            return Ok(());
        }
        // Maintenance may have moved contents since the index was read: look once more, then it is damage.
        if again.is_moved
            && let Err(e) = self.repository.reload_index().await
        {
            self.outcome.tally.warn(format!("the index could not be read once more: {}", e.chain()));
        }
        let (old, contents) = (contents, self.repository.contents());
        let second = async |reads: &mpsc::Sender<PackRead<Target>>,
                            work: &crossbeam_channel::Sender<Work>| {
            let slices = relocated(&old, &contents, again.contents, work);
            let options = costs.plan_options(packed_bytes(&slices));
            for read in plan(slices, options) {
                if reads.send(read).await.is_err() {
                    break;
                }
            }
        };
        self.stages(&contents, &costs, &unfinished, false, second).await.map(drop)
    }

    /// Runs fetch and the workers for what `feed` plans; gives the contents to try once more.
    async fn stages(
        &self,
        contents: &Contents,
        costs: &CostModel,
        unfinished: &Arc<Mutex<Vec<Arc<FileSlot>>>>,
        may_retry: bool,
        feed: impl AsyncFnOnce(&mpsc::Sender<PackRead<Target>>, &crossbeam_channel::Sender<Work>),
    ) -> Result<Again> {
        let shop = Arc::new(Workshop {
            contents: contents.clone(),
            writer: Writer {
                sink: self.sink.clone(),
                view: self.view.clone(),
                outcome: Arc::clone(&self.outcome),
                unfinished: Arc::clone(unfinished),
            },
            hash: self.options.hash,
            again: may_retry.then(Default::default),
        });
        let (work, queue) = crossbeam_channel::unbounded();
        let threads = match self.options.threads {
            // One more than cores where a write may wait.
            0 => {
                let cores = std::thread::available_parallelism().map_or(2, |n| n.get());
                cores + usize::from(self.sink.is_some())
            }
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
            shop.writer.abandon_unfinished();
        }
        match joined {
            Ok(true) => Ok(shop.again.as_ref().map_or_else(Again::default, |again| {
                std::mem::take(&mut *again.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
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

/// Begins to walk `tree`; what it finds comes through the channel.
pub(crate) fn start_walk(
    contents: &Contents,
    options: &RestoreOptions,
    outcome: &Outcome,
    tree: Tree,
) -> Result<(JoinHandle<()>, mpsc::Receiver<Vec<Walked>>)> {
    let (found, walked) = mpsc::channel(8);
    let walk_options = WalkOptions {
        filter: Filter::new(&options.include, &options.exclude)?,
        max_depth: options.max_depth,
        read_ahead_bytes: options.memory_bytes / 4,
        clock: Arc::clone(&outcome.tally.clock),
        cancel: options.cancel.also(&outcome.stop),
    };
    let walk = Walk::new(contents.clone(), walk_options, found);
    let walking = tokio::spawn(async move {
        match tree {
            Tree::Directory { folder, root } => walk.run_directory(folder, &root).await,
            Tree::Single { folder, name, entry } => walk.run_single(folder, name, &entry).await,
        }
    });
    Ok((walking, walked))
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
