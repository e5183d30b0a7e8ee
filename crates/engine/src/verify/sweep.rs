//! Reads needed contents in windows that fit in memory, pack after pack.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rekopia_format::{BlobId, ContentId};
use tokio::sync::mpsc;

use super::check::{Checker, check_whole};
use super::coverage::{Coverage, Span, covered};
use super::draw::{Amount, Due, Limits, Portion, Purse};
use super::needed::Needed;
use super::ranges::Ranges;
use super::tally::{Part, Suspect, Tally};
use crate::error::{Error, Result};
use crate::limits::cores;
use crate::observer::Cancel;
use crate::repository::contents::Contents;
use crate::repository::index::Location;
use crate::restore::cost::CostModel;
use crate::restore::credits::Credits;
use crate::restore::fetch;
use crate::restore::ledger::Ledger;
use crate::restore::options::VerifyOptions;
use crate::restore::pass::WRITES_END;
use crate::restore::plan::{PackRead, PlannedSlice, plan};
use crate::restore::worker_threads::WorkerThreads;
use crate::text::human_size;

/// Everything that the reading of contents needs.
pub(crate) struct Sweep {
    contents: Contents,
    needed: Arc<Needed>,
    /// The ranges that were read before, by the number of the pack.
    spans: Arc<Vec<Box<[Span]>>>,
    /// The ranges that could not be read before, by pack.
    damaged: Arc<Read>,
    limits: Limits,
    /// The moment after which nothing is asked for.
    until: Option<Instant>,
    hash: bool,
    memory_bytes: u64,
    parallel: usize,
    threads: usize,
    cancel: Cancel,
}

/// The ranges that were right in this run, by pack.
pub(crate) type Read = HashMap<BlobId, Ranges>;

/// Portions that are read together, each with its place in the order.
struct Window {
    places: HashMap<Portion, usize>,
    /// Whether all of these portions are known to be bad: limits are not asked.
    is_bad: bool,
    is_new: bool,
    /// Number of contents for which there is room.
    left: u64,
    /// The part of a portion that this window takes, where the portion is too large for one window.
    offsets: Option<Range<u64>>,
}

/// The end of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swept {
    /// Everything that was drawn was read.
    Through,
    /// The time was over.
    TimeOver,
}

/// Contents of a window, and what one takes on its way through the plan.
const CONTENT_BYTES: u64 = 256;
const WINDOW: std::ops::RangeInclusive<u64> = 1 << 12..=1 << 18;
/// Plans that wait for fetch.
const QUEUED_READS: usize = 2;
/// Plaintext bytes of contents that are read once more together.
const AGAIN_BYTES: u64 = 8 << 20;

impl Sweep {
    pub(crate) fn new(
        contents: &Contents,
        needed: &Arc<Needed>,
        coverage: &Coverage,
        limits: Limits,
        until: Option<Instant>,
        options: &VerifyOptions,
    ) -> Self {
        let packs = contents.index.packs();
        let spans = packs.iter().map(|pack| coverage.of(pack).into()).collect();
        let damaged = packs.iter().filter_map(|pack| Some((pack.clone(), coverage.damaged(pack)?.clone())));
        let damaged = Arc::new(damaged.collect());
        Sweep {
            contents: contents.clone(),
            needed: Arc::clone(needed),
            spans: Arc::new(spans),
            damaged,
            limits,
            until,
            hash: options.hash,
            memory_bytes: options.memory_bytes,
            parallel: options.parallel,
            threads: options.threads,
            cancel: options.cancel.clone(),
        }
    }

