//! Defines the receipt as a document, reads and writes it.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A receipt: what a restore left on the disk, as JSON in camelCase. docs/receipt.md defines its members.
///
/// Made by [`Receipt::of`], written by [`Receipt::write`]; read by [`Receipt::read`], checked by [`Receipt::check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Receipt {
    /// The kind of document: always `rekopia-receipt`.
    pub kind: String,
    /// The version of the document: 1.
    pub version: u64,
    /// Name and version of the program that restored.
    #[serde(default)]
    pub program: String,
    /// Hexadecimal unique ID of the repository.
    #[serde(default)]
    pub repository: String,
    /// The snapshot that was restored; `None`: a bare object, which belongs to no snapshot.
    #[serde(default)]
    pub snapshot: Option<ReceiptSnapshot>,
    /// The path below the snapshot's root; empty for the root.
    #[serde(default)]
    pub sub_path: String,
    /// The object that was restored: an ID of Kopia.
    #[serde(default)]
    pub root_object: Option<String>,
    /// When the restore began: RFC 3339.
    #[serde(default)]
    pub begin: String,
    /// When the restore ended: RFC 3339.
    #[serde(default)]
    pub end: String,
    /// What the restore was asked for.
    #[serde(default)]
    pub options: ReceiptOptions,
    /// `directory`, `file` or `symlink`: what the root of the tree is.
    pub root: String,
    /// The digest of the tree: 64 lower-case hexadecimal digits.
    pub tree_hash: String,
    /// What the digest of the tree is over, in words.
    #[serde(default)]
    pub tree_hash_over: String,
    /// Regular files that the digest is over.
    pub files: u64,
    /// Directories that the digest is over, the root included.
    pub directories: u64,
    /// Symbolic links that the digest is over.
    pub symlinks: u64,
    /// Bytes of the regular files that the digest is over.
    pub bytes: u64,
    /// Paths that the digest is not over, escaped and in byte order: relative to the root, a directory for all below
    /// it.
    pub others: Vec<String>,
    /// Entries of the snapshot that were left alone as asked.
    #[serde(default)]
    pub skipped: u64,
    /// Entries of the snapshot that could not be restored.
    #[serde(default)]
    pub failed: u64,
    /// The first entries that could not be restored.
    #[serde(default)]
    pub losses: Vec<ReceiptLoss>,
    /// Attributes that could not be set.
    #[serde(default)]
    pub unset_attributes: u64,
    /// The first attributes that could not be set.
    #[serde(default)]
    pub unset: Vec<ReceiptRemark>,
    /// Digests of the directories nearest to the root, breadth first.
    #[serde(default)]
    pub nearest: Vec<ReceiptDirectory>,
    /// Whether the receipt's file will lie in a directory of the tree.
    #[serde(skip)]
    pub(super) is_inside: bool,
}

/// The snapshot that was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReceiptSnapshot {
    /// The ID of the snapshot's manifest.
    pub id: String,
    /// The source of the snapshot: `user@host:/path`.
    pub source: String,
    /// When the snapshot was begun: RFC 3339.
    pub start_time: String,
}

/// Options that decide what stands on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ReceiptOptions {
    /// Which existing files were replaced: `always`, `if-changed`, `skip-existing` or `never`.
    pub overwrite: String,
    /// Whether extra entries were to be deleted.
    pub delete_extra: bool,
    /// Which owners were set: `keep`, `skip` or `UID:GID`.
    pub owner: String,
    /// Whether modes were restored.
    pub modes: bool,
    /// Whether modification times were restored.
    pub times: bool,
    /// Patterns of entries that were wanted.
    pub include: Vec<String>,
    /// Patterns of entries that were not wanted.
    pub exclude: Vec<String>,
    /// Directory levels that were wanted; `None`: all.
    pub max_depth: Option<usize>,
}

/// An entry that could not be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReceiptLoss {
    /// The path of the entry, relative to the root.
    pub path: String,
    /// The class of the error.
    pub kind: String,
    /// What failed and why.
    pub message: String,
}

