//! Reads what is in a directory, and tells how it differs from what should be.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// An entry of a tree; `None` is not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The kind: `d`, `f`, `s`, or `?` for anything else.
    pub kind: char,
    /// Permission bits with setuid, setgid and sticky; not compared for symlinks.
    pub mode: u32,
    /// The owner's numeric user ID.
    pub uid: u32,
    /// The owner's numeric group ID.
    pub gid: u32,
    /// The bytes of a file.
    pub size: u64,
    /// The modification time, in nanoseconds since 1970.
    pub mtime_ns: Option<i64>,
    /// The target of a link.
    pub target: Option<Vec<u8>>,
    /// Hex SHA-256 of a file.
    pub sha256: Option<String>,
}

/// Entries by path; the root is the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Entries by path relative to the root.
    pub entries: BTreeMap<String, TreeEntry>,
}

/// The differences of two trees: one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeDiff {
    /// The lines: `path: what expected …, found …`.
    pub lines: Vec<String>,
}

#[derive(Deserialize)]
struct RawEntry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    mode: String,
    uid: u32,
    gid: u32,
    #[serde(default)]
    size: u64,
    mtime_ns: Option<i64>,
    target: Option<String>,
    target_b64: Option<String>,
    sha256: Option<String>,
    #[serde(default)]
    skip: bool,
}

impl Tree {
    /// Reads a directory, file or link from the disk, with the contents of files.
    pub fn read(root: &Path) -> Tree {
        let mut tree = Tree::default();
        let mut stack = vec![(root.to_owned(), String::new())];
        while let Some((path, name)) = stack.pop() {
            let meta = std::fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let kind = meta.file_type();
            if kind.is_dir() {
                for entry in std::fs::read_dir(&path).unwrap() {
                    let entry = entry.unwrap();
                    let below = entry.file_name().to_string_lossy().into_owned();
                    let below = if name.is_empty() { below } else { format!("{name}/{below}") };
                    stack.push((entry.path(), below));
                }
            }
            let entry = TreeEntry {
                kind: if kind.is_dir() {
                    'd'
                } else if kind.is_file() {
                    'f'
                } else if kind.is_symlink() {
                    's'
                } else {
                    '?'
                },
                mode: meta.mode() & 0o7777,
                uid: meta.uid(),
                gid: meta.gid(),
                size: if kind.is_file() { meta.len() } else { 0 },
                mtime_ns: Some(meta.mtime() * 1_000_000_000 + meta.mtime_nsec()),
                target: kind
                    .is_symlink()
                    .then(|| std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()),
                sha256: kind.is_file().then(|| hex::encode(Sha256::digest(std::fs::read(&path).unwrap()))),
            };
            tree.entries.insert(name, entry);
        }
        tree
    }

    /// Reads the expectation of a fixture: one JSON object a line.
    pub fn from_jsonl(path: &Path) -> Tree {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut tree = Tree::default();
        for line in text.lines() {
            let raw: RawEntry = serde_json::from_str(line).unwrap();
            let target = raw.target.map(String::into_bytes);
            let target = raw.target_b64.map(|t| BASE64_STANDARD.decode(t).unwrap()).or(target);
            let entry = TreeEntry {
                kind: raw.kind.chars().next().unwrap_or('?'),
                mode: u32::from_str_radix(&raw.mode, 8).unwrap(),
                uid: raw.uid,
                gid: raw.gid,
                size: if raw.kind == "f" { raw.size } else { 0 },
                mtime_ns: raw.mtime_ns,
                target,
                sha256: raw.sha256.filter(|_| !raw.skip),
            };
            tree.entries.insert(raw.path, entry);
        }
        tree
    }

    /// Returns the tree without what not everybody may set: owners, and bits beyond the usual nine.
    #[must_use]
    pub fn of_nobody(mut self) -> Tree {
        for entry in self.entries.values_mut() {
            (entry.uid, entry.gid, entry.mode) = (0, 0, entry.mode & 0o777);
        }
        self
    }

    /// Returns how `found` differs from this tree. Whatever is at or below one of `failed` must be absent, except
    /// directories.
    pub fn diff(&self, found: &Tree, failed: &[String]) -> TreeDiff {
        let mut lines = Vec::new();
        let covered = |path: &str| failed.iter().any(|f| path == f || path.starts_with(&format!("{f}/")));
        for (path, want) in &self.entries {
            let shown = if path.is_empty() { "." } else { path };
            let Some(have) = found.entries.get(path) else {
                if !covered(path) {
                    lines.push(format!("{shown}: missing"));
                }
                continue;
            };
            if covered(path) {
                if want.kind != 'd' {
                    lines.push(format!("{shown}: exists, but its data is damaged"));
                }
                continue;
            }
            let mut compare = |what: &str, want: String, have: String| {
                if want != have {
                    lines.push(format!("{shown}: {what} expected {want}, found {have}"));
                }
            };
            compare("type", want.kind.into(), have.kind.into());
            compare("owner", format!("{}:{}", want.uid, want.gid), format!("{}:{}", have.uid, have.gid));
            if want.kind != 's' {
                compare("mode", format!("{:04o}", want.mode), format!("{:04o}", have.mode));
            }
            if let (Some(want), Some(have)) = (want.mtime_ns, have.mtime_ns) {
                compare("mtime", want.to_string(), have.to_string());
            }
            if want.sha256.is_some() {
                compare("size", want.size.to_string(), have.size.to_string());
                compare("sha256", format!("{:?}", want.sha256), format!("{:?}", have.sha256));
            }
            if let (Some(want), Some(have)) = (&want.target, &have.target) {
                compare("target", want.escape_ascii().to_string(), have.escape_ascii().to_string());
            }
        }
        for path in found.entries.keys().filter(|p| !self.entries.contains_key(*p)) {
            lines.push(format!("{path}: not expected"));
        }
        TreeDiff { lines }
    }
}

impl TreeDiff {
    /// Whether the trees are equal.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for TreeDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines.iter().take(40) {
            writeln!(f, "  {line}")?;
        }
        if self.lines.len() > 40 {
            writeln!(f, "  … and {} more", self.lines.len() - 40)?;
        }
        Ok(())
    }
}
