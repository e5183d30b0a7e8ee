//! Reads the two documents as stored. Everything is optional in JSON; here it gets Kopia's defaults.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::config::{EpochParameters, FormatBlob, RepositoryConfig, RequiredFeature, Secret, UpgradeLock};
use super::error::Error;
use crate::json::{base64_bytes, null_is_zero, parse_first, repaired};
use crate::time::Time;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFormatBlob {
    #[serde(rename = "uniqueID", default, deserialize_with = "base64_bytes")]
    unique_id: Vec<u8>,
    #[serde(default, deserialize_with = "null_is_zero")]
    key_algo: String,
    #[serde(default, deserialize_with = "null_is_zero")]
    encryption: String,
    #[serde(default, deserialize_with = "base64_bytes")]
    encrypted_block_format: Vec<u8>,
}

#[derive(Deserialize)]
struct RawConfig {
    format: Option<RawFormat>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFormat {
    #[serde(default, deserialize_with = "null_is_zero")]
    hash: String,
    #[serde(default, deserialize_with = "null_is_zero")]
    encryption: String,
    #[serde(default, deserialize_with = "null_is_zero")]
    ecc: String,
    #[serde(default, deserialize_with = "null_is_zero")]
    ecc_overhead_percent: i64,
    #[serde(default, deserialize_with = "secret")]
    secret: Secret,
    #[serde(default, deserialize_with = "secret")]
    master_key: Secret,
    version: Option<i64>,
    #[serde(default, deserialize_with = "null_is_zero")]
    max_pack_size: i64,
    #[serde(default, deserialize_with = "null_is_zero")]
    index_version: i64,
    #[serde(default, deserialize_with = "null_is_zero")]
    epoch_parameters: RawEpochs,
    #[serde(default, deserialize_with = "null_is_zero")]
    enable_password_change: bool,
    #[serde(default, deserialize_with = "null_is_zero")]
    splitter: String,
    upgrade_lock: Option<RawLock>,
    #[serde(default, deserialize_with = "null_is_zero")]
    required_features: Vec<RawFeature>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawEpochs {
    #[serde(deserialize_with = "null_is_zero")]
    enabled: bool,
    #[serde(deserialize_with = "null_is_zero")]
    epoch_refresh_frequency: i64,
    #[serde(deserialize_with = "null_is_zero")]
    full_checkpoint_frequency: i64,
    #[serde(deserialize_with = "null_is_zero")]
    cleanup_safety_margin: i64,
    #[serde(deserialize_with = "null_is_zero")]
    min_epoch_duration: i64,
    #[serde(deserialize_with = "null_is_zero")]
    epoch_advance_on_count_threshold: i64,
    #[serde(deserialize_with = "null_is_zero")]
    epoch_advance_on_total_size_bytes_threshold: i64,
    #[serde(deserialize_with = "null_is_zero")]
    delete_parallelism: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawLock {
    #[serde(rename = "ownerID", deserialize_with = "null_is_zero")]
    owner_id: String,
    #[serde(deserialize_with = "null_is_zero")]
    creation_time: String,
    #[serde(deserialize_with = "null_is_zero")]
    advance_notice_duration: i64,
    #[serde(deserialize_with = "null_is_zero")]
    io_drain_timeout: i64,
    #[serde(deserialize_with = "null_is_zero")]
    status_poll_interval: i64,
    #[serde(deserialize_with = "null_is_zero")]
    message: String,
    #[serde(deserialize_with = "null_is_zero")]
    max_permitted_clock_drift: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawFeature {
    #[serde(deserialize_with = "null_is_zero")]
    feature: String,
    #[serde(deserialize_with = "null_is_zero")]
    if_not_understood: RawNotUnderstood,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawNotUnderstood {
    #[serde(deserialize_with = "null_is_zero")]
    warn: bool,
    #[serde(deserialize_with = "null_is_zero")]
    message: String,
    #[serde(deserialize_with = "null_is_zero")]
    url: String,
    #[serde(deserialize_with = "null_is_zero")]
    upgrade_to_version: String,
}

/// Every field name, for the tolerant second attempt.
const NAMES: &[&str] = &[
    "uniqueID",
    "keyAlgo",
    "encryptedBlockFormat",
    "format",
    "hash",
    "encryption",
    "ecc",
    "eccOverheadPercent",
    "secret",
    "masterKey",
    "version",
    "maxPackSize",
    "indexVersion",
    "epochParameters",
    "enablePasswordChange",
    "splitter",
    "upgradeLock",
    "requiredFeatures",
    "Enabled",
    "EpochRefreshFrequency",
    "FullCheckpointFrequency",
    "CleanupSafetyMargin",
    "MinEpochDuration",
    "EpochAdvanceOnCountThreshold",
    "EpochAdvanceOnTotalSizeBytesThreshold",
    "DeleteParallelism",
    "ownerID",
    "creationTime",
    "advanceNoticeDuration",
    "ioDrainTimeout",
    "statusPollInterval",
    "message",
    "maxPermittedClockDrift",
    "feature",
    "ifNotUnderstood",
    "warn",
    "url",
    "upgradeToVersion",
];

/// The pack size that 0 or an absent `maxPackSize` means, in bytes.
const DEFAULT_PACK_SIZE: u64 = 20 << 20;

const BLOB: &str = "format blob";
const CONFIG: &str = "repository configuration";

pub(super) fn parse_format_blob(data: &[u8]) -> Result<FormatBlob, Error> {
    let mut raw: Result<RawFormatBlob, _> = parse_first(data);
    if raw.as_ref().map_or(true, |r| r.encryption.is_empty() || r.unique_id.is_empty()) {
        raw = parse_first(&repaired(data, NAMES));
    }
    let raw = raw.map_err(|e| Error::Json { what: BLOB, reason: e.to_string() })?;
    if raw.encryption != "AES256_GCM" {
        return Err(Error::UnsupportedEncryption { found: raw.encryption.chars().take(60).collect() });
    }
    let missing = |field| Error::Missing { what: BLOB, field };
    if raw.unique_id.is_empty() {
        return Err(missing("uniqueID"));
    }
    if raw.encrypted_block_format.is_empty() {
        return Err(missing("encryptedBlockFormat"));
    }
    Ok(FormatBlob {
        unique_id: raw.unique_id,
        key_algo: raw.key_algo,
        encryption: raw.encryption,
        encrypted_block_format: raw.encrypted_block_format,
    })
}

pub(super) fn parse_config(json: &[u8]) -> Result<RepositoryConfig, Error> {
    let mut raw: Result<RawConfig, _> = parse_first(json);
    let complete =
        |f: &RawFormat| f.version.is_some() && !f.hash.is_empty() && !f.master_key.as_bytes().is_empty();
    if !raw.as_ref().is_ok_and(|r| r.format.as_ref().is_some_and(complete)) {
        raw = parse_first(&Zeroizing::new(repaired(json, NAMES)));
    }
    // serde_json quotes values in its messages, so only the kind and the place are told
    let raw = raw.map_err(|e| Error::Json {
        what: CONFIG,
        reason: format!("{:?} error at line {} column {}", e.classify(), e.line(), e.column()),
    })?;
    let raw = raw.format.ok_or(Error::Missing { what: CONFIG, field: "format" })?;
    let version = raw.version.unwrap_or(0);
    let index_version = if raw.index_version == 0 { 1 } else { raw.index_version };
    let percent = raw.ecc_overhead_percent;
    Ok(RepositoryConfig {
        version: u8::try_from(version)
            .ok()
            .filter(|v| (1..=3).contains(v))
            .ok_or(Error::UnsupportedVersion { found: version })?,
        index_version: u8::try_from(index_version)
            .ok()
            .filter(|v| (1..=2).contains(v))
            .ok_or(Error::UnsupportedIndexVersion { found: index_version })?,
        ecc_overhead_percent: u8::try_from(percent)
            .ok()
            .filter(|p| *p <= 100)
            .ok_or(Error::EccOverhead { found: percent })?,
        hash: raw.hash,
        encryption: raw.encryption,
        ecc: raw.ecc,
        secret: raw.secret,
        master_key: raw.master_key,
        max_pack_size: u64::try_from(raw.max_pack_size).ok().filter(|n| *n > 0).unwrap_or(DEFAULT_PACK_SIZE),
        epoch_parameters: raw.epoch_parameters.into(),
        enable_password_change: raw.enable_password_change,
        splitter: raw.splitter,
        upgrade_lock: raw.upgrade_lock.map(RawLock::convert).transpose()?,
        required_features: raw.required_features.into_iter().map(RequiredFeature::from).collect(),
    })
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    base64_bytes(deserializer).map(Secret::new)
}

impl From<RawEpochs> for EpochParameters {
    fn from(raw: RawEpochs) -> Self {
        EpochParameters {
            enabled: raw.enabled,
            refresh_frequency_ns: raw.epoch_refresh_frequency,
            full_checkpoint_frequency: raw.full_checkpoint_frequency,
            cleanup_safety_margin_ns: raw.cleanup_safety_margin,
            min_epoch_duration_ns: raw.min_epoch_duration,
            advance_on_count: raw.epoch_advance_on_count_threshold,
            advance_on_total_size_bytes: raw.epoch_advance_on_total_size_bytes_threshold,
            delete_parallelism: raw.delete_parallelism,
        }
    }
}

impl RawLock {
    fn convert(self) -> Result<UpgradeLock, Error> {
        let created = match self.creation_time.as_str() {
            // the zero time is the year 1
            "" => Some(Time::MIN),
            text => Time::parse(text),
        };
        Ok(UpgradeLock {
            owner_id: self.owner_id,
            created: created.ok_or_else(|| Error::Json {
                what: CONFIG,
                reason: "creationTime is not an RFC 3339 time".to_owned(),
            })?,
            advance_notice_ns: self.advance_notice_duration,
            io_drain_timeout_ns: self.io_drain_timeout,
            status_poll_interval_ns: self.status_poll_interval,
            message: self.message,
            max_permitted_clock_drift_ns: self.max_permitted_clock_drift,
        })
    }
}

impl From<RawFeature> for RequiredFeature {
    fn from(raw: RawFeature) -> Self {
        let otherwise = raw.if_not_understood;
        RequiredFeature {
            feature: raw.feature,
            warn: otherwise.warn,
            message: otherwise.message,
            url: otherwise.url,
            upgrade_to_version: otherwise.upgrade_to_version,
        }
    }
}
