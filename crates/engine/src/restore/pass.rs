//! Makes a pass over a tree: wires the stages and keeps them fed.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::FusedFuture;
use rekopia_blob::{BlobError, BlobErrorKind};
use tokio::sync::mpsc;

use super::cost::CostModel;
use super::credits::Credits;
use super::destination::Destination;
use super::fetch::{self, Fetched, Target};
use super::finish::Finisher;
use super::ledger::Ledger;
use super::options::RestoreOptions;
use super::plan::{PackRead, PlannedSlice, WantedContent, plan};
use super::run_state::RunState;
use super::slot::FileSlot;
use super::tree::Tree;
use super::walking::start_walk;
use super::window::{Planner, packed_bytes};
use super::worker_threads::WorkerThreads;
use super::workers::{Again, Job, WindowPermit, Workers};
use super::write::Writer;
use crate::error::{Error, Result};
use crate::limits::cores;
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::repository::listed_packs::ListedPacks;

/// Plans that wait for fetch.
const QUEUED_READS: usize = 2;

/// Time that writes get which have begun when the caller asks to stop.
pub(crate) const WRITES_END: Duration = Duration::from_secs(2);
/// Time that putting back modes gets, from the same moment on.
pub(crate) const MODES_CLOSE: Duration = Duration::from_millis(2300);

/// Everything that a pass needs.
pub(crate) struct Pass<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) options: &'a RestoreOptions,
    pub(crate) destination: Destination,
    /// The packs as the storage lists them, where that had to be known.
    pub(crate) packs: Option<Arc<ListedPacks>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) state: Arc<RunState>,
}

