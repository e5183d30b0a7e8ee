//! Ends entries: takes what a file, link or directory came to, and finishes the directories that waited for it.

use std::sync::Arc;

use super::destination::Destination;
use super::ledger::Ledger;
use super::run_state::RunState;
use super::slot::{FileSlot, Folder};
use crate::error::{Error, ErrorKind};
use crate::sink::FidelityIssue;

/// The result of a file or link.
#[derive(Debug)]
pub(crate) enum End {
    /// The entry is as the snapshot has it, but for these attributes.
    Complete { bytes: u64, issues: Vec<FidelityIssue> },
    /// The entry is not as the snapshot has it; `mixed` when an existing file is no longer what it was either.
    Failed { error: Error, mixed: bool },
    /// The entry was not finished when the run was stopped, which is no failure of its own.
    Stopped,
}

/// The last stage: takes the ends of entries and finishes the directories whose countdown reached zero.
pub(crate) struct Finisher {
    destination: Destination,
    ledger: Arc<Ledger>,
    state: Arc<RunState>,
    /// Whether an attribute that cannot be set is a failure.
    strict_attributes: bool,
}

impl Finisher {
    pub(crate) fn new(
        destination: Destination,
        ledger: &Arc<Ledger>,
        state: &Arc<RunState>,
        strict_attributes: bool,
    ) -> Self {
        Finisher { destination, ledger: Arc::clone(ledger), state: Arc::clone(state), strict_attributes }
    }

    /// Takes the end of a file or link.
    pub(crate) fn end(&self, slot: &FileSlot, end: End) {
        match end {
            End::Complete { bytes, issues } => {
                self.unset(issues);
                self.ledger.entry_done(slot, bytes);
            }
            End::Failed { error, mixed } => {
                if error.kind() == ErrorKind::Corrupt {
                    self.ledger.lose(slot);
                }
                self.state.fail(&self.ledger, slot.path(), &error, mixed);
            }
            End::Stopped => {}
        }
        self.child_done(&slot.folder);
    }

    /// Notes that the run was stopped while an existing file was being changed, and that this could not be undone.
    pub(crate) fn half_changed(&self, slot: &FileSlot) {
        self.state.fail(&self.ledger, slot.path(), &half_changed(), true);
    }

    /// Counts attributes that could not be set on a restored entry.
    pub(crate) fn unset(&self, issues: Vec<FidelityIssue>) {
        for issue in issues {
            let (path, message) = (issue.path.clone(), issue.to_string());
            self.ledger.attribute_unset(path.clone(), message.clone());
            if self.strict_attributes {
                let error = Error::new(ErrorKind::Destination, message);
                self.state.fail(&self.ledger, path, &error, false);
            }
        }
    }

    /// Counts an entry of `folder` (or its listing) as finished; finishes the directories that waited for nothing else.
    pub(crate) fn child_done(&self, folder: &Arc<Folder>) {
        let mut done = Arc::clone(folder);
        while done.one_done() {
            if done.node.is_wanted() && !self.state.stop.is_cancelled() {
                match self.destination.target().map_or(Ok(Vec::new()), |sink| sink.finish_dir(&done.node)) {
                    Err(e) if e.is_kept() => {
                        Ledger::add(&self.ledger.skipped, 1);
                        self.ledger.unrestored.note(|| done.path());
                    }
                    Err(e) if e.is_protected() => self.ledger.protect(&done.path()),
                    Ok(issues) => {
                        Ledger::add(&self.ledger.directories, u64::from(done.counts()));
                        self.unset(issues);
                    }
                    Err(e) => self.state.fail(&self.ledger, done.path(), &e.into(), false),
                }
            }
            let Some(parent) = done.parent().map(Arc::clone) else { return };
            done = parent;
        }
    }
}

/// Makes the error that says why a file is left half-changed.
pub(crate) fn half_changed() -> Error {
    Error::new(ErrorKind::Destination, "stopped while an existing file was being changed")
}
