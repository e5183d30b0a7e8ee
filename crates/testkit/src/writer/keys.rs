//! Parameters, keys and sealing (§2.1–2.4, §3.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use rekopia_format::key::{derive_format_key, hkdf_sha256};
use sha2::Sha256;

use super::BlobSink;
use crate::corpus::Random;

/// Parameters of a new repository.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Password.
    pub password: String,
    /// Password derivation.
    pub key_algorithm: String,
    /// Content hash.
    pub hash: String,
    /// Content encryption.
    pub encryption: String,
    /// Header ID for file data; 0: none.
    pub compression: u32,
    /// Header ID for directories and seek tables; 0: none.
    pub metadata_compression: u32,
    /// 1, 2 or 3.
    pub version: u8,
    /// Error correction overhead; 0: none.
    pub ecc_percent: u32,
    /// A pack is finished at this length.
    pub max_pack_bytes: usize,
    /// Splitter of objects.
    pub splitter: String,
    /// Store equal contents once; costs memory.
    pub deduplicate: bool,
    /// Timestamp of index entries.
    pub timestamp: u32,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for WriterOptions {
    fn default() -> Self {
        WriterOptions {
            password: "test-password".into(),
            key_algorithm: "scrypt-65536-8-1".into(),
            hash: "BLAKE2B-256-128".into(),
            encryption: "AES256-GCM-HMAC-SHA256".into(),
            compression: 0x1101,
            metadata_compression: 0x1101,
            version: 3,
            ecc_percent: 0,
            max_pack_bytes: 20 << 20,
            splitter: "DYNAMIC-4M-BUZHASH".into(),
            deduplicate: true,
            timestamp: 1_767_225_600,
            seed: 1,
        }
    }
}

impl WriterOptions {
    /// Layout of index files.
    pub fn index_version(&self) -> u8 {
        if self.version == 1 { 1 } else { 2 }
    }

    /// Whether index blobs are organised in epochs.
    pub fn epochs(&self) -> bool {
        self.version > 1
    }
}

/// Encrypts contents and blobs.
pub(super) struct Sealer {
    algorithm: &'static Algorithm,
    keys: Hmac<Sha256>,
    /// Key of the content hash.
    pub(super) secret: Vec<u8>,
    /// The copy of the format blob in front of every pack of version 1.
    pub(super) replica: Vec<u8>,
}

impl Sealer {
    /// Makes the keys and stores the format blobs.
    pub(super) fn create(options: &WriterOptions, random: &mut Random, sink: &mut dyn BlobSink) -> Self {
        let (unique_id, secret, master) = (random.bytes::<32>(), random.bytes::<32>(), random.bytes::<32>());
        let b64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let mut format = serde_json::json!({
            "hash": options.hash, "encryption": options.encryption, "secret": b64(&secret), "masterKey": b64(&master),
            "version": options.version, "maxPackSize": options.max_pack_bytes, "indexVersion": options.index_version(),
            "enablePasswordChange": options.version > 1, "splitter": options.splitter,
        });
        if options.epochs() {
            format["epochParameters"] = serde_json::json!({
                "Enabled": true, "EpochRefreshFrequency": 1_200_000_000_000u64, "FullCheckpointFrequency": 7,
                "CleanupSafetyMargin": 14_400_000_000_000u64, "MinEpochDuration": 86_400_000_000_000u64,
                "EpochAdvanceOnCountThreshold": 20, "EpochAdvanceOnTotalSizeBytesThreshold": 10_485_760, "DeleteParallelism": 4,
            });
        }
        if options.ecc_percent > 0 {
            format["ecc"] = "REED-SOLOMON-CRC32".into();
            format["eccOverheadPercent"] = options.ecc_percent.into();
        }
        let fek = derive_format_key(&options.key_algorithm, options.password.as_bytes(), &unique_id).unwrap();
        let (mut key, mut aad) = ([0; 32], [0; 32]);
        hkdf_sha256(fek.as_bytes(), &unique_id, b"AES", &mut key);
        hkdf_sha256(fek.as_bytes(), &unique_id, b"CHECKSUM", &mut aad);
        let config = serde_json::json!({"format": format}).to_string();
        let sealed = seal(&AES_256_GCM, &key, &random.bytes(), config.as_bytes(), &aad);
        let blob = serde_json::json!({
            "tool": "", "buildVersion": "", "buildInfo": "", "uniqueID": b64(&unique_id), "keyAlgo": options.key_algorithm,
            "encryption": "AES256_GCM", "encryptedBlockFormat": b64(&sealed),
        });
        let blob = format!("{blob:#}\n").into_bytes();
        sink.put("kopia.repository", &blob);
        sink.put("kopia.blobcfg", &seal(&AES_256_GCM, &key, &random.bytes(), b"{}", &aad));

        let algorithm = match options.encryption.as_str() {
            "AES256-GCM-HMAC-SHA256" => &AES_256_GCM,
            "CHACHA20-POLY1305-HMAC-SHA256" => &CHACHA20_POLY1305,
            other => panic!("cannot write {other}"),
        };
        let mut kds = [0; 32];
        hkdf_sha256(&master, b"encryption", b"", &mut kds);
        let keys = Hmac::new_from_slice(&kds).unwrap();
        let replica = if options.version == 1 { replica(&blob) } else { Vec::new() };
        Sealer { algorithm, keys, secret: secret.to_vec(), replica }
    }

    /// Nonce, ciphertext, tag.
    pub(super) fn seal(&self, iv: &[u8], nonce: &[u8; 12], plain: &[u8]) -> Vec<u8> {
        let mut mac = self.keys.clone();
        mac.update(iv);
        seal(self.algorithm, &mac.finalize().into_bytes().into(), nonce, plain, iv)
    }
}

fn seal(
    algorithm: &'static Algorithm,
    key: &[u8; 32],
    nonce: &[u8; 12],
    plain: &[u8],
    aad: &[u8],
) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
    let mut sealed = Vec::with_capacity(plain.len() + 28);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(plain);
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut sealed[12..]).unwrap();
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

fn replica(blob: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(b"kopia-repository").unwrap();
    mac.update(blob);
    let body = [blob, &mac.finalize().into_bytes()].concat();
    let len = (body.len() as u16).to_le_bytes();
    [&len[..], &body, &len].concat()
}