impl Pass<'_> {
    /// Takes everything in `tree` to its destination.
    pub(crate) async fn run(&self, tree: Tree) -> Result<()> {
        let contents = match &self.packs {
            Some(packs) => packs.contents.clone(),
            None => self.repository.contents(),
        };
        let costs = costs(self.options, &contents);
        let (walking, walked) = start_walk(
            &contents,
            self.options,
            &self.ledger.clock,
            self.options.cancel.also(&self.state.stop),
            tree,
        )?;
        let planner = async |reads: &mpsc::Sender<PackRead<Target>>,
                             jobs: &crossbeam_channel::Sender<Job>| {
            let planner = Planner {
                options: self.options,
                destination: &self.destination,
                packs: self.packs.as_deref(),
                ledger: &self.ledger,
                state: &self.state,
                contents: &contents,
                costs: &costs,
                reads,
                jobs,
                window: Vec::new(),
                permits: WindowPermit::of_a_pass(),
            };
            planner.run(walked).await
        };
        // A file may be begun in the first round and finished in the second.
        let unfinished = Arc::default();
        let again = self.stages(&contents, &costs, &unfinished, true, planner).await?;
        walking.end().await?;
        if again.contents.is_empty() {
            return Ok(());
        }
        // Maintenance may have moved contents since the index was read: look once more, then it is damage.
        let reloading = async { if again.is_moved { self.repository.reload_index().await } else { Ok(()) } };
        let Some(reloaded) = self.options.cancel.run_until_cancelled(reloading).await else { return Ok(()) };
        if let Err(e) = reloaded {
            self.ledger.warn(format!("the index could not be read once more: {}", e.chain()));
        }
        let (old, contents) = (contents, self.repository.contents());
        let second = async |reads: &mpsc::Sender<PackRead<Target>>, jobs: &crossbeam_channel::Sender<Job>| {
            let slices = relocated(&old, &contents, again.contents, jobs);
            let options = costs.plan_options(packed_bytes(&slices));
            for read in plan(slices, options) {
                if reads.send(read).await.is_err() {
                    break;
                }
            }
        };
        self.stages(&contents, &costs, &unfinished, false, second).await.map(drop)
    }

    /// Runs fetch and the workers for what `feed` plans; returns the contents to try once more. A run that is stopped
    /// drops its reads and waits for its writes, for [`WRITES_END`] when it was the caller who stopped it.
    async fn stages(
        &self,
        contents: &Contents,
        costs: &CostModel,
        unfinished: &Arc<Mutex<Vec<Arc<FileSlot>>>>,
        may_retry: bool,
        feed: impl AsyncFnOnce(&mpsc::Sender<PackRead<Target>>, &crossbeam_channel::Sender<Job>),
    ) -> Result<Again> {
        let workers = Arc::new(self.workers(contents, unfinished, may_retry));
        let (jobs, queue) = crossbeam_channel::unbounded();
        let writes = self.destination.written().is_some();
        let threads = WorkerThreads::start(threads(self.options, writes), &workers, queue);

        let credits = Credits::new(costs.flying_bytes());
        let (reads, planned) = mpsc::channel(QUEUED_READS);
        let fetched_jobs = jobs.clone();
        let clock = &self.ledger.clock;
        let fetching = fetch::fetch(contents, planned, &credits, costs, clock, move |fetched| {
            let _ = fetched_jobs.send(Job::Fetched(fetched));
            clock.queued(fetched_jobs.len());
        });
        let feeding = async {
            feed(&reads, &jobs).await;
            drop((reads, jobs));
        };
        let mut feeding = pin!(feeding.fuse());
        // However this ends, the reads in flight are dropped.
        tokio::select! {
            ((), ()) = async { tokio::join!(fetching, &mut feeding) } => {}
            () = self.stopped() => {}
            () = threads.help() => {}
        }
        match self.end(feeding, threads, &workers).await {
            Some(false) => Err(Error::internal("a worker panicked")),
            None => {
                let what = "a write had not ended two seconds after the run was stopped: the target hangs";
                self.ledger.warn(what.into());
                Ok(Again::default())
            }
            Some(true) if self.state.stop.is_cancelled() => Ok(Again::default()),
            Some(true) => Ok(workers.again.as_ref().map_or_else(Again::default, |again| {
                std::mem::take(&mut *again.lock().unwrap_or_else(PoisonError::into_inner))
            })),
        }
    }

    /// Waits for what is being compared and written; returns whether no thread panicked, `None` when the target hangs.
    async fn end(
        &self,
        feeding: impl FusedFuture<Output = ()> + Unpin,
        threads: WorkerThreads<Workers>,
        workers: &Arc<Workers>,
    ) -> Option<bool> {
        let ending = async {
            // The walk and the receiver of its plans are gone: what is being compared is all that it waits for.
            if !feeding.is_terminated() {
                tokio::select! {
                    () = feeding => {}
                    () = threads.help() => {}
                }
            }
            let nobody_panicked = threads.finish().await;
            if self.state.stop.is_cancelled() {
                let workers = Arc::clone(workers);
                let _ = tokio::task::spawn_blocking(move || workers.abandon_unfinished()).await;
            }
            nobody_panicked
        };
        tokio::select! {
            ended = self.options.cancel.run_with_grace(WRITES_END, ending) => ended,
            () = async { self.stopped().await; std::future::pending().await } => None,
        }
    }

    fn workers(
        &self,
        contents: &Contents,
        unfinished: &Arc<Mutex<Vec<Arc<FileSlot>>>>,
        may_retry: bool,
    ) -> Workers {
        Workers {
            contents: contents.clone(),
            writer: Writer {
                destination: self.destination.clone(),
                ledger: Arc::clone(&self.ledger),
                stop: self.state.stop.clone(),
                unfinished: Arc::clone(unfinished),
            },
            finisher: Finisher::new(
                self.destination.clone(),
                &self.ledger,
                &self.state,
                self.options.strict_attributes,
            ),
            hash: self.options.hash,
            again: may_retry.then(Default::default),
        }
    }

    /// Waits until the run is to stop, and passes the caller's wish on to the stages.
    async fn stopped(&self) {
        self.options.cancel.also(&self.state.stop).cancelled().await;
        self.state.stop.cancel();
    }
}

/// Returns how many threads there are to be in a pass that writes, or only reads.
pub(super) fn threads(options: &RestoreOptions, writes: bool) -> usize {
    match options.threads {
        // With one more than cores, a core has work while a write waits.
        0 => cores() + usize::from(writes),
        n => n,
    }
}

/// Returns a model of what requests cost, within the part of the budget that is for packs.
pub(super) fn costs(options: &RestoreOptions, contents: &Contents) -> CostModel {
    CostModel::new(contents.blobs.profile(), options.memory_bytes / 8 * 5, options.parallel)
}

/// Returns what was wanted and not found, at the places that a fresh index names.
fn relocated(
    old: &Contents,
    fresh: &Contents,
    gone: Vec<WantedContent<Target>>,
    jobs: &crossbeam_channel::Sender<Job>,
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
        let _ = jobs.send(Job::Fetched(lost));
    }
    slices
}
