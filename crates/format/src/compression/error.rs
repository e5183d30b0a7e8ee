//! Names what can be wrong with compressed data.

/// The reason why data does not decompress.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data has not even the four bytes of the header.
    #[error("compressed data of {0} bytes has no header")]
    NoHeader(usize),
    /// The header ID is not known.
    #[error("compression {0:#010x} is not supported")]
    Unsupported(u32),
    /// A family of streams that this program was built without (a Cargo feature of this crate).
    #[error("{0} compression is not built into this program")]
    NotBuilt(&'static str),
    /// The stream is damaged.
    #[error("damaged {family} stream: {what}")]
    Damaged {
        /// The kind of stream.
        family: &'static str,
        /// The defect of the stream.
        what: String,
    },
    /// The stream holds more than it may.
    #[error("the decompressed data exceeds {limit} bytes")]
    TooLong {
        /// The most bytes that are accepted.
        limit: usize,
    },
    /// The stream holds less or more than recorded.
    #[error("{found} bytes decompressed, {wanted} are recorded")]
    Length {
        /// The recorded length, in bytes.
        wanted: usize,
        /// The length that was found, in bytes.
        found: usize,
    },
}

impl Error {
    pub(super) fn damaged(family: &'static str, what: impl ToString) -> Self {
        Error::Damaged { family, what: what.to_string() }
    }
}