/// An attribute that could not be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReceiptRemark {
    /// The path of the entry, relative to the root.
    pub path: String,
    /// What could not be set, and why.
    pub message: String,
}

/// The digests of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReceiptDirectory {
    /// The path of the directory, relative to the root, escaped; empty for the root.
    pub path: String,
    /// The digest over all that is below the directory.
    pub digest: String,
    /// The digest over the directory's own entries, without what is in its subdirectories.
    pub own: String,
}

pub(super) const KIND: &str = "rekopia-receipt";
pub(super) const VERSION: u64 = 1;
/// Longest receipt that is read, in bytes: more than the longest that is written.
const LONGEST: u64 = 1 << 30;

/// The members that every version of a receipt has.
#[derive(Deserialize)]
struct Head {
    kind: String,
    version: u64,
}

impl Receipt {
    /// Reads a receipt from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when it cannot be read, is none, or is of a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |e| {
            let what = format!("cannot read the receipt {}", path.display());
            Error::new(ErrorKind::Usage, what).because(e)
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        Receipt::parse(&bytes).map_err(|e| Error::new(e.kind(), path.display().to_string()).because(e))
    }

    /// Reads a receipt from the bytes of its file, at most 1 GiB.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when they are none, or of a newer version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::new(ErrorKind::Usage, what);
        let no_receipt = "this is not a receipt of a restore";
        if bytes.len() as u64 > LONGEST {
            return Err(wrong(no_receipt));
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|e| wrong(no_receipt).because(e))?;
        if head.kind != KIND || head.version == 0 {
            return Err(wrong(no_receipt));
        }
        if head.version > VERSION {
            let what = format!("the receipt has version {}; this program knows {VERSION}", head.version);
            return Err(Error::new(ErrorKind::Usage, what));
        }
        let damaged = "the receipt is damaged";
        let receipt: Receipt = serde_json::from_slice(bytes).map_err(|e| wrong(damaged).because(e))?;
        let is_hash =
            |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let digests = receipt.nearest.iter().flat_map(|one| [&one.digest, &one.own]);
        let is_kind = matches!(receipt.root.as_str(), "directory" | "file" | "symlink");
        if !is_kind || !digests.chain([&receipt.tree_hash]).all(|text| is_hash(text)) {
            return Err(wrong(damaged));
        }
        Ok(receipt)
    }

    /// Writes the receipt to a file: whole, in one step, and on the disk when this returns. Where the file lies in a
    /// directory that was restored, that keeps its modification time.
    ///
    /// # Errors
    /// [`ErrorKind::Destination`]; what was at `path` before is there still.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = || {
            let what = format!("cannot write the receipt {}", path.display());
            Error::new(ErrorKind::Destination, what)
        };
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| failed().because(e))?;
        bytes.push(b'\n');
        crate::sink::put_file_in_tree(path, &bytes, self.is_inside).map_err(|e| failed().because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_receipt_is_said() {
        let hash = "0".repeat(64);
        let whole = |version: u64, hash: &str| {
            format!(
                r#"{{"kind":"rekopia-receipt","version":{version},"root":"directory","treeHash":"{hash}",
                "files":1,"directories":1,"symlinks":0,"bytes":2,"others":[],"more":1}}"#
            )
        };
        let said = |text: &str| Receipt::parse(text.as_bytes()).map_err(|e| (e.kind(), e.chain()));
        assert_eq!(said(&whole(1, &hash)).unwrap().files, 1);
        for (text, part) in [
            ("", "not a receipt"),
            ("{}", "not a receipt"),
            (r#"{"kind":"other","version":1}"#, "not a receipt"),
            (r#"{"kind":"rekopia-receipt","version":1}"#, "damaged"),
            (&whole(2, &hash), "has version 2"),
            (&whole(1, &hash.replace('0', "G")), "damaged"),
        ] {
            let (kind, message) = said(text).unwrap_err();
            assert!(kind == ErrorKind::Usage && message.contains(part), "{text}: {message}");
        }
    }
}
