//! Writes the two format blobs of a new repository (§2.1, §2.4, §2.9, §2.13).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rekopia_format::key::derive_format_key;
use serde_json::json;

use super::options::WriterOptions;
use super::seal::seal_envelope;
use super::{Error, Result};
use crate::random::Random;

/// The parts that a new repository starts with.
pub(super) struct NewRepository {
    pub(super) secret: Vec<u8>,
    pub(super) master_key: [u8; 32],
    /// The contents of `kopia.repository`.
    pub(super) format_blob: Vec<u8>,
    /// The contents of `kopia.blobcfg`.
    pub(super) blobcfg: Vec<u8>,
}

impl NewRepository {
    pub(super) fn create(options: &WriterOptions, random: &mut Random) -> Result<Self> {
        check(options)?;
        let unique_id = random.bytes::<32>();
        let drawn = random.bytes::<32>();
        let secret = options.secret.clone().unwrap_or_else(|| drawn.to_vec());
        let master_key = random.bytes::<32>();
        let key = derive_format_key(&options.key_algo, options.password.as_bytes(), &unique_id)?;
        let config = configuration(options, &secret, &master_key);
        let sealed = seal_envelope(&key, &unique_id, random.bytes(), config.to_string().as_bytes());
        let format_blob = json!({
            "tool": "https://github.com/kopia/kopia",
            "buildVersion": "rekopia-testkit",
            "buildInfo": "",
            "uniqueID": BASE64_STANDARD.encode(unique_id),
            "keyAlgo": options.key_algo,
            "encryption": "AES256_GCM",
            "encryptedBlockFormat": BASE64_STANDARD.encode(sealed),
        });
        let blobcfg = seal_envelope(&key, &unique_id, random.bytes(), b"{}");
        Ok(NewRepository {
            secret,
            master_key,
            format_blob: format!("{format_blob:#}\n").into_bytes(),
            blobcfg,
        })
    }
}

fn configuration(options: &WriterOptions, secret: &[u8], master_key: &[u8]) -> serde_json::Value {
    const MINUTE: i64 = 60_000_000_000;
    let mut format = json!({
        "hash": options.hash,
        "encryption": options.encryption,
        "masterKey": BASE64_STANDARD.encode(master_key),
        "version": options.format_version,
        "maxPackSize": options.max_pack_size,
        "indexVersion": options.index_version,
        "epochParameters": {
            "Enabled": options.epochs,
            "EpochRefreshFrequency": 20 * MINUTE,
            "FullCheckpointFrequency": 7,
            "CleanupSafetyMargin": 240 * MINUTE,
            "MinEpochDuration": 1440 * MINUTE,
            "EpochAdvanceOnCountThreshold": 20,
            "EpochAdvanceOnTotalSizeBytesThreshold": 10_485_760,
            "DeleteParallelism": 4,
        },
        "enablePasswordChange": options.enable_password_change,
        "splitter": options.splitter,
    });
    if !secret.is_empty() {
        format["secret"] = BASE64_STANDARD.encode(secret).into();
    }
    if options.ecc_percent > 0 {
        format["ecc"] = "REED-SOLOMON-CRC32".into();
        format["eccOverheadPercent"] = options.ecc_percent.into();
    }
    for (name, value) in &options.format_fields {
        format[name] = value.clone();
    }
    json!({ "format": format })
}

fn check(options: &WriterOptions) -> Result<()> {
    let require = |ok: bool, expected: &'static str, found: String| match ok {
        true => Ok(()),
        false => Err(Error::Options { expected, found }),
    };
    let index_version = options.index_version;
    require(matches!(index_version, 1 | 2), "index version 1 or 2", index_version.to_string())?;
    let ecc = options.ecc_percent;
    require(
        ecc == 0 || index_version == 2,
        "index version 2 with error correction",
        index_version.to_string(),
    )?;
    let chunk = options.chunk_size.unwrap_or(512);
    require(chunk >= 512, "chunks of 512 bytes or more, or seek tables never end", chunk.to_string())
}
