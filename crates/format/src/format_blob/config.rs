//! Holds the two documents as values.

use std::fmt;

use zeroize::Zeroizing;

use crate::time::Time;

/// The format blob, with what is needed to open the configuration (§2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatBlob {
    /// A random ID: salt of every key derivation, identity of the repository.
    pub unique_id: Vec<u8>,
    /// The name of the derivation of a key from the password (§2.2).
    pub key_algo: String,
    /// The cipher of the configuration: always `AES256_GCM`.
    pub encryption: String,
    /// The sealed configuration (§2.3).
    pub encrypted_block_format: Vec<u8>,
}

/// The opened configuration of a repository (§2.4). Fields that Kopia leaves out have Kopia's defaults.
#[derive(Debug, Clone)]
pub struct RepositoryConfig {
    /// Name of the hash that names contents and blobs (§3.2).
    pub hash: String,
    /// Name of the cipher of contents and blobs (§3.3).
    pub encryption: String,
    /// Name of the error correction; empty for none. See [`RepositoryConfig::error_correction`].
    pub ecc: String,
    /// Share of parity, in percent.
    pub ecc_overhead_percent: u8,
    /// Key of the hash; may be empty.
    pub secret: Secret,
    /// Key material of the cipher.
    pub master_key: Secret,
    /// The version of the format: 1, 2 or 3. Says little: see §2.5.
    pub version: u8,
    /// Size at which packs are closed, in bytes.
    pub max_pack_size: u64,
    /// Layout of index files to be written, 1 or 2; readers meet both.
    pub index_version: u8,
    /// The parameters of epochs; off in version 1.
    pub epoch_parameters: EpochParameters,
    /// Whether auxiliary keys come from the master key (and packs hold no replica of the format blob).
    pub enable_password_change: bool,
    /// Name of the splitter.
    pub splitter: String,
    /// An upgrade that is announced or under way.
    pub upgrade_lock: Option<UpgradeLock>,
    /// The features that a program must understand to use the repository.
    pub required_features: Vec<RequiredFeature>,
}

/// A piece of key material: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// The parameters of the epoch index set (§2.4), with durations in nanoseconds. Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EpochParameters {
    /// Whether the epoch set is the one that counts.
    pub enabled: bool,
    /// The time for which a listing may be used, in nanoseconds.
    pub refresh_frequency_ns: i64,
    /// Number of epochs per range compaction.
    pub full_checkpoint_frequency: i64,
    /// The time for which superseded blobs are kept, in nanoseconds.
    pub cleanup_safety_margin_ns: i64,
    /// The duration of the shortest epoch, in nanoseconds.
    pub min_epoch_duration_ns: i64,
    /// Number of blobs that end an epoch.
    pub advance_on_count: i64,
    /// Number of bytes that end an epoch.
    pub advance_on_total_size_bytes: i64,
    /// Number of deletions at a time.
    pub delete_parallelism: i64,
}

/// The intent to upgrade a repository (§2.8), with durations in nanoseconds. Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeLock {
    /// The program that upgrades.
    pub owner_id: String,
    /// The time when the upgrade was announced.
    pub created: Time,
    /// The time from the announcement to the upgrade, in nanoseconds.
    pub advance_notice_ns: i64,
    /// The time that others may take to notice, in nanoseconds.
    pub io_drain_timeout_ns: i64,
    /// The time after which waiting programs look again, in nanoseconds.
    pub status_poll_interval_ns: i64,
    /// The message for people.
    pub message: String,
    /// The time by which clocks may be apart, in nanoseconds.
    pub max_permitted_clock_drift_ns: i64,
}

/// A feature that a program must understand (§2.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredFeature {
    /// The name of the feature.
    pub feature: String,
    /// Whether a program that does not understand the feature only warns, instead of refusing.
    pub warn: bool,
    /// The message of a program that does not understand the feature.
    pub message: String,
    /// The address where more is said for a program that does not understand the feature.
    pub url: String,
    /// The version of Kopia that understands the feature.
    pub upgrade_to_version: String,
}

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Secret(Zeroizing::new(bytes))
    }

    /// Returns the key material.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl UpgradeLock {
    /// Whether nobody but `owner_id` may use the repository at this time, not even to read.
    pub fn is_locked(&self, now: Time) -> bool {
        let wide = i128::from;
        let drain = wide(self.io_drain_timeout_ns)
            .saturating_mul(2)
            .saturating_add(wide(self.max_permitted_clock_drift_ns));
        let notice = wide(self.advance_notice_ns);
        let from = wide(self.created.unix_nanos()).saturating_add(notice).saturating_sub(drain);
        notice < drain || wide(now.unix_nanos()) >= from
    }
}