    /// Reads what the limits let through of what is not in `read`; the results are in the tally.
    ///
    /// # Errors
    /// Those of the index; what the storage does not give is damage.
    pub(crate) async fn run(&self, tally: &Arc<Tally>, read: &Arc<Read>) -> Result<Swept> {
        let costs = CostModel::new(self.contents.blobs.profile(), self.memory_bytes / 8 * 5, self.parallel);
        let checker = Checker { contents: self.contents.clone(), tally: Arc::clone(tally), hash: self.hash };
        let checker = Arc::new(checker);
        let (jobs, queue) = crossbeam_channel::unbounded();
        let wanted = if self.threads == 0 { cores() } else { self.threads };
        let threads = WorkerThreads::start(wanted, &checker, queue);
        let credits = Credits::new(costs.flying_bytes());
        let (reads, planned) = mpsc::channel(QUEUED_READS);
        let clock = &tally.ledger.clock;
        let fetching = fetch::fetch(&self.contents, planned, &credits, &costs, clock, |fetched| {
            let _ = jobs.send(fetched);
            clock.queued(jobs.len());
        });
        let feeding = async {
            let fed = self.feed(&costs, &reads, read, &tally.ledger).await;
            drop(reads);
            fed
        };
        let mut swept = Ok(Swept::Through);
        let stopping = self.cancel.also(&tally.stop);
        // However this ends, the reads in flight are dropped.
        tokio::select! {
            ((), fed) = async { tokio::join!(fetching, feeding) } => swept = fed,
            () = stopping.cancelled() => tally.stop.cancel(),
            () = threads.help() => {}
        }
        drop(jobs);
        match self.cancel.run_with_grace(WRITES_END, threads.finish()).await {
            Some(false) => Err(Error::internal("a worker panicked")),
            _ if self.cancel.is_cancelled() || tally.stop.is_cancelled() => swept,
            _ => {
                self.again(tally).await;
                swept
            }
        }
    }

