//! Verifies several trees as one set: every directory is looked at once, every content is read once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rekopia_format::BlobId;

use rekopia_format::Time;

use super::affected::{Affected, Bad};
use super::coverage::{Coverage, Span, covered};
use super::damage::Damage;
use super::draw::Limits;
use super::gather::{Gather, Gathered};
use super::needed::Needed;
use super::options::SetOptions;
use super::presence::look_up;
use super::sweep::{Read, Sweep, Swept};
use super::tally::{Found, Tally};
use crate::error::{Error, Result};
use crate::observer::{Cancel, Event, Observer, Phase};
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::repository::index::PackIdx;
use crate::repository::listed_packs::ListedPacks;
use crate::repository::reference::Resolved;
use crate::restore::ledger::Ledger;
use crate::restore::options::RestoreOptions;
use crate::restore::report::{Failure, Report};
use crate::restore::run::{Start, repairs};
use crate::restore::ticker::{Known, Ticker};
use crate::restore::verified::{AffectedTree, EndedBy, Verified};

/// Trees that a report names.
const NAMED: usize = 1000;

/// A verification that is under way.
struct Set<'a> {
    repository: &'a Repository,
    trees: Vec<&'a Resolved>,
    options: SetOptions,
    ledger: Arc<Ledger>,
    observer: Arc<dyn Observer>,
    verified: Verified,
    /// The ranges that were right so far, by pack; contents and bytes in packs.
    right: Arc<Read>,
    read: (u64, u64),
    fatal: Option<Error>,
}

impl Repository {
    /// Reads and authenticates everything that `trees` need, each content once, in the order of the packs, and each
    /// distinct directory once, whose keyed hash is compared, too.
    ///
    /// What was found right is entered in `coverage`, also when the run is stopped or its bounds end it; where less than
    /// all is read, what `coverage` does not know comes first, then what it knows longest. An unreadable entry is a failure
    /// of the report (once, though several trees share it), named by the first tree that has it, newest first;
    /// [`Report::verified`] says which trees are affected, and how much was read.
    ///
    /// # Errors
    /// Those of an index that does not fit in memory; damage, and a storage that does not answer, are in the report.
    pub async fn verify_set(
        &self,
        trees: &[Resolved],
        options: &SetOptions,
        coverage: &mut Coverage,
        observer: Arc<dyn Observer>,
    ) -> Result<Report> {
        let start = Start::now(self);
        let mut options = options.clone();
        if options.verify.memory_bytes == 0 {
            options.verify.memory_bytes = RestoreOptions::default().memory_bytes;
        }
        let mut set = Set {
            repository: self,
            trees: Vec::new(),
            options,
            ledger: Arc::default(),
            observer: Arc::clone(&observer),
            verified: Verified::default(),
            right: Arc::default(),
            read: (0, 0),
            fatal: None,
        };
        // What is named twice is one.
        let mut seen = HashSet::new();
        set.trees = trees.iter().filter(|tree| seen.insert(named(tree))).collect();
        set.verified.trees = set.trees.len() as u64;
        let ticker = Ticker::start(self, &set.ledger, &observer, Known::default());
        let ended = set.run(coverage, Instant::now()).await;
        ticker.stop();
        ended?;
        Ok(set.report(start))
    }
}

