//! Makes the last stage of a restore: the target is as it will be, and is compared, synced and reported.

use std::sync::Arc;
use std::time::Instant;

use rekopia_format::entry_name::EntryName;

use super::clock::Stage;
use super::digest_target::digest_target;
use super::options::{Receipting, SyncMode};
use super::pass::MODES_CLOSE;
use super::report::Report;
use super::run::Run;
use super::verify_target::verify_target;
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Event, Phase};
use crate::sink::{Sink, TreeDigest};

/// A run that changes nothing any more.
pub(super) struct Tidied<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) sink: Arc<Sink>,
    pub(super) name: Option<EntryName>,
    pub(super) digest: Option<TreeDigest>,
}

impl Tidied<'_> {
    /// Reads back what was restored, where that is wanted.
    pub(super) async fn compare(self) -> Self {
        let run = self.run;
        if run.options.verify && run.state.fatal().is_none() {
            run.state.enter(Phase::Rereading);
            self.sink.set_written();
            if let Some(Err(e)) = run.options.cancel.run_until_cancelled(self.read_back()).await {
                run.state.abort(&e);
            }
        }
        self
    }

    /// Hashes what stands in the target, where that is wanted.
    pub(super) async fn hash(mut self) -> Self {
        let run = self.run;
        if run.options.receipt != Receipting::Off && run.state.fatal().is_none() {
            let began = Instant::now();
            let hashing = digest_target(run, &self.sink, self.name.as_ref());
            match run.options.cancel.run_with_grace(MODES_CLOSE, hashing).await {
                Some(Ok(digest)) => {
                    let seconds = began.elapsed().as_secs_f64();
                    run.state.observer.event(Event::Took { what: "hash", seconds });
                    self.digest = Some(digest);
                }
                Some(Err(e)) if e.kind() != ErrorKind::Cancelled => {
                    run.state.abort(&Error::new(e.kind(), "no receipt can be made").because(e));
                }
                _ => {}
            }
        }
        self
    }

    async fn read_back(&self) -> Result<()> {
        let Tidied { run, sink, name, .. } = self;
        let tree = run.tree(sink, name.as_ref())?;
        verify_target(run.repository, sink, tree, run.options, &run.ledger, &run.state).await
    }

    /// Syncs, where that is wanted, and takes the mark of an incomplete restore away from a complete one.
    pub(super) async fn settle(self) -> Report {
        let run = self.run;
        if run.options.sync == SyncMode::End
            && run.options.cancel.run_until_cancelled(self.sync()).await.is_none()
        {
            let what = "not synced, because the run was stopped: a power cut may take what was restored";
            run.ledger.warn(what.into());
        }
        if run.went_well() && run.ledger.report().exit_kind().is_none() {
            self.sink.clear_mark();
        }
        Report { tree: self.digest, ..run.report() }
    }

    async fn sync(&self) {
        let state = &self.run.state;
        state.enter(Phase::Syncing);
        let (syncing, began) = (Arc::clone(&self.sink), Instant::now());
        let synced = tokio::task::spawn_blocking(move || syncing.sync()).await;
        self.run.ledger.clock.add(Stage::Sync, began);
        match synced {
            Ok(Ok(())) => {
                let seconds = began.elapsed().as_secs_f64();
                state.observer.event(Event::Took { what: "sync", seconds });
            }
            Ok(Err(e)) => state.abort(&e.into()),
            Err(_) => state.abort(&Error::internal("syncing panicked")),
        }
    }
}
