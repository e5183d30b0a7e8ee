//! Deletes what the snapshot does not have, or says why it stays.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rekopia_format::entry_name::EntryName;

use super::extras::Extras;
use super::ledger::Ledger;
use super::pass::WRITES_END;
use super::prove::{PacksListed, Question};
use super::report::Deletion;
use super::run::Run;
use crate::error::{Error, Result};
use crate::observer::Phase;
use crate::sink::Sink;

/// A run that deletes what is extra.
pub(super) struct Deleting<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) sink: &'a Arc<Sink>,
    /// The name of a single file or link; `None`: a directory is restored.
    pub(super) name: Option<&'a EntryName>,
}

impl Deleting<'_> {
    /// Removes what the proof found to be extra.
    pub(super) async fn delete(&self, mut extras: Extras) {
        let (state, cancel) = (&self.run.state, &self.run.options.cancel);
        state.enter(Phase::Deleting);
        loop {
            let (is_all, before) = (!extras.is_incomplete(), self.sink.removals.gone_so_far());
            let (from, stop) = (Arc::clone(self.sink), cancel.clone());
            let removing = tokio::task::spawn_blocking(move || extras.remove(&from, &|| stop.is_cancelled()));
            let Some(removed) = cancel.run_with_grace(WRITES_END, removing).await else { return };
            match removed {
                Ok(Ok(())) => {}
                Ok(Err(e)) => {
                    return state.abort(&Error::internal("the list of extras cannot be read").because(e));
                }
                Err(_) => return state.abort(&Error::internal("deleting panicked")),
            }
            if is_all || cancel.is_cancelled() || self.sink.removals.gone_so_far() == before {
                return;
            }
            // There was no place to remember all extras: a second look finds the rest.
            extras = match self.find_again().await {
                Ok(extras) => extras,
                Err(e) => {
                    let what =
                        format!("not all extras were deleted, they cannot be found once more: {}", e.chain());
                    return self.run.ledger.warn(what);
                }
            };
        }
    }

    /// Finds the extras once more, as many as can be remembered.
    async fn find_again(&self) -> Result<Extras> {
        let run = self.run;
        let question = Question {
            repository: run.repository,
            options: run.options,
            ledger: &run.ledger,
            stop: &run.state.stop,
            view: Arc::clone(self.sink),
            finds_something: true,
            packs: PacksListed::WhereNeeded,
            counts_bytes: false,
        };
        let answering = question.answer(run.tree(self.sink, self.name)?);
        let answer = run.options.cancel.run_until_cancelled(answering).await;
        Ok(answer.unwrap_or_else(|| Err(Error::cancelled()))?.extras)
    }
}

/// Says that extras stay, and why.
pub(super) fn keep_extras(ledger: &Ledger, deletion: &Deletion, doubt: Option<&(String, Error)>) {
    let Some((path, error)) = doubt else {
        let what = "nothing extra was deleted, because not everything was restored";
        return ledger.warn(what.into());
    };
    let why = format!("{:?} cannot be restored: {}", crate::error::shown(path), error.chain());
    ledger.warn(format!("nothing extra was deleted, because {why}"));
    count_kept(ledger, deletion, &why);
}

/// Counts extras that stay although nothing failed (what cannot be restored was right already): they are what is left
/// undone.
pub(super) fn count_kept(ledger: &Ledger, deletion: &Deletion, why: &str) {
    if ledger.failed.load(Ordering::Relaxed) > 0 {
        return;
    }
    let named = deletion.first.iter().take(usize::try_from(deletion.entries).unwrap_or(usize::MAX));
    let count = named.map(|name| ledger.remains(name.clone(), why.to_owned())).count() as u64;
    ledger.remain_unnamed(deletion.entries.saturating_sub(count));
}
