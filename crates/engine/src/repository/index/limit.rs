//! Limits how much of the index may be in memory, and names what is wrong with an entry.

use std::path::PathBuf;

/// The memory that an index may take, and where the rest goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexLimit {
    /// Bytes of records; 0: as many as there are.
    pub(crate) bytes: u64,
    /// A folder on a disk; it is made when it is needed and its parent is there.
    pub(crate) dir: Option<PathBuf>,
}

/// An index entry that cannot be represented or makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Parse(#[from] rekopia_format::index::Error),
    #[error(transparent)]
    Id(#[from] rekopia_format::ids::InvalidId),
    #[error("the index holds more than {0}")]
    TooMany(&'static str),
    #[error("content of {0} bytes is too long")]
    TooLong(u32),
    #[error("content uses encryption key {0}, but there is only key 0")]
    UnknownKey(u8),
    /// A file of ours cannot be read back: not the repository's fault.
    #[error("the index that was written to a file cannot be read back")]
    ReadBack { source: std::io::Error },
}
