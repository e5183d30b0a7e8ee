//! Reads what was restored back from the disk: bytes against the content ids, attributes against the snapshot's.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::filter::Filter;
use super::finish::Outcome;
use super::options::{Overwrite, RestoreOptions};
use super::pass::{Tree, Walking};
use super::rehash::{DiskRange, Found, check_ranges};
use super::slot::{FileSlot, SlotKind};
use super::walk::{Walk, WalkOptions, Walked};
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::repository::objects::Slice;
use crate::sink::{ExistingKind, FidelityIssue, Sink};

/// Walks the tree once more; what is not on the disk as it should be fails.
pub(crate) async fn reread(
    repository: &Repository,
    sink: &Arc<Sink>,
    tree: &Tree,
    options: &RestoreOptions,
    outcome: &Arc<Outcome>,
) -> Result<()> {
    let (found, mut walked) = mpsc::channel(8);
    let walk_options = WalkOptions {
        filter: Filter::new(&options.include, &options.exclude)?,
        max_depth: options.max_depth,
        read_ahead_bytes: options.memory_bytes / 4,
        clock: Arc::clone(&outcome.tally.clock),
        cancel: options.cancel.clone(),
    };
    let contents = repository.contents();
    let walk = Walk::new(contents.clone(), walk_options, found);
    let walking = Walking::start(walk, tree.clone(), options.cancel.clone());
    let attributes = Arc::new(AttributeCheck::new(outcome, options));
    while let Some(batch) = walked.recv().await {
        let (sink, outcome, contents) = (Arc::clone(sink), Arc::clone(outcome), contents.clone());
        let attributes = Arc::clone(&attributes);
        let compared = tokio::task::spawn_blocking(move || {
            compare(&sink, &contents, &outcome, &batch);
            attributes.compare(&sink, &outcome, &batch);
            close(&sink, &outcome, &batch);
        });
        compared.await.map_err(|_| Error::internal("reading back panicked"))?;
    }
    walking.end().await
}

/// Which attributes are still to be told of.
struct AttributeCheck {
    /// What is kept as it is need not have those of the snapshot.
    wanted: bool,
    /// Entries of which it was told that they failed, or that they have other attributes.
    failed: HashSet<String>,
    unset: HashSet<String>,
    /// There are more of the latter than are remembered.
    more: bool,
}

impl AttributeCheck {
    fn new(outcome: &Outcome, options: &RestoreOptions) -> Self {
        let report = outcome.tally.report();
        let more = report.unset_attributes > report.fidelity.len() as u64;
        let wanted = matches!(options.overwrite, Overwrite::Always | Overwrite::IfChanged);
        let failed = report.failures.into_iter().map(|failure| failure.path).collect();
        AttributeCheck { wanted, failed, unset: report.fidelity.into_iter().map(|r| r.path).collect(), more }
    }

    /// Tells of every entry of the batch that has other attributes than it was to get. A directory is looked at before it
    /// gets them once more.
    fn compare(&self, sink: &Sink, outcome: &Outcome, batch: &[Walked]) {
        for item in batch {
            let (path, found) = match item {
                Walked::Slices { slot, slices, last: true } if !slot.has_failed() => {
                    (slot.path(), self.of_slot(sink, slot, slices))
                }
                Walked::Listed { folder, .. } if folder.node.is_wanted() => {
                    (folder.path(), sink.dir_differences(&folder.node, self.more).map_err(Error::from))
                }
                _ => continue,
            };
            match found {
                Ok(issues) if self.wanted && !self.unset.contains(&path) => outcome.unset(issues),
                Err(e) if !self.failed.contains(&path) => outcome.failed(path, &e, false),
                _ => {}
            }
        }
    }

    fn of_slot(&self, sink: &Sink, slot: &FileSlot, slices: &[Slice]) -> Result<Vec<FidelityIssue>> {
        if !self.wanted {
            return Ok(Vec::new());
        }
        let node = &slot.folder.node;
        let kind = if slot.kind == SlotKind::File { ExistingKind::File } else { ExistingKind::Symlink };
        let found = sink.found(node, &slot.name)?.filter(|found| found.kind == kind);
        let differs = |what: String| Err(Error::new(ErrorKind::Destination, what));
        let Some(found) = found else { return differs("the disk does not hold it".into()) };
        // Ranges that are right say nothing about what follows them.
        let end = slices.last().and_then(|last| Some(last.start + last.len?));
        if let Some(end) = end.filter(|end| *end != found.size) {
            return differs(format!("the disk holds {} bytes instead of {end}", found.size));
        }
        Ok(sink.differences(node, &slot.name, &found, &slot.attributes, self.more))
    }
}

/// What had to be opened to be read gets its mode back. A directory is listed after everything below it.
fn close(sink: &Sink, outcome: &Outcome, batch: &[Walked]) {
    for item in batch {
        if let Walked::Listed { folder, .. } = item
            && folder.node.is_opened()
        {
            outcome.refinish(sink, folder);
        }
    }
}

/// Reports every file and link of the batch whose bytes on the disk are not those of its contents, once.
fn compare(sink: &Sink, contents: &Contents, outcome: &Outcome, batch: &[Walked]) {
    let files = batch.iter().filter_map(|item| match item {
        // Of a run that was stopped nobody waits for the rest.
        Walked::Slices { slot, slices, .. } if !slot.has_failed() && !outcome.stop.is_cancelled() => {
            Some((slot, slices))
        }
        _ => None,
    });
    let fails = |slot: &FileSlot, error: Error| {
        if !slot.has_failed() {
            slot.fail(error.again(), false);
            outcome.failed(slot.path(), &error, false);
        }
    };
    let ranges = files.flat_map(|(slot, slices)| {
        let opened = match slot.kind {
            SlotKind::File => sink.open_existing(&slot.folder.node, &slot.name),
            SlotKind::Symlink => sink.read_link(&slot.folder.node, &slot.name),
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
            DiskRange {
                file: file.clone(),
                start,
                len: slice.len.unwrap_or(0),
                content,
                token: (slot, slice),
            }
        })
    });
    check_ranges(contents.opener.hash(), ranges, |(slot, slice), found| {
        // The hash of an object that was compressed as a whole is of the compressed stream: only its length shows.
        if found == Found::Missing || found == Found::Wrong && !slice.compressed {
            let what = format!("the disk does not hold what was written at {}", slice.start);
            fails(slot, Error::new(ErrorKind::Destination, what).of_content(&slice.content));
        }
    });
}
