//! Reads restored files back from the disk and compares them with the content ids.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::filter::Filter;
use super::finish::Outcome;
use super::options::RestoreOptions;
use super::pass::Tree;
use super::rehash::{DiskRange, Found, check_ranges};
use super::slot::{FileSlot, SlotKind};
use super::walk::{Walk, WalkOptions, Walked};
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::sink::Sink;

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
    let tree = tree.clone();
    let walking = tokio::spawn(async move {
        match tree {
            Tree::Directory { folder, root } => walk.run_directory(folder, &root).await,
            Tree::Single { folder, name, entry } => walk.run_single(folder, name, &entry).await,
        }
    });
    while let Some(batch) = walked.recv().await {
        let (sink, outcome, contents) = (Arc::clone(sink), Arc::clone(outcome), contents.clone());
        let compared = tokio::task::spawn_blocking(move || {
            compare(&sink, &contents, &outcome, &batch);
            close(&sink, &outcome, &batch);
        });
        compared.await.map_err(|_| Error::internal("reading back panicked"))?;
    }
    walking.await.map_err(|_| Error::internal("the walk panicked"))
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

/// Reports every file of the batch whose bytes on the disk are not those of its contents, once.
fn compare(sink: &Sink, contents: &Contents, outcome: &Outcome, batch: &[Walked]) {
    let files = batch.iter().filter_map(|item| match item {
        Walked::Slices { slot, slices, .. } if slot.kind == SlotKind::File && !slot.has_failed() => {
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
        let file = match sink.open_existing(&slot.folder.node, &slot.name) {
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
