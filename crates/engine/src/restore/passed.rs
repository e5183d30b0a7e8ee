//! Makes the third stage of a restore: everything was tried; what is extra is still there.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;

use super::delete_extra::{Deleting, keep_extras};
use super::destination::Destination;
use super::extras::Extras;
use super::pass::MODES_CLOSE;
use super::proof::Proof;
use super::run::Run;
use super::tidied::Tidied;
use crate::error::{Error, Result};
use crate::observer::{Event, Phase};
use crate::sink::Sink;

/// A run whose target is open for writing.
pub(super) struct Opened<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) sink: Arc<Sink>,
    pub(super) name: Option<EntryName>,
    pub(super) proof: Proof,
    /// Whether extras go before anything is written: there is no room for old and new.
    pub(super) deletes_first: bool,
}

/// A run that has tried every entry.
pub(super) struct Passed<'a> {
    run: &'a Run<'a>,
    sink: Arc<Sink>,
    name: Option<EntryName>,
    /// The extras that are still to be deleted.
    extras: Extras,
    /// The reason why nothing may be deleted: the first entry that cannot be restored.
    doubt: Option<(String, Error)>,
}

impl<'a> Opened<'a> {
    /// Restores every entry.
    ///
    /// # Errors
    /// When nothing was to be restored, and the target was not touched.
    pub(super) async fn pass(self) -> Result<Passed<'a>> {
        let Opened { run, sink, name, proof, deletes_first } = self;
        let Proof { packs, mut extras, doubt, .. } = proof;
        let deletes_first = deletes_first && !extras.is_empty() && doubt.is_none();
        if deletes_first {
            let what =
                "extra entries are deleted before anything is written: there is no room for old and new";
            run.state.observer.event(Event::Warning { message: what.into() });
            let deleting = Deleting { run, sink: &sink, name: name.as_ref() };
            deleting.delete(std::mem::take(&mut extras)).await;
        }
        if run.state.fatal().is_none() {
            run.state.enter(Phase::Restoring);
            let tree = run.tree(&sink, name.as_ref())?;
            run.pass(tree, packs, Destination::Written(Arc::clone(&sink))).await;
            run.look_at_losses(Some(&sink)).await;
        }
        if !deletes_first {
            run.check_matches()?;
        }
        Ok(Passed { run, sink, name, extras, doubt })
    }
}

impl<'a> Passed<'a> {
    /// Deletes what is extra, where everything went well, and closes what had to be opened.
    pub(super) async fn tidy(self) -> Tidied<'a> {
        let Passed { run, sink, name, extras, doubt } = self;
        let (options, ledger) = (run.options, &run.ledger);
        if options.delete_extra && !extras.is_empty() {
            if run.went_well() && doubt.is_none() {
                Deleting { run, sink: &sink, name: name.as_ref() }.delete(extras).await;
            } else if !options.cancel.is_cancelled() {
                keep_extras(ledger, &extras.deletion, doubt.as_ref());
            }
        }
        let closing = Arc::clone(&sink);
        let closed = tokio::task::spawn_blocking(move || closing.close_up());
        if options.cancel.run_with_grace(MODES_CLOSE, closed).await.is_none() {
            ledger.warn("modes of folders may have stayed open: the target hangs".into());
        }
        let removed = sink.removals.take();
        ledger.removed(removed.entries, removed.remaining, removed.remaining_count);
        Tidied { run, sink, name, digest: None }
    }
}
