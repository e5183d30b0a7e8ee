//! A whole restore or verification, from what was resolved to the report.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use rekopia_format::directory::{Entry, EntryKind};
use rekopia_format::entry_name::EntryName;

use super::ledger::Ledger;
use super::options::RestoreOptions;
use super::pass::{Pass, Tree};
use super::report::Report;
use super::run_state::RunState;
use super::slot::Folder;
use super::stages::Run;
use super::ticker::{Known, Ticker};
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Cancel, Event, Observer, Phase};
use crate::repository::Repository;
use crate::repository::objects::{ObjectReader, ReadAhead};
use crate::repository::reference::Resolved;
use crate::sink::DirNode;

/// How to verify.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Recompute the keyed hash of every content, beyond its authenticated decryption.
    pub hash: bool,
    /// Bytes for pack data, plaintext and listings; 0: the default of a restore.
    pub memory_bytes: u64,
    /// Requests in flight; 0: as the storage suggests.
    pub parallel: usize,
    /// Threads; 0: as many as cores.
    pub threads: usize,
    /// Stops the work when set.
    pub cancel: Cancel,
}

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
        let started = Instant::now();
        observer.event(Event::Phase { phase: Phase::Comparing });
        let Some(proven) = options.cancel.run_until_cancelled(self.prove_root(&from.entry)).await else {
            return Ok(self.report_of_nothing(started));
        };
        proven?;
        let ledger = Arc::new(Ledger::open(options.report_file.as_deref())?);
        let state = Arc::new(RunState::new(options.on_error, observer));
        let stages = Stopping::new(&state.stop, async {
            let mut run = Run::prepare(self, from, target, options, &ledger, &state)?;
            let proof = run.prove().await?;
            run.check_room(&proof)?;
            if options.dry_run {
                return run.plan(&proof).await;
            }
            run.check_deletion(&proof).await?;
            run.write(proof).await
        });
        match stages.await {
            Err(e) if e.kind() == ErrorKind::Cancelled => {}
            done => done?,
        }
        Ok(self.report(&ledger, &state, options, started))
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
        let started = Instant::now();
        observer.event(Event::Phase { phase: Phase::Verifying });
        let defaults = RestoreOptions::default();
        let options = RestoreOptions {
            hash: options.hash,
            memory_bytes: if options.memory_bytes > 0 { options.memory_bytes } else { defaults.memory_bytes },
            parallel: options.parallel,
            threads: options.threads,
            cancel: options.cancel.clone(),
            ..defaults
        };
        let Some(proven) = options.cancel.run_until_cancelled(self.prove_root(&from.entry)).await else {
            return Ok(Report { verification: true, ..self.report_of_nothing(started) });
        };
        proven?;
        let ledger = Arc::new(Ledger::open(None)?);
        let state = Arc::new(RunState::new(options.on_error, observer));
        let (node, entry) = (DirNode::root(None), from.entry.clone());
        let tree = match from.entry.kind {
            EntryKind::Directory => Tree::Directory { folder: Folder::root(node), root: entry },
            _ => Tree::Single { folder: Folder::holder(node), name: shown_name(from)?, entry },
        };
        let pass = Pass {
            repository: self,
            options: &options,
            sink: None,
            view: None,
            packs: None,
            ledger: Arc::clone(&ledger),
            state: Arc::clone(&state),
        };
        let ticker = Ticker::start(self, &ledger, &state.observer, Known::all(from));
        let ran = Stopping::new(&state.stop, pass.run(tree)).await;
        ticker.stop();
        if let Err(e) = ran {
            state.abort(&e);
        }
        let mut report = self.report(&ledger, &state, &options, started);
        report.verification = true;
        Ok(report)
    }

    /// Reads the root's listing (its beginning, when it is huge) before the target is touched.
    async fn prove_root(&self, entry: &Entry) -> Result<()> {
        let object = entry.object.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the root has no object"))?;
        let contents = self.contents();
        if entry.kind != EntryKind::Directory {
            return contents.locate(object.content()).map(drop);
        }
        let (mut reader, mut ahead) = (ObjectReader::new(&object, None), ReadAhead::default());
        let mut scanner = rekopia_format::directory::DirectoryScanner::new();
        let unreadable =
            |e: Error| Error::new(e.kind(), "the root directory cannot be read").because(e.chain());
        let damaged = |e| Error::new(ErrorKind::Corrupt, "the root directory is damaged").because(e);
        for _ in 0..PROVEN_CONTENTS {
            match reader.next(&contents, &mut ahead).await.map_err(unreadable)? {
                Some(chunk) => scanner.push(&chunk, |_| ()).map_err(damaged)?,
                None => return scanner.finish().map(drop).map_err(damaged),
            }
        }
        Ok(())
    }

    /// The report of a run that was stopped before it began.
    fn report_of_nothing(&self, started: Instant) -> Report {
        let (requests, fetched_bytes) = self.traffic();
        let seconds = started.elapsed().as_secs_f64();
        Report { cancelled: true, requests, fetched_bytes, seconds, ..Report::default() }
    }

    fn report(
        &self,
        ledger: &Ledger,
        state: &RunState,
        options: &RestoreOptions,
        started: Instant,
    ) -> Report {
        if let Err(e) = ledger.close_log() {
            state.abort(&e);
        }
        let mut report = ledger.report();
        let (requests, bytes) = self.traffic();
        report.requests = requests;
        report.fetched_bytes = bytes;
        let usage = self.usage();
        report.retries = usage.retries;
        report.latency_seconds = usage.latency_us as f64 / 1e6;
        report.seconds = started.elapsed().as_secs_f64();
        report.cancelled = options.cancel.is_cancelled();
        report.fatal = state.fatal();
        report.planned = options.dry_run.then(|| ledger.planned());
        report
    }
}

/// Work whose threads and tasks end with it, also when its future is dropped: they are told before anything of it goes.
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

/// Contents of the root's listing that are read as a proof.
const PROVEN_CONTENTS: usize = 64;

/// What a single file or link is called in a report.
fn shown_name(from: &Resolved) -> Result<EntryName> {
    let last = from.sub_path.rsplit('/').next().unwrap_or_default();
    let name = EntryName::parse(last).or_else(|_| from.entry.name.clone());
    name.or_else(|_| EntryName::parse("file")).map_err(|_| Error::internal("a plain name"))
}
