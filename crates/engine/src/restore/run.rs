//! Holds what all stages of a run share, and makes their passes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rekopia_format::directory::EntryKind;
use rekopia_format::entry_name::EntryName;

use super::destination::Destination;
use super::ledger::Ledger;
use super::options::{Receipting, RestoreOptions};
use super::pass::Pass;
use super::report::Report;
use super::run_state::RunState;
use super::ticker::{Known, Ticker};
use super::tree::Tree;
use super::unrestored::Unrestored;
use crate::error::{Error, ErrorKind, Result};
use crate::hint::Hint;
use crate::observer::Observer;
use crate::repository::listed_packs::ListedPacks;
use crate::repository::reference::Resolved;
use crate::repository::{Repository, Traffic};
use crate::sink::Sink;

/// Repaired packs that a report names.
const REPAIRED_SHOWN: usize = 100;

/// The state that all stages of a run share.
pub(super) struct Run<'a> {
    pub(super) repository: &'a Repository,
    pub(super) from: &'a Resolved,
    pub(super) options: &'a RestoreOptions,
    pub(super) ledger: Arc<Ledger>,
    pub(super) state: Arc<RunState>,
    start: Start,
}

/// The moment when a run began, and what had been asked of the storage by then.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    at: Instant,
    traffic: Traffic,
}

impl Start {
    pub(crate) fn now(repository: &Repository) -> Self {
        Start { at: Instant::now(), traffic: repository.traffic() }
    }

    /// Returns the report of a run that was stopped before it began.
    pub(super) fn report_of_nothing(self, repository: &Repository) -> Report {
        let report = Report { cancelled: true, ..Report::default() };
        self.measured(repository, report)
    }

    /// Fills in what the run took; what opening the repository cost is no part of it.
    pub(crate) fn measured(self, repository: &Repository, report: Report) -> Report {
        let mut report = report.with_traffic(repository.traffic().since(self.traffic));
        report.latency_seconds = repository.usage().latency.as_secs_f64();
        report.seconds = self.at.elapsed().as_secs_f64();
        report
    }
}

impl<'a> Run<'a> {
    /// Opens the ledger; nothing of the target is touched.
    ///
    /// # Errors
    /// When the report file cannot be created, a file would lie in the repository, or a dry run is to be hashed.
    pub(super) fn begin(
        repository: &'a Repository,
        from: &'a Resolved,
        options: &'a RestoreOptions,
        observer: Arc<dyn Observer>,
        start: Start,
    ) -> Result<Self> {
        if let Some(path) = &options.report_file {
            repository.check_outside(path)?;
        }
        if let Receipting::File(path) = &options.receipt {
            repository.check_outside(path)?;
        }
        let hashes = options.receipt != Receipting::Off;
        if hashes && options.dry_run {
            return Err(Error::new(
                ErrorKind::Usage,
                "a dry run restores nothing that a receipt could be of",
            ));
        }
        let mut ledger = Ledger::open(options.report_file.as_deref(), options.fill_holes)?;
        ledger.unrestored = Unrestored::new(hashes);
        let ledger = Arc::new(ledger);
        let state = Arc::new(RunState::new(options.on_error, observer));
        Ok(Run { repository, from, options, ledger, state, start })
    }

    /// Takes all of `tree` to `destination`; failures are in the ledger, or end the run.
    pub(super) async fn pass(&self, tree: Tree, packs: Option<Arc<ListedPacks>>, destination: Destination) {
        let pass = Pass {
            repository: self.repository,
            options: self.options,
            destination,
            packs,
            ledger: Arc::clone(&self.ledger),
            state: Arc::clone(&self.state),
        };
        let ticker = self.ticker();
        let ran = pass.run(tree).await;
        ticker.stop();
        if let Err(e) = ran {
            self.state.abort(&e);
        }
    }

    /// Starts telling how far the run is, until it is stopped.
    pub(super) fn ticker(&self) -> Ticker {
        let known = if self.options.takes_all() { Known::all(self.from) } else { Known::default() };
        Ticker::start(self.repository, &self.ledger, &self.state.observer, known)
    }

    /// Returns what is to be restored into `sink`, with countdowns of its own; a file or link is called `name` there.
    ///
    /// # Errors
    /// When it has no name at all.
    pub(super) fn tree(&self, sink: &Arc<Sink>, name: Option<&EntryName>) -> Result<Tree> {
        let node = Arc::clone(sink.root());
        if !self.options.include.is_empty() {
            node.only_if_used();
        }
        Tree::new(self.from, node, name.cloned())
    }

    /// Returns the wall time since the run began, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.start.at.elapsed().as_secs_f64()
    }

    /// Whether nothing has failed so far.
    pub(super) fn went_well(&self) -> bool {
        self.state.fatal().is_none()
            && !self.options.cancel.is_cancelled()
            && self.ledger.failed.load(Ordering::Relaxed) == 0
    }

    /// Refuses a selection that takes nothing: nothing done is not success.
    pub(super) fn check_matches(&self) -> Result<()> {
        let Resolved { snapshot, sub_path, entry, .. } = self.from;
        let patterns = &self.options.include;
        let nothing = self.ledger.matched.load(Ordering::Relaxed) == 0;
        if patterns.is_empty() || !nothing || !self.went_well() || entry.kind != EntryKind::Directory {
            return Ok(());
        }
        let what = format!("nothing in the snapshot matches {}; nothing was restored", patterns.join(", "));
        let tree = match snapshot {
            Some(s) if sub_path.is_empty() => s.id.to_string(),
            Some(s) => format!("{}/{sub_path}", s.id),
            None => entry.object.map_or_else(String::new, |object| object.to_string()),
        };
        Err(Error::not_found(what, Hint::ListTree { tree }))
    }

    /// Returns the report of what was done so far.
    pub(super) fn report(&self) -> Report {
        if let Err(e) = self.ledger.close_log() {
            self.state.abort(&e);
        }
        let mut report = self.start.measured(self.repository, self.ledger.report());
        report.cancelled = self.options.cancel.is_cancelled();
        report.fatal = self.state.fatal();
        report.salvaged = self.repository.is_salvaged();
        report.warnings.extend(repairs(self.repository));
        report
    }
}

/// Returns what to say of packs of which error correction repaired something.
pub(crate) fn repairs(repository: &Repository) -> impl Iterator<Item = String> {
    repository.repairs().into_iter().take(REPAIRED_SHOWN).map(|(pack, shards)| {
        format!("error correction repaired damaged shards of {pack} ({shards}): the storage is failing")
    })
}
