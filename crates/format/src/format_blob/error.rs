//! Names what can be wrong with the two documents.

/// The reason why the format blob or the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document is not the JSON that it should be. For the configuration without the text, which is secret.
    #[error("{what} does not parse: {reason}")]
    Json {
        /// The document: format blob or configuration.
        what: &'static str,
        /// The defect, without contents.
        reason: String,
    },
    /// A field is missing without which nothing can be opened.
    #[error("{what} has no {field}")]
    Missing {
        /// The document: format blob or configuration.
        what: &'static str,
        /// The name of the field.
        field: &'static str,
    },
    /// The configuration is sealed in a way that no supported release writes (`NONE`: v0.8 and earlier).
    #[error("format blob encryption is {found:?}, expected \"AES256_GCM\"")]
    UnsupportedEncryption {
        /// The name that was found.
        found: String,
    },
    /// The format version does not exist yet or any more.
    #[error("repository format version is {found}, expected 1 to 3")]
    UnsupportedVersion {
        /// The version that was found.
        found: i64,
    },
    /// The index layout does not exist yet.
    #[error("index version is {found}, expected 1 or 2")]
    UnsupportedIndexVersion {
        /// The version that was found.
        found: i64,
    },
    /// The share of parity cannot be.
    #[error("error correction overhead is {found} percent, expected 0 to 100")]
    EccOverhead {
        /// The percentage that was found.
        found: i64,
    },
}
