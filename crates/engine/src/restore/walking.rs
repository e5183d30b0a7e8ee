//! A walk that goes on beside whoever takes what it finds.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::filter::Filter;
use super::options::RestoreOptions;
use super::tree::Tree;
use super::walk::{Walk, WalkOptions};
use super::walked::Walked;
use crate::error::{Error, Result};
use crate::observer::Cancel;
use crate::repository::contents::Contents;

/// A walk that goes on beside whoever takes what it finds; it ends when this is dropped.
pub(crate) struct Walking(JoinHandle<()>);

impl Walking {
    /// Runs `walk` until it ends or `cancel` is set.
    fn start(walk: Walk, tree: Tree, cancel: Cancel) -> Self {
        Walking(tokio::spawn(async move {
            let walk = async {
                match tree {
                    Tree::Directory { folder, root } => walk.run_directory(folder, &root).await,
                    Tree::Single { folder, name, entry } => walk.run_single(folder, name, &entry).await,
                }
            };
            cancel.run_until_cancelled(walk).await;
        }))
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Result<()> {
        (&mut self.0).await.map_err(|_| Error::internal("the walk panicked"))
    }
}

impl Drop for Walking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to walk `tree` until `stop` is set; what it finds comes through the channel.
pub(crate) fn start_walk(
    contents: &Contents,
    options: &RestoreOptions,
    clock: &Arc<Clock>,
    stop: Cancel,
    tree: Tree,
) -> Result<(Walking, mpsc::Receiver<Vec<Walked>>)> {
    let (found, walked) = mpsc::channel(8);
    let walk_options = WalkOptions {
        filter: Filter::new(&options.include, &options.exclude)?,
        max_depth: options.max_depth,
        read_ahead_bytes: options.memory_bytes / 4,
        clock: Arc::clone(clock),
        cancel: stop.clone(),
    };
    // Whoever has the keys can store a folder under another's name: one that holds itself would never end.
    let contents = Contents { hashes: true, ..contents.clone() };
    let walk = Walk::new(contents, walk_options, found);
    Ok((Walking::start(walk, tree, stop), walked))
}
