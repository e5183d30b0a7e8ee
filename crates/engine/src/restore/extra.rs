//! Removes what the snapshot does not have: a walk of its own, after everything was restored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rekopia_format::directory::Entry;
use tokio::sync::mpsc;

use super::finish::Outcome;
use super::options::RestoreOptions;
use super::report::Tally;
use super::slot::Folder;
use super::walk::{Walk, WalkOptions, Walked};
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::sink::{DirNode, Sink};

/// Deletes extras below `root`, directory by directory, and gives each directory its time back.
pub(crate) async fn delete_extra(
    repository: &Repository,
    sink: &Arc<Sink>,
    root: &Entry,
    options: &RestoreOptions,
    outcome: &Arc<Outcome>,
) -> Result<()> {
    let (found, mut walked) = mpsc::channel(8);
    let walk_options = WalkOptions {
        filter: Default::default(),
        max_depth: options.max_depth,
        read_ahead_bytes: options.memory_bytes / 4,
        clock: Arc::clone(&outcome.tally.clock),
        cancel: options.cancel.clone(),
    };
    let folder = Folder::root(Arc::clone(sink.root()));
    let walk = Walk::new(repository.contents(), walk_options, found);
    let entry = root.clone();
    let walking = tokio::spawn(async move { walk.run_directory(folder, &entry).await });
    let mut names: HashMap<*const Folder, HashSet<String>> = HashMap::new();
    while let Some(batch) = walked.recv().await {
        for item in batch {
            match item {
                Walked::Folder(folder) => {
                    if let Some(parent) = folder.parent() {
                        names.entry(Arc::as_ptr(parent)).or_default().insert(folder.name().to_owned());
                    }
                    names.entry(Arc::as_ptr(&folder)).or_default();
                }
                Walked::Slices { slot, last, .. } if last => {
                    names.entry(Arc::as_ptr(&slot.folder)).or_default().insert(slot.name.as_str().to_owned());
                    outcome.skip_child(&slot.folder);
                }
                Walked::Slices { .. } | Walked::Failed { .. } => {}
                Walked::Listed { folder, whole } => {
                    let keeps = names.remove(&Arc::as_ptr(&folder)).unwrap_or_default();
                    if whole && !folder.has_unlisted() {
                        remove(sink, &folder.node, keeps, folder.parent().is_none(), outcome).await?;
                    }
                    outcome.refinish(sink, &folder);
                }
            }
        }
    }
    walking.await.map_err(|_| Error::internal("the walk panicked"))?;
    Ok(())
}

async fn remove(
    sink: &Arc<Sink>,
    node: &Arc<DirNode>,
    keeps: HashSet<String>,
    is_root: bool,
    outcome: &Arc<Outcome>,
) -> Result<()> {
    let (sink, node_here) = (Arc::clone(sink), Arc::clone(node));
    let done = tokio::task::spawn_blocking(move || sink.remove_extra(&node_here, &keeps, is_root)).await;
    match done.map_err(|_| Error::internal("deleting panicked"))? {
        Ok(removed) => {
            Tally::add(&outcome.tally.deleted, removed.entries);
            for name in removed.mount_points {
                outcome.tally.warn(format!("{} is a mount point and stays", node.path_of(&name)));
            }
        }
        Err(e) => outcome.failed(node.path(), &e.into(), false),
    }
    Ok(())
}
