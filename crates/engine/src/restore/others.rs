//! Finds what stands in the target and was not restored: the names on the disk are compared with a walk of the
//! snapshot, after the restore.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::run::Run;
use super::slot::{FileSlot, Folder};
use super::tree::Tree;
use super::unrestored::MOST;
use super::walked::Walked;
use super::walking::start_walk;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Sink;

/// The entries that were found.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Paths of the entries, relative to the root, in byte order, a directory for all below it.
    pub(super) paths: Vec<Vec<u8>>,
    /// Whether the receipt will be among them, in a directory that was restored.
    pub(super) holds_receipt: bool,
}

/// The place of the receipt: device and inode of its folder, and its name.
pub(super) struct ReceiptPlace {
    pub(super) folder: (u64, u64),
    pub(super) name: OsString,
}

/// Bytes of all paths together at most: a receipt has to be read again.
const MOST_BYTES: usize = 128 << 20;

struct Finding {
    view: Arc<Sink>,
    /// Entries of the snapshot that were not restored.
    unrestored: HashSet<String>,
    receipt: Option<ReceiptPlace>,
    /// Directories that are being walked, by their address.
    folders: HashMap<usize, Walking>,
    others: Others,
    bytes: usize,
}

/// A directory that is being walked.
struct Walking {
    /// Names of what was restored in the directory.
    names: HashSet<String>,
    /// Whether something was restored in the directory.
    is_used: bool,
    /// Whether the directory is one of the others itself, or below one.
    is_out: bool,
    /// Number of the others that were found before the directory.
    before: usize,
}

/// Finds what stands in `view` and is not of `tree`, or was not restored.
///
/// # Errors
/// When it cannot be known, or there is too much of it.
pub(super) async fn find_others(
    run: &Run<'_>,
    view: Arc<Sink>,
    tree: Tree,
    receipt: Option<ReceiptPlace>,
) -> Result<Others> {
    let options = run.options;
    let unrestored = run.ledger.unrestored.take().ok_or_else(too_many)?;
    let (folders, others) = (HashMap::new(), Others::default());
    let mut finding = Finding { view, unrestored, receipt, folders, others, bytes: 0 };
    let stop = options.cancel.also(&run.state.stop);
    let (walking, mut walked) =
        start_walk(&run.repository.contents(), options, &run.ledger.clock, stop, tree)?;
    while let Some(batch) = walked.recv().await {
        let looking = tokio::task::spawn_blocking(move || {
            let taken = batch.into_iter().try_for_each(|item| finding.take(item));
            (finding, taken)
        });
        let (looked, taken) =
            looking.await.map_err(|_| Error::internal("looking for other entries panicked"))?;
        taken?;
        finding = looked;
    }
    walking.end().await?;
    let mut others = finding.others;
    others.paths.sort_unstable();
    others.paths.dedup();
    Ok(others)
}

impl Finding {
    fn take(&mut self, item: Walked) -> Result<()> {
        match item {
            Walked::Folder(folder) => self.enter(&folder),
            Walked::Listed { folder, .. } => return self.leave(&folder),
            Walked::Slices { slot, last: true, .. } => return self.entry(&slot),
            Walked::Failed { path, error } if !self.is_known(&path) => {
                let what = format!("{path:?} cannot be read once more");
                return Err(Error::new(error.kind(), what).because(error));
            }
            Walked::Slices { .. } | Walked::Failed { .. } | Walked::Renamed { .. } => {}
        }
        Ok(())
    }

    /// Whether the restore has told of this failure already; the root's own failure says nothing about other entries.
    fn is_known(&self, path: &str) -> bool {
        path.is_empty() || self.unrestored.contains(path)
    }

    fn enter(&mut self, folder: &Arc<Folder>) {
        let above = folder.parent().and_then(|above| self.folders.get_mut(&key(above)));
        let mut is_out = above.as_ref().is_some_and(|above| above.is_out);
        if let Some(above) = above.filter(|_| !is_out) {
            is_out = !self.unrestored.is_empty() && self.unrestored.contains(&folder.path());
            if !is_out {
                above.names.insert(folder.name().to_owned());
            }
        }
        let before = self.others.paths.len();
        self.folders.insert(key(folder), Walking { names: HashSet::new(), is_used: false, is_out, before });
    }

    fn entry(&mut self, slot: &Arc<FileSlot>) -> Result<()> {
        let Some(folder) = self.folders.get_mut(&key(&slot.folder)).filter(|folder| !folder.is_out) else {
            return Ok(());
        };
        if !self.unrestored.is_empty() && self.unrestored.contains(&slot.path()) {
            return Ok(());
        }
        if let Some((error, _)) = slot.take_failure() {
            return Err(error);
        }
        folder.is_used = true;
        folder.names.insert(slot.name.as_str().to_owned());
        Ok(())
    }

    /// Ends a directory that was walked: whatever else is in it is one of the others.
    fn leave(&mut self, folder: &Arc<Folder>) -> Result<()> {
        let Some(walked) = self.folders.remove(&key(folder)) else { return Ok(()) };
        if walked.is_out || !folder.counts() {
            return Ok(());
        }
        let is_used = walked.is_used || folder.node.is_for_itself();
        if let Some(above) = folder.parent().and_then(|above| self.folders.get_mut(&key(above))) {
            above.is_used |= is_used;
            if !is_used {
                // An entry that is there all the same was not made for this restore.
                above.names.remove(folder.name());
                self.others.paths.truncate(walked.before);
                self.view.close_again(&folder.node);
                return Ok(());
            }
        }
        let found = self.view.names(&folder.node, &walked.names, MOST);
        let found = found
            .map_err(|e| Error::new(ErrorKind::Destination, "the target cannot be listed").because(e))?;
        let found = found.unwrap_or_default();
        if let Some(missing) = found.missing.first() {
            let path = folder.path_of(missing);
            let what = format!("{path:?} was restored, and is not there any more");
            return Err(Error::new(ErrorKind::Destination, what));
        }
        for name in &found.unknown {
            self.push(folder, name.to_bytes())?;
        }
        if let Some(receipt) = self.receipt.take_if(|receipt| receipt.folder == found.id) {
            let name = receipt.name.as_bytes();
            if receipt.name.to_str().is_some_and(|name| walked.names.contains(name)) {
                let what = "the receipt would take the place of a restored entry: put it elsewhere";
                return Err(Error::new(ErrorKind::Destination, what));
            }
            self.others.holds_receipt = true;
            self.push(folder, name)?;
        }
        self.view.close_again(&folder.node);
        Ok(())
    }

    fn push(&mut self, folder: &Arc<Folder>, name: &[u8]) -> Result<()> {
        let mut path = folder.path().into_bytes();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        self.bytes += path.len();
        self.others.paths.push(path);
        if self.others.paths.len() > MOST || self.bytes > MOST_BYTES { Err(too_many()) } else { Ok(()) }
    }
}

fn too_many() -> Error {
    let what = format!(
        "more than {MOST} entries that were not restored stand in the target, or their names are too long"
    );
    Error::new(ErrorKind::Destination, what)
}

/// Returns the key of a directory that is on its way: its address.
fn key(folder: &Arc<Folder>) -> usize {
    Arc::as_ptr(folder) as usize
}
