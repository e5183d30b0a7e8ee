//! Reads restored files back from the disk and compares them with the content ids.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::filter::Filter;
use super::finish::Outcome;
use super::options::RestoreOptions;
use super::pass::Tree;
use super::slot::{FileSlot, SlotKind};
use super::walk::{Walk, WalkOptions, Walked};
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::repository::contents::Contents;
use crate::repository::objects::Slice;
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
            for item in batch {
                if let Walked::Slices { slot, slices, .. } = item
                    && slot.kind == SlotKind::File
                    && !slot.has_failed()
                    && let Err(e) = compare(&sink, &contents, &slot, &slices)
                {
                    outcome.failed(slot.path(), &e, false);
                }
            }
        });
        compared.await.map_err(|_| Error::internal("reading back panicked"))?;
    }
    walking.await.map_err(|_| Error::internal("the walk panicked"))
}

fn compare(sink: &Sink, contents: &Contents, slot: &FileSlot, slices: &[Slice]) -> Result<()> {
    let file = sink.open_existing(&slot.folder.node, &slot.name)?;
    let mut buffer = Vec::new();
    for slice in slices {
        let len = usize::try_from(slice.len.unwrap_or(0)).unwrap_or(usize::MAX);
        let read = file.read_at(slice.start, len, &mut buffer);
        let read = read.map_err(|e| Error::new(ErrorKind::Destination, "cannot be read back").because(e))?;
        // The hash of an object that was compressed as a whole is of the compressed stream: only its length shows.
        let right =
            read && (slice.compressed || contents.opener.verify_hash(&slice.content, &buffer).is_ok());
        if !right {
            let what = format!("the disk does not hold what was written at {}", slice.start);
            return Err(Error::new(ErrorKind::Destination, what).of_content(&slice.content));
        }
    }
    Ok(())
}
