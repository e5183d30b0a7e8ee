//! Reads `kopia.repository` and the configuration sealed in it (§2.1, §2.4 to §2.8).

mod config;
mod error;
mod raw;

pub use config::{EpochParameters, FormatBlob, RepositoryConfig, RequiredFeature, Secret, UpgradeLock};
pub use error::Error;

/// Names of the features that this crate implements (§2.7).
const KNOWN_FEATURES: [&str; 2] = ["index-v1", "index-v2"];

impl FormatBlob {
    /// Reads the format blob from the bytes of `kopia.repository`.
    ///
    /// # Errors
    /// [`Error`], which says what of the document cannot be used.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        raw::parse_format_blob(data)
    }
}

impl RepositoryConfig {
    /// Reads the configuration from the decrypted JSON.
    ///
    /// # Errors
    /// [`Error`], which says what of the document cannot be used.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        raw::parse_config(json)
    }

    /// Returns name and percentage of the error correction, when it is on.
    pub fn error_correction(&self) -> Option<(&str, u8)> {
        let on = !self.ecc.is_empty() && self.ecc_overhead_percent > 0;
        on.then_some((self.ecc.as_str(), self.ecc_overhead_percent))
    }

    /// Returns the features that this crate does not know. Those without `warn` forbid to use the repository.
    pub fn unknown_features(&self) -> impl Iterator<Item = &RequiredFeature> {
        self.required_features.iter().filter(|f| !KNOWN_FEATURES.contains(&f.feature.as_str()))
    }
}

#[cfg(test)]
mod tests;
