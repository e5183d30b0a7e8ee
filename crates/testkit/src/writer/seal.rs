//! Seals plaintext as stored bytes: encryption, then error correction (§2.3, §3.3, §3.6).

use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use hmac::{Hmac, KeyInit, Mac};
use rekopia_format::ecc::Ecc;
use rekopia_format::key::{FormatKey, hkdf_sha256};
use sha2::Sha256;

use super::{Error, Result};
use crate::random::Random;

/// A sealer of contents and blobs.
pub struct Sealer {
    algorithm: &'static Algorithm,
    /// The HMAC with the key derivation secret; completed by an item's iv it gives the item's key.
    key_of_iv: Hmac<Sha256>,
    ecc: Option<Ecc>,
    random: Random,
}

impl Sealer {
    /// Makes a sealer with a repository's master key; the random source gives nonces.
    ///
    /// # Errors
    /// [`Error::Options`] for an encryption that Kopia does not write any more; those of error correction.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn new(encryption: &str, master_key: &[u8], ecc_percent: u8, random: Random) -> Result<Self> {
        let algorithm = match encryption {
            "AES256-GCM-HMAC-SHA256" => &AES_256_GCM,
            "CHACHA20-POLY1305-HMAC-SHA256" => &CHACHA20_POLY1305,
            _ => return Err(Error::Options { expected: "an encryption of today", found: encryption.into() }),
        };
        let mut secret = [0; 32];
        hkdf_sha256(master_key, b"encryption", b"", &mut secret);
        let key_of_iv = Hmac::new_from_slice(&secret).expect("HMAC takes keys of any length");
        let ecc = (ecc_percent > 0).then(|| Ecc::new(ecc_percent.into())).transpose()?;
        Ok(Sealer { algorithm, key_of_iv, ecc, random })
    }

    /// Appends the stored form of `plaintext` to `out`.
    pub fn seal(&mut self, iv: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
        let key: [u8; 32] = self.key_of_iv.clone().chain_update(iv).finalize().into_bytes().into();
        let start = out.len();
        seal_aead(self.algorithm, &key, self.random.bytes(), iv, plaintext, out);
        if let Some(ecc) = &self.ecc {
            let protected = ecc.encode(&out[start..]);
            out.truncate(start);
            out.extend_from_slice(&protected);
        }
    }
}

/// Returns the envelope around the repository configuration and `kopia.blobcfg` (§2.3).
pub(super) fn seal_envelope(key: &FormatKey, unique_id: &[u8], nonce: [u8; 12], plaintext: &[u8]) -> Vec<u8> {
    let (mut aes_key, mut aad, mut out) = ([0; 32], [0; 32], Vec::new());
    hkdf_sha256(key.as_bytes(), unique_id, b"AES", &mut aes_key);
    hkdf_sha256(key.as_bytes(), unique_id, b"CHECKSUM", &mut aad);
    seal_aead(&AES_256_GCM, &aes_key, nonce, &aad, plaintext, &mut out);
    out
}

fn seal_aead(
    algorithm: &'static Algorithm,
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    plaintext: &[u8],
    out: &mut Vec<u8>,
) {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both ciphers take 32 bytes"));
    out.reserve(plaintext.len() + 28);
    out.extend_from_slice(&nonce);
    let start = out.len();
    out.extend_from_slice(plaintext);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut out[start..]);
    out.extend_from_slice(tag.expect("contents are far shorter than the cipher's limit").as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekopia_format::key::derive_format_key;
    use sha2::Digest;

    /// The whole chain is that of §10.4, with the nonce of the test vectors.
    #[test]
    fn seals_like_kopia() {
        let master: Vec<u8> = (0x20..0x40).collect();
        let mut sealer = Sealer::new("AES256-GCM-HMAC-SHA256", &master, 0, Random::new(0)).unwrap();
        let iv = hex::decode("7b7ad35482ba7ed207eb198b5af66c82").unwrap();
        let key = sealer.key_of_iv.clone().chain_update(&iv).finalize().into_bytes();
        assert_eq!(hex::encode(key), "840f8341202bdc41972750a6ea2e15e95bee05cde69c8f256dae90b9f9226a3b");
        let nonce: [u8; 12] = std::array::from_fn(|i| 0xa0 + i as u8);
        for (algorithm, stored) in [
            (
                &AES_256_GCM,
                "a0a1a2a3a4a5a6a7a8a9aaab3c8257339bc5ffb4702000989799298a3f03f82bb888ff6e9f6531ac",
            ),
            (
                &CHACHA20_POLY1305,
                "a0a1a2a3a4a5a6a7a8a9aaab03d99d8719a650b2777af5987b571b18bfe78132ac0093ea94114e84",
            ),
        ] {
            let mut out = Vec::new();
            seal_aead(algorithm, &key.into(), nonce, &iv, b"hello, kopia", &mut out);
            assert_eq!(hex::encode(out), stored);
        }
        let mut out = Vec::new();
        sealer.seal(&iv, b"hello, kopia", &mut out);
        assert_eq!(out.len(), 40);
    }

    /// The envelope is that of §10.2.
    #[test]
    fn envelope_of_the_format_document() {
        let plain = br#"{"format":{"hash":"BLAKE2B-256-128","encryption":"AES256-GCM-HMAC-SHA256","secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","masterKey":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=","version":3,"maxPackSize":20971520,"indexVersion":2,"epochParameters":{"Enabled":true,"EpochRefreshFrequency":1200000000000,"FullCheckpointFrequency":7,"CleanupSafetyMargin":14400000000000,"MinEpochDuration":86400000000000,"EpochAdvanceOnCountThreshold":20,"EpochAdvanceOnTotalSizeBytesThreshold":10485760,"DeleteParallelism":4},"enablePasswordChange":true,"splitter":"DYNAMIC-4M-BUZHASH"}}"#;
        let id: Vec<u8> = (0..32).collect();
        let key = derive_format_key("scrypt-65536-8-1", b"test-password", &id).unwrap();
        let sealed = seal_envelope(&key, &id, std::array::from_fn(|i| 0xa0 + i as u8), plain);
        assert_eq!(
            hex::encode(Sha256::digest(sealed)),
            "fc009a78fc8f3fbdfa09a10ac37cdf2f839f4938361ed874d19ddfb979596106"
        );
    }
}
