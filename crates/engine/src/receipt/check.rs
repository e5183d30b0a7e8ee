//! Checks a directory against a receipt, without the repository.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::document::Receipt;
use super::escape::{escaped, unescaped};
use crate::error::{Error, ErrorKind, Result};
use crate::hashing::{Known, hash_tree};
use crate::observer::{Cancel, Event, Observer, Phase};
use crate::sink::{DigestRoot, NEAREST, TreeDigest, depth, open_to_read};

/// Time in which directories get their modes back, once the check is asked to stop.
const MODES_BACK: Duration = Duration::from_secs(2);

/// The result of checking a directory against a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiptCheck {
    /// The digest of what is there.
    pub found: TreeDigest,
    /// What differs, as far as the receipt knows directories; none where the digests are equal, and none of a file or link.
    pub differences: Vec<ReceiptDifference>,
    /// Whether the digests are equal: only this decides.
    pub is_equal: bool,
}

/// A directory below which something differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReceiptDifference {
    /// Relative to the root, escaped as in the receipt; empty for the root.
    pub path: String,
    /// `missing`, `extra`, `differs` (the names, attributes or contents of its own entries) or `below` (something deeper than
    /// the receipt tells apart).
    pub what: &'static str,
}

impl Receipt {
    /// Hashes what is at `target` and compares it with the receipt. Neither is changed, but for the modes of
    /// directories and files of ours that are closed to us, which are open as long as they are read. `threads`: 0 for
    /// as many as cores.
    ///
    /// # Errors
    /// [`ErrorKind::Destination`] when something at `target` cannot be read; [`ErrorKind::Cancelled`];
    /// [`ErrorKind::Usage`] when the receipt is damaged.
    pub async fn check(
        &self,
        target: &Path,
        threads: usize,
        cancel: &Cancel,
        observer: Arc<dyn Observer>,
    ) -> Result<ReceiptCheck> {
        observer.event(Event::Phase { phase: Phase::Hashing });
        let mut others = paths(self.others.iter())?;
        others.sort_unstable();
        let wanted: HashSet<Vec<u8>> = paths(self.nearest.iter().map(|one| &one.path))?.into_iter().collect();
        let root = root_at(target, &self.root)?;
        let entries = self.files.saturating_add(self.directories).saturating_add(self.symlinks);
        let known = Known { entries, files: self.files, bytes: self.bytes };
        let stop = cancel.clone();
        let hashing = tokio::task::spawn_blocking(move || {
            hash_tree(root, &others, &wanted, threads, known, &stop, observer.as_ref())
        });
        let hashed = cancel.run_with_grace(MODES_BACK, hashing).await.ok_or_else(Error::cancelled)?;
        let found = hashed.map_err(|_| Error::internal("hashing panicked"))?;
        let found = found.map_err(|e| unreadable(target).because(e))?.ok_or_else(Error::cancelled)?;
        let is_equal = found.hash == self.tree_hash;
        let differences = if is_equal { Vec::new() } else { self.differences(&found)? };
        Ok(ReceiptCheck { found, differences, is_equal })
    }

    /// Returns what differs by each directory's own entries, so that what is above a change is not named for it.
    fn differences(&self, found: &TreeDigest) -> Result<Vec<ReceiptDifference>> {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let there: HashMap<_, _> = found.nearest.iter().map(|one| (bytes(&one.path), one)).collect();
        let known = paths(self.nearest.iter().map(|one| &one.path))?;
        let mut differences = Vec::new();
        let mut named: HashSet<Vec<u8>> = HashSet::new();
        // The deepest first: a directory whose own entries are equal is told of only if nothing below it is.
        for (path, expected) in known.iter().zip(&self.nearest).rev() {
            let what = match there.get(path) {
                None => "missing",
                Some(is) if is.own != expected.own => "differs",
                Some(is) if is.digest != expected.digest && !named.contains(path) => "below",
                Some(_) => continue,
            };
            differences.push((path.clone(), what));
            name_above(path, &mut named);
        }
        let expected: HashSet<_> = known.iter().collect();
        let last = known.last().filter(|_| known.len() >= NEAREST).map(|last| (depth(last), last.clone()));
        for path in there.keys().filter(|path| !expected.contains(path)) {
            // Deeper ones may be known to the restore and not to the receipt.
            if last.as_ref().is_none_or(|last| (depth(path), (*path).clone()) < *last) {
                differences.push((path.clone(), "extra"));
            }
        }
        // All of what is missing or extra is told by its topmost directory.
        let whole: HashSet<_> = differences
            .iter()
            .filter(|one| matches!(one.1, "missing" | "extra"))
            .map(|one| one.0.clone())
            .collect();
        differences.retain(|(path, _)| above(path).all(|above| !whole.contains(above)));
        differences.sort();
        let differences = differences.into_iter().map(|(path, what)| ReceiptDifference {
            path: escaped(Path::new(std::ffi::OsStr::from_bytes(&path))),
            what,
        });
        Ok(differences.collect())
    }
}

/// Returns every directory above the path, the root among them.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let cuts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    cuts.chain((!path.is_empty()).then_some(0)).map(|at| &path[..at])
}

fn name_above(path: &[u8], named: &mut HashSet<Vec<u8>>) {
    named.extend(above(path).map(<[u8]>::to_vec));
}

fn paths<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<Vec<u8>>> {
    let bytes = texts.map(|text| Some(unescaped(text)?.into_os_string().into_encoded_bytes()));
    let damaged = || Error::new(ErrorKind::Usage, "the receipt is damaged: a path is none");
    bytes.collect::<Option<_>>().ok_or_else(damaged)
}

fn unreadable(target: &Path) -> Error {
    Error::new(ErrorKind::Destination, format!("cannot read {}", target.display()))
}

/// Returns what is to be hashed. A directory may be given by a link to it; a file or link stands for itself.
fn root_at(target: &Path, kind: &str) -> Result<DigestRoot> {
    if kind == "directory" {
        let opened = open_to_read(target).map_err(|e| unreadable(target).because(e))?;
        return Ok(DigestRoot::Directory(Arc::new(opened)));
    }
    let name = target.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
    let name = name.ok_or_else(|| unreadable(target))?;
    let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let opened = open_to_read(above).map_err(|e| unreadable(target).because(e))?;
    Ok(DigestRoot::Single(Arc::new(opened), name))
}
