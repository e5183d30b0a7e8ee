//! What can be wrong with the two documents.

/// The format blob or the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the JSON it should be. For the configuration without the text, which is secret.
    #[error("{what} does not parse: {reason}")]
    Json {
        /// Which document.
        what: &'static str,
        /// What is wrong, without contents.
        reason: String,
    },
    /// A field without which nothing can be opened.
    #[error("{what} has no {field}")]
    Missing {
        /// Which document.
        what: &'static str,
        /// Name of the field.
        field: &'static str,
    },
    /// The configuration is sealed in a way that no supported release writes (`NONE`: v0.8 and earlier).
    #[error("format blob encryption is {found:?}, expected \"AES256_GCM\"")]
    UnsupportedEncryption {
        /// The name found.
        found: String,
    },
    /// A format version that does not exist yet or any more.
    #[error("repository format version is {found}, expected 1 to 3")]
    UnsupportedVersion {
        /// The version found.
        found: i64,
    },
    /// An index layout that does not exist yet.
    #[error("index version is {found}, expected 1 or 2")]
    UnsupportedIndexVersion {
        /// The version found.
        found: i64,
    },
    /// A share of parity that cannot be.
    #[error("error correction overhead is {found} percent, expected 0 to 100")]
    EccOverhead {
        /// The percentage found.
        found: i64,
    },
}