    /// Sends reads, window by window.
    async fn feed(
        &self,
        costs: &CostModel,
        reads: &mpsc::Sender<PackRead<Part>>,
        read: &Arc<Read>,
        ledger: &Ledger,
    ) -> Result<Swept> {
        let mut purse = Purse::new(self.limits);
        for window in self.windows(read, ledger).await? {
            let is_bad = window.is_bad;
            if purse.is_spent() && !is_bad {
                break;
            }
            let (slices, filled) = self.fill(window, purse, read).await?;
            purse = filled;
            let bytes = slices.iter().map(|slice| u64::from(slice.location.packed.packed_len)).sum();
            for read in plan(slices, costs.plan_options(bytes)) {
                if !is_bad && self.until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(Swept::TimeOver);
                }
                if reads.send(read).await.is_err() {
                    return Ok(Swept::Through);
                }
            }
        }
        Ok(Swept::Through)
    }

    /// Returns the portions that are drawn, as windows that fit in memory.
    async fn windows(&self, read: &Arc<Read>, ledger: &Ledger) -> Result<Vec<Window>> {
        let most = (self.memory_bytes / 8 / CONTENT_BYTES).clamp(*WINDOW.start(), *WINDOW.end());
        let limits = self.limits;
        let due = self.scan(read, |due: &mut Due, portion, _, _, location| {
            due.add(portion, location.offset, u64::from(location.packed.packed_len));
        });
        let due = due.await?;
        if limits.at_most.is_some_and(|at_most| at_most < due.longest) {
            let longest = human_size(due.longest);
            ledger.warn(format!(
                "contents of up to {longest} are longer than what may be read: they never are"
            ));
        }
        let mut windows: Vec<Window> = Vec::new();
        for (portion, amount) in due.draw(&limits) {
            let (is_new, contents) = (portion.at.is_none(), amount.contents);
            if contents > most {
                windows.extend(parts(portion, &amount, contents.div_ceil(most)));
                continue;
            }
            let fits =
                |w: &&mut Window| contents <= w.left && (is_new, portion.is_bad) == (w.is_new, w.is_bad);
            if windows.last_mut().filter(fits).is_none() {
                let (places, offsets) = (HashMap::new(), None);
                windows.push(Window { places, is_bad: portion.is_bad, is_new, left: most, offsets });
            }
            if let Some(window) = windows.last_mut() {
                window.places.insert(portion, window.places.len());
                window.left -= contents;
            }
        }
        Ok(windows)
    }

    /// Takes the contents of a window, as far as the purse goes: the portions in their order.
    async fn fill(
        &self,
        window: Window,
        mut purse: Purse,
        read: &Arc<Read>,
    ) -> Result<(Vec<PlannedSlice<Part>>, Purse)> {
        let (needed, is_bad) = (Arc::clone(&self.needed), window.is_bad);
        let filling = self.scan(read, move |found: &mut Vec<_>, portion, number, content, location| {
            let place = window.places.get(&portion);
            let offset = u64::from(location.offset);
            let place = place.filter(|_| window.offsets.as_ref().is_none_or(|o| o.contains(&offset)));
            if let Some(place) = place {
                let target = Part { number, whole: needed.whole(number) };
                found.push((*place, PlannedSlice { content, location, target }));
            }
        });
        let mut slices: Vec<(usize, PlannedSlice<Part>)> = filling.await?;
        slices.sort_unstable_by_key(|(place, slice)| (*place, slice.location.offset));
        slices.retain(|(_, slice)| is_bad || purse.takes(u64::from(slice.location.packed.packed_len)));
        Ok((slices.into_iter().map(|(_, slice)| slice).collect(), purse))
    }

    /// Looks at every needed content that is not in `read`, on a thread that may take its time.
    async fn scan<T: Default + Send + 'static>(
        &self,
        read: &Arc<Read>,
        each: impl Fn(&mut T, Portion, u32, ContentId, Location) + Send + 'static,
    ) -> Result<T> {
        let (index, needed, read) =
            (Arc::clone(&self.contents.index), Arc::clone(&self.needed), Arc::clone(read));
        let (spans, damaged) = (Arc::clone(&self.spans), Arc::clone(&self.damaged));
        let scan = move || {
            let mut found = T::default();
            index.each(
                |number| needed.has(number),
                |number, id, location| {
                    let range = location.range();
                    let is_in = |ranges: &Read| {
                        let of_pack = (!ranges.is_empty()).then(|| ranges.get(index.pack(location.pack)));
                        of_pack.flatten().is_some_and(|ranges| ranges.covers(&range))
                    };
                    if is_in(&read) {
                        return;
                    }
                    let known = spans.get(location.pack.0 as usize).map_or(&[][..], |spans| spans);
                    let (pack, at) = (location.pack, covered(known, &range));
                    let portion = Portion { pack, at, is_bad: is_in(&damaged) };
                    each(&mut found, portion, number, id, location);
                },
            )?;
            Ok(found)
        };
        tokio::task::spawn_blocking(scan)
            .await
            .map_err(|_| Error::internal("a scan of the index panicked"))?
    }

    /// Reads contents once more that were not right: they may have been damaged on their way.
    async fn again(&self, tally: &Tally) {
        let suspects = tally.take_suspects();
        let contents = Contents { hashes: self.hash, ..self.contents.clone() };
        for suspect in &suspects {
            contents.blobs.distrust(contents.index.pack(suspect.location.pack));
        }
        let mut rest = suspects.as_slice();
        while !rest.is_empty() && !self.cancel.is_cancelled() {
            let (round, later) = rest.split_at(round_len(rest));
            rest = later;
            let ids: Vec<ContentId> = round.iter().map(|suspect| suspect.id).collect();
            let reading = contents.read_round(&ids);
            let Some(read) = self.cancel.run_until_cancelled(reading).await else { return };
            for suspect in round {
                let pack = contents.index.pack(suspect.location.pack);
                let right = match read.get(&suspect.id) {
                    Some(Ok(plain)) => check_whole(suspect, plain),
                    Some(Err(e)) => Err(e.again()),
                    None => Err(Error::internal("a content got lost")),
                };
                match right {
                    Ok(()) => tally.right(pack, &suspect.location),
                    Err(e) => tally.wrong(pack, *suspect, e, false),
                }
            }
        }
    }
}

/// Cuts a portion that is too large for one window into `count` of about the same size.
fn parts(portion: Portion, amount: &Amount, count: u64) -> impl Iterator<Item = Window> {
    let (first, last) = (u64::from(*amount.offsets.start()), u64::from(*amount.offsets.end()) + 1);
    let at = move |n: u64| first + (last - first) * n / count;
    (0..count).map(move |n| Window {
        places: HashMap::from([(portion, 0)]),
        is_bad: portion.is_bad,
        is_new: portion.at.is_none(),
        left: 0,
        offsets: Some(at(n)..at(n + 1)),
    })
}

/// Returns how many of `suspects` are read together.
fn round_len(suspects: &[Suspect]) -> usize {
    let mut bytes = 0;
    let fits = suspects.iter().take_while(|suspect| {
        bytes += u64::from(suspect.location.packed.original_len);
        bytes <= AGAIN_BYTES
    });
    fits.count().max(1)
}
