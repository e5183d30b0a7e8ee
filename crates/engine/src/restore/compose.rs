//! Puts together the stages of a restore, a dry run and a verification.
//!
//! ```text
//! restore   Prepared ─► Proven ─► Permitted ─► Opened ─► Passed ─► Tidied ─► Report
//! dry run   Prepared ─► Proven ─► plan ──────────────────────────────────► Report
//! verify    ────────────────────────────────── pass ────────────────────► Report
//! ```
//!
//! Each stage is a value, and its method takes the one before it: nothing can be written that is not proven.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::destination::Destination;
use super::options::{Receipting, RestoreOptions, VerifyOptions};
use super::prepared::Prepared;
use super::report::Report;
use super::run::{Run, Start};
use super::tree::Tree;
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Cancel, Event, Observer, Phase};
use crate::repository::Repository;
use crate::repository::reference::Resolved;
use crate::sink::DirNode;

impl Repository {
    /// Restores what `from` names: a directory's contents into `target`, a file or symlink to `target`.
    ///
    /// A report comes back whenever the target may have been touched, also when entries failed, the run was stopped or
    /// could not go on ([`Report::fatal`]); [`Report::exit_kind`] says how a program ends. A run that was stopped comes
    /// back within seconds, also when its storage or its target hangs ([`Cancel`]).
    ///
    /// Dropping the future ends its tasks and threads; of what was half-written nothing stays, but modes of directories
    /// that were opened do.
    ///
    /// # Errors
    /// Nothing was touched: [`ErrorKind::Corrupt`] when the root cannot be read, or anything at all under
    /// [`OnError::Stop`](super::OnError::Stop); [`ErrorKind::Destination`] when the target cannot be used, overlaps the
    /// repository or lacks room; [`ErrorKind::Refused`] when more would be deleted than may be;
    /// [`ErrorKind::NotFound`] when nothing matches `include`; [`ErrorKind::Usage`].
    pub async fn restore(
        &self,
        from: &Resolved,
        target: &Path,
        options: &RestoreOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Report> {
        let start = Start::now(self);
        observer.event(Event::Phase { phase: Phase::Comparing });
        if !self.is_root_proven(from, &options.cancel).await? {
            return Ok(start.report_of_nothing(self));
        }
        if let Receipting::File(path) = &options.receipt {
            let checking = self.check_place(from, target, path);
            let Some(checked) = options.cancel.run_until_cancelled(checking).await else {
                return Ok(start.report_of_nothing(self));
            };
            checked?;
        }
        let run = Run::begin(self, from, options, observer, start)?;
        let stages = async {
            match options.dry_run {
                true => run.plan(target).await,
                false => run.restore(target).await,
            }
        };
        match Stopping::new(&run.state.stop, stages).await {
            Err(e) if e.kind() == ErrorKind::Cancelled => Ok(run.report()),
            done => done,
        }
    }

    /// Compares what is at `target` with what `from` names, and changes neither.
    ///
    /// Every entry that differs is a failure of the report, with [`Failure::differs`](super::Failure::differs); then
    /// [`Report::exit_kind`] is [`ErrorKind::Incomplete`]. Of the options count `include`, `exclude`, `owner`, `modes`, `times`,
    /// `max_depth`, `memory_bytes`, `report_file` and `cancel`. What is stored is read only where its hash says nothing about
    /// the bytes on the disk: objects that were compressed as a whole.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the root cannot be read; [`ErrorKind::Destination`] when the target cannot be looked at or
    /// is not there; [`ErrorKind::Usage`].
    pub async fn compare(
        &self,
        from: &Resolved,
        target: &Path,
        options: &RestoreOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Report> {
        let start = Start::now(self);
        observer.event(Event::Phase { phase: Phase::Rereading });
        if !self.is_root_proven(from, &options.cancel).await? {
            return Ok(Report { verification: true, ..start.report_of_nothing(self) });
        }
        if std::fs::symlink_metadata(target).is_err() {
            let what = format!("{} is not there: nothing to compare with", target.display());
            return Err(Error::new(ErrorKind::Destination, what));
        }
        let run = Run::begin(self, from, options, observer, start)?;
        let (view, name) = Prepared::look(&run, target)?.view()?;
        let tree = run.tree(&view, name.as_ref())?;
        let ended = Stopping::new(&run.state.stop, run.against(view, tree)).await;
        match ended {
            Err(e) if e.kind() == ErrorKind::Cancelled => {}
            ended => ended?,
        }
        Ok(Report { verification: true, ..run.report() })
    }

    /// Reads and authenticates everything that `from` names, without writing.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the root cannot be read; damage below is in the report.
    pub async fn verify(
        &self,
        from: &Resolved,
        options: &VerifyOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Report> {
        let start = Start::now(self);
        observer.event(Event::Phase { phase: Phase::Verifying });
        let options = options.of_a_run();
        if !self.is_root_proven(from, &options.cancel).await? {
            return Ok(Report { verification: true, ..start.report_of_nothing(self) });
        }
        let run = Run::begin(self, from, &options, observer, start)?;
        let tree = Tree::new(from, DirNode::root(None), None)?;
        let stages = async {
            run.pass(tree, None, Destination::Dropped).await;
            run.look_at_losses(None).await;
        };
        Stopping::new(&run.state.stop, stages).await;
        Ok(Report { verification: true, ..run.report() })
    }

    /// Refuses a receipt in the place of an entry that is to be restored.
    async fn check_place(&self, from: &Resolved, target: &Path, receipt: &Path) -> Result<()> {
        // A path that is not there yet has a nearest folder above that is.
        let whole = |path: &Path| {
            let path = std::path::absolute(path).ok()?;
            let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)))?;
            Some(there.1.join(path.strip_prefix(there.0).ok()?))
        };
        let (Some(target), Some(receipt)) = (whole(target), whole(receipt)) else { return Ok(()) };
        let Ok(below) = receipt.strip_prefix(&target) else { return Ok(()) };
        let names: Option<Vec<String>> = below.iter().map(|name| name.to_str().map(str::to_owned)).collect();
        let Some(names) = names else { return Ok(()) };
        match self.descend("", from.entry.clone(), &names).await {
            Ok(_) => {
                let what = format!(
                    "{} is the place of an entry of the snapshot, not of a receipt",
                    receipt.display()
                );
                Err(Error::new(ErrorKind::Usage, what))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            // What cannot be read is told by the restore itself.
            Err(e) if e.kind() == ErrorKind::Corrupt => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Reads the root's listing, before anything else; false when the run was stopped meanwhile.
    async fn is_root_proven(&self, from: &Resolved, cancel: &Cancel) -> Result<bool> {
        let proven = cancel.run_until_cancelled(self.prove_root(&from.entry)).await;
        proven.transpose().map(|proven| proven.is_some())
    }
}

impl Run<'_> {
    /// Restores to `target`.
    async fn restore(&self, target: &Path) -> Result<Report> {
        let permitted = Prepared::look(self, target)?.prove().await?.permit().await?;
        // From here on the target is touched: what goes wrong is in the report.
        let opened = match permitted.open() {
            Ok(opened) => opened,
            Err(e) => {
                self.state.abort(&e);
                return Ok(self.report());
            }
        };
        Ok(opened.pass().await?.tidy().await.compare().await.hash().await.settle().await)
    }

    /// Decides as a restore to `target` would, and fetches no file data.
    async fn plan(&self, target: &Path) -> Result<Report> {
        self.ledger.begin_plan(self.options.pace.is_some_and(|pace| pace.probe));
        Prepared::look(self, target)?.prove_with_packs().await?.plan().await
    }
}

/// Work whose threads and tasks end with it, also when its future is dropped: they are told before any part of it is
/// dropped.
struct Stopping<F> {
    stop: Cancel,
    work: Pin<Box<F>>,
}

impl<F: Future> Stopping<F> {
    fn new(stop: &Cancel, work: F) -> Self {
        Stopping { stop: stop.clone(), work: Box::pin(work) }
    }
}

impl<F: Future> Future for Stopping<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.work.as_mut().poll(context)
    }
}

impl<F> Drop for Stopping<F> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
