//! What can be wrong with a cipher or an item.

/// A cipher that is not known, or an item that does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository names a cipher that is not known.
    #[error("content encryption {name:?} is not supported")]
    UnsupportedAlgorithm {
        /// As named in the repository.
        name: String,
    },
    /// The master key is too short for this cipher.
    #[error("the master key has {found} bytes, {wanted} are needed")]
    ShortKey {
        /// Bytes that the cipher needs.
        wanted: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The item is shorter than what the cipher adds.
    #[error("{len} bytes are too short for an encrypted item")]
    TooShort {
        /// Bytes stored.
        len: usize,
    },
    /// The item is damaged, or belongs somewhere else.
    #[error("decryption failed: the data is damaged or not what belongs here")]
    NotAuthentic,
}
