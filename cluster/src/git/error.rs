//! Says why nothing could be rendered at all.

use std::fmt;
use std::path::{Path, PathBuf};

/// The reason why a tree, a folder or a file could not be rendered; what is wrong with a part of it is a
/// [`Note`](super::Note).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitError {
    /// A file or folder cannot be read, and the system's reason.
    Unreadable(PathBuf, String),
    /// A text is not YAML or JSON: where it comes from, and the parser's reason.
    NotYaml(String, String),
    /// A tree holds more files than are read.
    TooMany(PathBuf, usize),
}

impl GitError {
    pub(super) fn unreadable(path: &Path, why: &std::io::Error) -> Self {
        GitError::Unreadable(path.to_owned(), why.to_string())
    }
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GitError::Unreadable(path, why) => {
                write!(f, "cannot read {}: {why}: name a file or folder that can be read", path.display())
            }
            GitError::NotYaml(file, why) => {
                write!(f, "cannot read {file}: {why}: give Kubernetes manifests in YAML or JSON")
            }
            GitError::TooMany(path, most) => write!(
                f,
                "cannot read {}: more than {most} files: name the folder of one cluster",
                path.display()
            ),
        }
    }
}

impl std::error::Error for GitError {}
