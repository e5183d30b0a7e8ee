//! Hashes what stands in the target after the restore, less what was not restored.

use std::collections::HashSet;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rekopia_format::entry_name::EntryName;

use super::options::Receipting;
use super::others::{ReceiptPlace, find_others};
use super::run::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::hashing::{Known, hash_tree};
use crate::observer::Phase;
use crate::sink::{DigestRoot, Sink, TreeDigest};

/// Returns the digest of what was restored into `sink`; a file or link is called `name` there.
///
/// # Errors
/// When it cannot be read, or what was not restored cannot be known.
pub(super) async fn digest_target(
    run: &Run<'_>,
    sink: &Arc<Sink>,
    name: Option<&EntryName>,
) -> Result<TreeDigest> {
    let what = |e| Error::new(ErrorKind::Destination, "the target cannot be read").because(e);
    run.state.enter(Phase::Hashing);
    let (options, report) = (run.options, run.ledger.report());
    let view = sink.as_it_stands().map_err(what)?;
    let tree = run.tree(&view, name)?;
    let others = find_others(run, Arc::clone(&view), tree, receipt_place(&options.receipt)).await?;
    let dir = view.dir(view.root()).map_err(what)?.fd;
    let root = match name {
        None => DigestRoot::Directory(dir),
        Some(name) => {
            let name = CString::new(name.as_str()).map_err(|_| Error::internal("a name with a zero"))?;
            DigestRoot::Single(dir, name)
        }
    };
    let known = Known {
        entries: report.files + report.directories + report.symlinks,
        files: report.files,
        bytes: report.bytes,
    };
    let observer = Arc::clone(&run.state.observer);
    let stop = options.cancel.also(&run.state.stop);
    let (holds_receipt, paths) = (others.holds_receipt, others.paths);
    let hashing = tokio::task::spawn_blocking({
        let threads = options.threads;
        move || {
            let digest = hash_tree(root, &paths, &HashSet::new(), threads, known, &stop, observer.as_ref());
            (digest, paths)
        }
    });
    let (digest, paths) = hashing.await.map_err(|_| Error::internal("hashing panicked"))?;
    let digest = digest.map_err(what)?.ok_or_else(Error::cancelled)?;
    let others = paths.into_iter().map(|path| PathBuf::from(OsString::from_vec(path))).collect();
    Ok(TreeDigest { others, holds_receipt, ..digest })
}

/// Returns where the receipt will be, where its folder is there.
fn receipt_place(receipt: &Receipting) -> Option<ReceiptPlace> {
    let Receipting::File(path) = receipt else { return None };
    // What is there is replaced where it is, not where a link to it is.
    let path = path.canonicalize().unwrap_or_else(|_| path.clone());
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::fs::metadata(parent).ok()?;
    let name = OsStr::from_bytes(path.file_name()?.as_bytes()).to_owned();
    Some(ReceiptPlace { folder: (folder.dev(), folder.ino()), name })
}