impl Set<'_> {
    async fn run(&mut self, coverage: &mut Coverage, begun: Instant) -> Result<()> {
        let Some((old, first)) = self.pass(coverage, begun).await? else { return Ok(()) };
        // Maintenance may have moved contents since the index was read: look once more, then it is damage.
        let reloading =
            async { if first.is_empty() { Ok(()) } else { self.repository.reload_index().await } };
        let Some(reloaded) = self.options.verify.cancel.run_until_cancelled(reloading).await else {
            return Ok(());
        };
        if let Err(e) = reloaded {
            self.ledger.warn(format!("the index could not be read once more: {}", e.chain()));
        }
        let is_moved = !first.is_empty() && is_another(&old, &self.repository.contents());
        let ended = if is_moved { self.pass(coverage, begun).await? } else { Some((old, first)) };
        let Some((contents, damage)) = ended else { return Ok(()) };
        if damage.is_empty() {
            self.ledger.failed.store(0, Ordering::Relaxed);
            return Ok(());
        }
        self.attribute(contents, &damage).await
    }

    /// Walks and reads once; returns what is damaged, by the numbers of an index, `None` when it was to stop.
    async fn pass(&mut self, coverage: &mut Coverage, begun: Instant) -> Result<Option<(Contents, Damage)>> {
        let cancel = self.options.verify.cancel.clone();
        self.ledger.failed.store(0, Ordering::Relaxed);
        self.enter(Phase::Listing);
        let packs = match self.options.presence {
            false => None,
            true => match cancel.run_until_cancelled(ListedPacks::read(self.repository)).await {
                Some(packs) => Some(Arc::new(packs?)),
                None => return Ok(None),
            },
        };
        let contents =
            packs.as_ref().map_or_else(|| self.repository.contents(), |packs| packs.contents.clone());
        let hashing = Contents { hashes: true, ..contents.clone() };
        let roots = self.trees.iter().map(|tree| &tree.entry);
        let gathered = Gather::new(&hashing, &self.ledger).run(roots, &cancel).await?;
        let Some(Gathered { needed, damage }) = gathered else { return Ok(None) };
        self.count(&needed);
        let needed = Arc::new(needed);
        let stop = Cancel::new();
        let tally = Arc::new(Tally::new(damage, &self.ledger, &stop));
        self.enter(Phase::Verifying);
        match packs {
            Some(packs) => look_up(packs, Arc::clone(&needed), Arc::clone(&tally)).await?,
            None => self.sweep(&contents, &needed, coverage, &tally, begun).await?,
        }
        let Some(tally) = Arc::into_inner(tally) else {
            return Err(Error::internal("a thread is still reading"));
        };
        let found = tally.into_found();
        let damage = self.take(found, &contents, &needed, coverage);
        Ok((!cancel.is_cancelled()).then_some((contents, damage)))
    }

    async fn sweep(
        &mut self,
        contents: &Contents,
        needed: &Arc<Needed>,
        coverage: &Coverage,
        tally: &Arc<Tally>,
        begun: Instant,
    ) -> Result<()> {
        let options = &self.options;
        let before = self.verified.read_bytes;
        let sample = options.sample.map(|part| (needed.packed_bytes as f64 * part).ceil() as u64);
        let limits = Limits {
            at_least: sample.map(|bytes| bytes.saturating_sub(before)),
            at_most: options.max_bytes.map(|bytes| bytes.saturating_sub(before)),
            shuffles: sample.is_some() || options.max_bytes.is_some() || options.max_time.is_some(),
        };
        let planned =
            [limits.at_least, limits.at_most].into_iter().flatten().chain([needed.packed_bytes]).min();
        self.ledger.total_bytes.store(planned.unwrap_or(0), Ordering::Relaxed);
        let until = options.max_time.and_then(|time| begun.checked_add(time));
        let sweep = Sweep::new(contents, needed, coverage, limits, until, &options.verify);
        let swept = sweep.run(tally, &self.right).await?;
        self.verified.ended_by = match swept {
            Swept::TimeOver => Some(EndedBy::Time),
            Swept::Through if planned == Some(needed.packed_bytes) => None,
            Swept::Through if limits.at_most == planned => Some(EndedBy::Bytes),
            Swept::Through => Some(EndedBy::Sample),
        };
        Ok(())
    }

    /// Takes note of what a pass has found.
    fn take(
        &mut self,
        found: Found,
        contents: &Contents,
        needed: &Needed,
        coverage: &mut Coverage,
    ) -> Damage {
        // A listing says of everything anew what is there; what was read and right is not read again.
        let before = if self.options.presence { (0, 0) } else { self.read };
        self.read = (before.0 + found.contents, before.1 + found.packed_bytes);
        let v = &mut self.verified;
        (v.damaged_contents, v.damaged_bytes) = (found.damage.data_contents, found.damage.data_bytes);
        v.read_contents = self.read.0 + v.damaged_contents;
        v.read_bytes = self.read.1 + v.damaged_bytes;
        v.ended_by = v.ended_by.filter(|_| v.read_contents < v.needed_contents);
        v.presence = self.options.presence;
        Ledger::add(&self.ledger.bytes, found.plain_bytes);
        self.fatal = found.fatal;
        let mut right = std::mem::take(&mut self.right);
        let all = Arc::make_mut(&mut right);
        for (pack, ranges) in found.right {
            // A listing proves nothing about bytes.
            if !self.options.presence {
                coverage.add(&pack, &ranges, self.options.now.unix_seconds());
            }
            let of_pack = all.entry(pack).or_default();
            ranges.iter().for_each(|range| of_pack.add(range.clone()));
        }
        for (pack, suspect) in found.wrong {
            if !self.options.presence {
                coverage.damage(&pack, suspect.location.range());
            }
        }
        self.right = right;
        let names = packs(contents);
        coverage.retain(|pack| names.contains(pack));
        self.cover(contents, needed, coverage);
        found.damage
    }

    /// Counts which needed contents are covered.
    fn cover(&mut self, contents: &Contents, needed: &Needed, coverage: &Coverage) {
        let (mut bytes, mut since) = (0, None::<i64>);
        let mut of_pack: HashMap<PackIdx, &[Span]> = HashMap::new();
        let counted = contents.index.each(
            |number| needed.has(number),
            |_, _, location| {
                let spans = of_pack
                    .entry(location.pack)
                    .or_insert_with(|| coverage.of(contents.index.pack(location.pack)));
                if let Some(at) = covered(spans, &location.range()) {
                    bytes += u64::from(location.packed.packed_len);
                    since = Some(since.map_or(at, |since| since.min(at)));
                }
            },
        );
        if counted.is_ok() {
            self.verified.covered_bytes = bytes;
            self.verified.covered_since = since.map(Time::from_unix_seconds);
        }
    }

    /// Finds out which trees the damage is in.
    async fn attribute(&mut self, contents: Contents, damage: &Damage) -> Result<()> {
        let contents = Contents { hashes: true, ..contents };
        let mut affected = Affected::new(&contents, damage);
        self.ledger.failed.store(0, Ordering::Relaxed);
        let mut newest_first = self.trees.clone();
        newest_first.sort_by_key(|tree| std::cmp::Reverse(tree.snapshot.as_ref().map(|s| s.start)));
        for tree in newest_first {
            let (id, source) = named(tree);
            let of = if source.is_empty() { id.clone() } else { format!("{source} {id}") };
            let (ledger, observer) = (&self.ledger, &self.observer);
            let looking = affected.look(&tree.entry, |bad: Bad| {
                let path = if bad.path.is_empty() { of.clone() } else { format!("{of}/{}", bad.path) };
                let failure = ledger.fail(path, &bad.why, false);
                observer.event(Event::Failed { path: failure.path, message: failure.message });
            });
            let Some(below) = self.options.verify.cancel.run_until_cancelled(looking).await else {
                return Ok(());
            };
            let below = below?;
            if below.entries == 0 {
                continue;
            }
            self.verified.affected_trees += 1;
            if self.verified.affected.len() < NAMED {
                let start = tree.snapshot.as_ref().map(|s| s.start);
                let (entries, first) = (below.entries, below.first);
                self.verified.affected.push(AffectedTree { id, source, start, entries, first });
            }
        }
        Ok(())
    }

    fn count(&mut self, needed: &Needed) {
        self.verified.needed_contents = needed.contents();
        self.verified.needed_bytes = needed.packed_bytes;
        self.ledger.files.store(needed.files, Ordering::Relaxed);
        self.ledger.symlinks.store(needed.symlinks, Ordering::Relaxed);
        if needed.odd_names > 0 {
            let n = needed.odd_names;
            self.ledger.warn(format!(
                "{n} entries have names that no file can have: they are restored under others"
            ));
        }
    }

    fn enter(&self, phase: Phase) {
        self.observer.event(Event::Phase { phase });
    }

    fn report(self, start: Start) -> Report {
        let mut report = start.measured(self.repository, self.ledger.report());
        report.cancelled = self.options.verify.cancel.is_cancelled();
        report.verification = true;
        report.salvaged = self.repository.is_salvaged();
        report.warnings.extend(repairs(self.repository));
        report.verified = Some(self.verified);
        if let Some(e) = self.fatal.filter(|_| report.failed == 0) {
            report.fatal = Some(Failure::of_a_run(&e));
        }
        report
    }
}

/// Returns the ID of a tree, and whose it is.
fn named(tree: &Resolved) -> (String, String) {
    let below = if tree.sub_path.is_empty() { String::new() } else { format!("/{}", tree.sub_path) };
    match &tree.snapshot {
        Some(s) => (format!("{}{below}", s.id), s.source.to_string()),
        None => {
            (tree.entry.object.map_or_else(String::new, |object| object.to_string()) + &below, String::new())
        }
    }
}

/// Whether a fresh index may know other places. Packs are numbered as index blobs arrive: the names count.
fn is_another(old: &Contents, fresh: &Contents) -> bool {
    old.index.len() != fresh.index.len() || packs(old) != packs(fresh)
}

fn packs(contents: &Contents) -> HashSet<&str> {
    contents.index.packs().iter().map(BlobId::as_str).collect()
}
