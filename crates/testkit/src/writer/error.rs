//! Says why a repository could not be written.

use std::io;

use rekopia_format::ids::InvalidId;
use rekopia_format::{BlobId, ContentId, ecc, hashing, key};

use super::splitter::UnknownSplitter;

/// The reason why a repository could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage refused a blob.
    #[error("writing blob {blob}")]
    Storage {
        /// The name of the blob.
        blob: BlobId,
        /// The reason of the storage.
        source: io::Error,
    },
    /// Data to be stored could not be read.
    #[error("reading {path}")]
    Source {
        /// The place that the data was read from.
        path: String,
        /// The reason why the data could not be read.
        source: io::Error,
    },
    /// The options name or combine what does not exist.
    #[error("options expected {expected}, found {found:?}")]
    Options {
        /// The value that would be right.
        expected: &'static str,
        /// The value that was given.
        found: String,
    },
    /// There is no such hash, or a secret that it cannot take.
    #[error(transparent)]
    Hash(#[from] hashing::Error),
    /// There is no such key derivation.
    #[error(transparent)]
    Key(#[from] key::Error),
    /// There is no such error correction.
    #[error(transparent)]
    Ecc(#[from] ecc::Error),
    /// There is no such splitter.
    #[error(transparent)]
    Splitter(#[from] UnknownSplitter),
    /// A prefix or name cannot be.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A length or offset does not fit where the format has to put it.
    #[error("content {id}: {what} expected at most {limit}, found {found}")]
    TooLarge {
        /// The ID of the content.
        id: ContentId,
        /// The part of the content: a length or an offset.
        what: &'static str,
        /// The format's limit.
        limit: u64,
        /// The number that was asked for.
        found: u64,
    },
    /// There is no such thing: nobody wrote it.
    #[error("expected something written before, found no {0}")]
    Unknown(String),
}

/// The result of writing.
pub type Result<T, E = Error> = std::result::Result<T, E>;
