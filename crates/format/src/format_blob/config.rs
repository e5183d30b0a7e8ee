//! The two documents as values.

use std::fmt;

use zeroize::Zeroizing;

use crate::time::Time;

/// The format blob: what is needed to open the configuration (§2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatBlob {
    /// Random; salt of every key derivation, identity of the repository.
    pub unique_id: Vec<u8>,
    /// How the password becomes a key (§2.2).
    pub key_algo: String,
    /// Always `AES256_GCM`.
    pub encryption: String,
    /// The sealed configuration (§2.3).
    pub encrypted_block_format: Vec<u8>,
}

/// The opened configuration (§2.4). Fields that Kopia leaves out have Kopia's defaults.
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
    /// 1, 2 or 3. Says little: see §2.5.
    pub version: u8,
    /// Size at which packs are closed, in bytes.
    pub max_pack_size: u64,
    /// Layout of index files to be written, 1 or 2; readers meet both.
    pub index_version: u8,
    /// Epochs; off in version 1.
    pub epoch_parameters: EpochParameters,
    /// Whether auxiliary keys come from the master key (and packs hold no replica of the format blob).
    pub enable_password_change: bool,
    /// Name of the splitter.
    pub splitter: String,
    /// An upgrade that is announced or under way.
    pub upgrade_lock: Option<UpgradeLock>,
    /// What a program must understand to use the repository.
    pub required_features: Vec<RequiredFeature>,
}

/// Key material: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Parameters of the epoch index set (§2.4). Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EpochParameters {
    /// Whether the epoch set is the one that counts.
    pub enabled: bool,
    /// How long a listing may be used.
    pub refresh_frequency_ns: i64,
    /// Epochs per range compaction.
    pub full_checkpoint_frequency: i64,
    /// How long superseded blobs are kept.
    pub cleanup_safety_margin_ns: i64,
    /// Shortest epoch.
    pub min_epoch_duration_ns: i64,
    /// Blobs that end an epoch.
    pub advance_on_count: i64,
    /// Bytes that end an epoch.
    pub advance_on_total_size_bytes: i64,
    /// Deletions at a time.
    pub delete_parallelism: i64,
}

/// The intent to upgrade (§2.8). Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeLock {
    /// Who upgrades.
    pub owner_id: String,
    /// When it was announced.
    pub created: Time,
    /// From the announcement to the upgrade.
    pub advance_notice_ns: i64,
    /// How long others may take to notice.
    pub io_drain_timeout_ns: i64,
    /// How often waiting programs look again.
    pub status_poll_interval_ns: i64,
    /// For people.
    pub message: String,
    /// How far clocks may be apart.
    pub max_permitted_clock_drift_ns: i64,
}

/// A feature that a program must understand (§2.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredFeature {
    /// Name.
    pub feature: String,
    /// If not understood: warn only, instead of refusing.
    pub warn: bool,
    /// If not understood: say this.
    pub message: String,
    /// If not understood: more is said here.
    pub url: String,
    /// If not understood: this version of Kopia does.
    pub upgrade_to_version: String,
}

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Secret(Zeroizing::new(bytes))
    }

    /// The key material.
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
