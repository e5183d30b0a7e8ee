//! Why a repository could not be written.

use std::io;

use rekopia_format::ids::InvalidId;
use rekopia_format::{BlobId, ContentId, ecc, hashing, key};

use super::splitter::UnknownSplitter;

/// Why a repository could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage refused a blob.
    #[error("writing blob {blob}")]
    Storage {
        /// Which.
        blob: BlobId,
        /// Why.
        source: io::Error,
    },
    /// Data to be stored could not be read.
    #[error("reading {path}")]
    Source {
        /// From where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The options name or combine what does not exist.
    #[error("options expected {expected}, found {found:?}")]
    Options {
        /// What would be right.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// No such hash, or a secret that it cannot take.
    #[error(transparent)]
    Hash(#[from] hashing::Error),
    /// No such key derivation.
    #[error(transparent)]
    Key(#[from] key::Error),
    /// No such error correction.
    #[error(transparent)]
    Ecc(#[from] ecc::Error),
    /// No such splitter.
    #[error(transparent)]
    Splitter(#[from] UnknownSplitter),
    /// A prefix or name that cannot be.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A length or offset does not fit where the format has to put it.
    #[error("content {id}: {what} expected at most {limit}, found {found}")]
    TooLarge {
        /// Which content.
        id: ContentId,
        /// What of it.
        what: &'static str,
        /// The format's limit.
        limit: u64,
        /// What was asked for.
        found: u64,
    },
    /// Nobody wrote that.
    #[error("expected something written before, found no {0}")]
    Unknown(String),
}

/// The result of writing.
pub type Result<T, E = Error> = std::result::Result<T, E>;
