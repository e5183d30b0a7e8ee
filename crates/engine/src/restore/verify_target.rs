//! Reads what was restored back from the disk: compares bytes with the content IDs, attributes with the snapshot's.

use std::collections::HashSet;
use std::sync::Arc;

use super::compare_disk::{DiskRange, Found, check_ranges};
use super::destination::Destination;
use super::finish::Finisher;
use super::ledger::Ledger;
use super::options::{Overwrite, RestoreOptions};
use super::run_state::RunState;
use super::slot::{FileSlot, SlotKind};
use super::tree::Tree;
use super::walked::Walked;
use super::walking::start_walk;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::repository::objects::Slice;
use crate::sink::{ExistingKind, FidelityIssue, Sink};

/// Walks the tree once more; an entry that is not on the disk as it should be fails.
pub(crate) async fn verify_target(
    repository: &Repository,
    sink: &Arc<Sink>,
    tree: Tree,
    options: &RestoreOptions,
    ledger: &Arc<Ledger>,
    state: &Arc<RunState>,
) -> Result<()> {
    let contents = repository.contents();
    let (walking, mut walked) = start_walk(&contents, options, &ledger.clock, options.cancel.clone(), tree)?;
    let check = Arc::new(Check {
        sink: Arc::clone(sink),
        contents,
        finisher: Finisher::new(Destination::Dropped, ledger, state, options.strict_attributes),
        ledger: Arc::clone(ledger),
        state: Arc::clone(state),
        told: Told::by(ledger, options),
    });
    while let Some(batch) = walked.recv().await {
        let check = Arc::clone(&check);
        let compared = tokio::task::spawn_blocking(move || {
            check.bytes(&batch);
            check.attributes(&batch);
            check.close(&batch);
        });
        compared.await.map_err(|_| Error::internal("reading back panicked"))?;
    }
    walking.end().await
}

/// A comparison of what was restored with what is on the disk.
struct Check {
    sink: Arc<Sink>,
    contents: Contents,
    finisher: Finisher,
    ledger: Arc<Ledger>,
    state: Arc<RunState>,
    told: Told,
}

/// The failures that the report says already, and need not say again.
struct Told {
    /// Whether attributes are compared: what is kept as it is need not have those of the snapshot.
    wants_attributes: bool,
    /// Entries that were reported as failed, or as having other attributes.
    failed: HashSet<String>,
    unset: HashSet<String>,
    /// Whether there are more entries with other attributes than are remembered.
    more: bool,
}

impl Told {
    fn by(ledger: &Ledger, options: &RestoreOptions) -> Self {
        let report = ledger.report();
        Told {
            wants_attributes: matches!(options.overwrite, Overwrite::Always | Overwrite::IfChanged),
            more: report.unset_attributes > report.fidelity.len() as u64,
            failed: report.failures.into_iter().map(|failure| failure.path).collect(),
            unset: report.fidelity.into_iter().map(|remark| remark.path).collect(),
        }
    }
}

impl Check {
    /// Tells of every entry of the batch that has other attributes than it was to get. A directory is looked at before it
    /// gets them once more.
    fn attributes(&self, batch: &[Walked]) {
        let told = &self.told;
        for item in batch {
            let (path, found) = match item {
                Walked::Slices { slot, slices, last: true } if !slot.has_failed() => {
                    (slot.path(), self.attributes_of(slot, slices))
                }
                Walked::Listed { folder, .. } if folder.node.is_wanted() => {
                    let found = self.sink.dir_differences(&folder.node, told.more);
                    (folder.path(), found.map_err(Error::from))
                }
                _ => continue,
            };
            match found {
                Ok(issues) if told.wants_attributes && !told.unset.contains(&path) => {
                    self.finisher.unset(issues)
                }
                Err(e) if !told.failed.contains(&path) => self.state.fail(&self.ledger, path, &e, false),
                _ => {}
            }
        }
    }

    fn attributes_of(&self, slot: &FileSlot, slices: &[Slice]) -> Result<Vec<FidelityIssue>> {
        if !self.told.wants_attributes {
            return Ok(Vec::new());
        }
        let node = &slot.folder.node;
        let kind = if slot.kind == SlotKind::File { ExistingKind::File } else { ExistingKind::Symlink };
        let found = self.sink.found(node, &slot.name)?.filter(|found| found.kind == kind);
        let differs = |what: String| Err(Error::new(ErrorKind::Destination, what));
        let Some(found) = found else { return differs("the disk does not hold it".into()) };
        // Ranges that are right say nothing about what follows them.
        let end = slices.last().and_then(|last| Some(last.start + last.len?));
        if let Some(end) = end.filter(|end| *end != found.size) {
            return differs(format!("the disk holds {} bytes instead of {end}", found.size));
        }
        Ok(self.sink.differences(node, &slot.name, &found, &slot.attributes, self.told.more))
    }

    /// Gives directories that had to be opened to be read their modes back. A directory is listed after everything
    /// below it.
    fn close(&self, batch: &[Walked]) {
        for item in batch {
            if let Walked::Listed { folder, .. } = item
                && folder.node.is_opened()
                && let Err(e) = self.sink.finish_dir(&folder.node)
            {
                self.state.fail(&self.ledger, folder.path(), &e.into(), false);
            }
        }
    }

    /// Reports every file and link of the batch whose bytes on the disk are not those of its contents, once.
    fn bytes(&self, batch: &[Walked]) {
        let files = batch.iter().filter_map(|item| match item {
            // Nobody waits for the rest of a run that was stopped.
            Walked::Slices { slot, slices, .. } if !slot.has_failed() && !self.state.stop.is_cancelled() => {
                Some((slot, slices))
            }
            _ => None,
        });
        let fails = |slot: &FileSlot, error: Error| {
            if !slot.has_failed() {
                slot.fail(error.again(), false);
                self.state.fail(&self.ledger, slot.path(), &error, false);
            }
        };
        let ranges = files.flat_map(|(slot, slices)| {
            let opened = match slot.kind {
                SlotKind::File => self.sink.open_existing(&slot.folder.node, &slot.name),
                SlotKind::Symlink => self.sink.read_link(&slot.folder.node, &slot.name),
            };
            let file = match opened {
                Ok(file) => Some(Arc::new(file)),
                Err(e) => {
                    fails(slot, e.into());
                    None
                }
            };
            slices.iter().map(move |slice| {
                let (start, content) = (slice.start, slice.content);
                let len = slice.len.unwrap_or(0);
                DiskRange { file: file.clone(), start, len, content, token: (slot, slice) }
            })
        });
        check_ranges(self.contents.opener.hash(), ranges, |(slot, slice), found| {
            // The hash of an object that was compressed as a whole is of the compressed stream: only its length shows.
            if found == Found::Missing || found == Found::Wrong && !slice.compressed {
                let what = format!("the disk does not hold what was written at {}", slice.start);
                fails(slot, Error::new(ErrorKind::Destination, what).of_content(&slice.content));
            }
        });
    }
}
