//! Makes the second stage of a restore: what can be known was found out, and the target is as it was.

use std::sync::Arc;

use rekopia_format::directory::Entry;

use super::delete_extra::count_kept;
use super::destination::Destination;
use super::estimated::Watch;
use super::extras::refused;
use super::passed::Opened;
use super::proof::Proof;
use super::report::{Deletion, Report};
use super::run::Run;
use super::sinks::Sinks;
use crate::error::{Error, ErrorKind, Result};
use crate::hint::Hint;
use crate::observer::Phase;
use crate::text::human_size;

/// A run of which is known what it needs, and what would be deleted.
pub(super) struct Proven<'a> {
    run: &'a Run<'a>,
    sinks: Sinks,
    proof: Proof,
    /// Set when there is only room if extras go before anything is written: what to say where that may not be.
    deletes_first: Option<String>,
}

/// A run that may do what it has to.
pub(super) struct Permitted<'a>(Proven<'a>);

impl<'a> Proven<'a> {
    /// Takes the proof, and compares what is needed with the room that there is.
    ///
    /// # Errors
    /// When a lower bound of what is needed does not fit, also where extras go first.
    pub(super) fn new(run: &'a Run<'a>, sinks: Sinks, proof: Proof) -> Result<Self> {
        let deletes_first = lack_of_room(run, &sinks, &proof)?;
        Ok(Proven { run, sinks, proof, deletes_first })
    }

    /// Makes a dry run: decides as a restore would and fetches no file data.
    ///
    /// # Errors
    /// When nothing matches the selection.
    pub(super) async fn plan(self) -> Result<Report> {
        let Proven { run, sinks, proof, deletes_first } = self;
        let (ledger, deletes) = (&run.ledger, run.options.delete_extra);
        let mut deletion = proof.extras.deletion.clone();
        deletion.before_writing = deletes_first.is_some();
        if let Some((path, error)) = &proof.doubt {
            deletion = Deletion { of: deletion.of, ..Deletion::default() };
            if deletes {
                let (path, why) = (crate::error::shown(path), error.chain());
                ledger.warn(format!("nothing would be deleted, because {path:?} cannot be restored: {why}"));
            }
        }
        if let Some(limit) = run.options.max_delete.filter(|limit| !limit.allows(&deletion)) {
            run.state.abort(&refused(&proof.extras, format!("at most {limit} may be")));
        }
        ledger.would_delete(deletion);
        run.state.enter(Phase::Planning);
        let tree = run.tree(&sinks.view, sinks.name.as_ref())?;
        let watch = Watch::start(run, &sinks);
        run.pass(tree, proof.packs.clone(), Destination::Compared(Arc::clone(&sinks.view))).await;
        let passed = watch.stop();
        if let Some((_, error)) = proof.doubt.as_ref().filter(|_| deletes) {
            count_kept(ledger, &proof.extras.deletion, &error.chain());
        }
        run.check_matches()?;
        ledger.would_need(needed(run, &sinks, &proof), sinks.view.available_bytes()?);
        if let Some(pace) = run.options.pace.filter(|_| run.went_well()) {
            run.estimate(pace, passed, &sinks).await;
        }
        Ok(run.report())
    }

    /// Asks whether what would go may go.
    ///
    /// # Errors
    /// [`ErrorKind::Destination`] when there is only room after a deletion that is not allowed; [`ErrorKind::Refused`] when
    /// more would be deleted than may be.
    pub(super) async fn permit(self) -> Result<Permitted<'a>> {
        let options = self.run.options;
        if let Some(what) = &self.deletes_first
            && !options.delete_first
            && options.consent.is_none()
        {
            let what = format!(
                "{what}; there would be room if extras were deleted before anything is written, which was not allowed"
            );
            return Err(Error::new(ErrorKind::Destination, what).with_hint(Hint::DeleteFirst));
        }
        let mut deletion = self.proof.extras.deletion.clone();
        if deletion.entries == 0 || self.proof.doubt.is_some() {
            return Ok(Permitted(self));
        }
        deletion.before_writing = self.deletes_first.is_some();
        if let Some(limit) = options.max_delete.filter(|limit| !limit.allows(&deletion)) {
            return Err(refused(&self.proof.extras, format!("at most {limit} may be")));
        }
        let Some(consent) = options.consent.clone() else { return Ok(Permitted(self)) };
        // The person who is asked may take long to answer.
        let asking = tokio::task::spawn_blocking(move || consent.ask(&deletion));
        match options.cancel.run_until_cancelled(asking).await {
            Some(Ok(true)) => Ok(Permitted(self)),
            Some(Ok(false)) => Err(refused(&self.proof.extras, "that was not agreed to".into())),
            Some(Err(_)) => Err(Error::internal("asking for consent panicked")),
            None => Err(Error::cancelled()),
        }
    }
}

impl<'a> Permitted<'a> {
    /// Opens the target for writing.
    ///
    /// # Errors
    /// Those of [`Sink::begin`](crate::sink::Sink::begin).
    pub(super) fn open(self) -> Result<Opened<'a>> {
        let Proven { run, sinks: Sinks { sink, name, .. }, proof, deletes_first } = self.0;
        sink.begin()?;
        Ok(Opened { run, sink, name, proof, deletes_first: deletes_first.is_some() })
    }
}

/// Returns what to say when there is only room after the extras are deleted; `None`: there is room, as far as one can
/// know.
fn lack_of_room(run: &Run<'_>, sinks: &Sinks, proof: &Proof) -> Result<Option<String>> {
    if run.options.sparse {
        return Ok(None);
    }
    let needed = needed(run, sinks, proof);
    let Some(available) = sinks.view.available_bytes()?.filter(|available| needed > *available) else {
        return Ok(None);
    };
    let (shown, free) = (human_size(needed), human_size(available));
    let what = format!("no space left: {shown} are needed, {free} are free in the target");
    if needed > available.saturating_add(proof.freed_bytes) || proof.doubt.is_some() {
        return Err(Error::new(ErrorKind::Destination, what));
    }
    Ok(Some(what))
}

/// Returns the bytes of all files as the snapshot itself records them; may lie.
pub(super) fn recorded_bytes(entry: &Entry) -> u64 {
    entry.summary.as_ref().map_or(entry.size, |summary| summary.size)
}

/// Returns a lower bound of what is needed, in bytes: the files that the target does not have.
fn needed(run: &Run<'_>, sinks: &Sinks, proof: &Proof) -> u64 {
    match sinks.view.is_fresh() {
        true if run.options.takes_all() && sinks.name.is_none() => {
            proof.file_bytes.unwrap_or_else(|| recorded_bytes(&run.from.entry))
        }
        _ => proof.absent_bytes,
    }
}
