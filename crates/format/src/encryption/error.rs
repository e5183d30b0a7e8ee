//! Names what can be wrong with a cipher or an item.

/// The reason why a cipher is refused, or an item does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository names a cipher that is not known.
    #[error("content encryption {name:?} is not supported")]
    UnsupportedAlgorithm {
        /// The cipher as named in the repository.
        name: String,
    },
    /// The master key is too short for this cipher.
    #[error("the master key has {found} bytes, {wanted} are needed")]
    ShortKey {
        /// Number of bytes that the cipher needs.
        wanted: usize,
        /// Number of bytes that there are.
        found: usize,
    },
    /// The item is shorter than what the cipher adds.
    #[error("{len} bytes are too short for an encrypted item")]
    TooShort {
        /// Number of bytes that are stored.
        len: usize,
    },
    /// The item is damaged, or belongs somewhere else.
    #[error("decryption failed: the data is damaged or not what belongs here")]
    NotAuthentic,
}
