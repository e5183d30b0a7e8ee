//! Derives the format key from the password, and purpose keys from that; wiped on drop (§2.2, §2.3, §2.11).

use hmac::Hmac;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use crate::hkdf::hkdf_sha256;

use crate::encryption::aead::{Aead, Cipher};

/// The reason why a key cannot be derived, or an envelope does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository names a key derivation that is not known.
    #[error("key derivation {name:?} is not supported")]
    UnsupportedAlgorithm {
        /// The key derivation as named in the repository.
        name: String,
    },
    /// The unique ID of the repository is too short to be a salt.
    #[error("the repository's unique ID has {0} bytes, at least 16 are needed")]
    ShortSalt(usize),
    /// The envelope does not authenticate: another key, or damage.
    #[error("cannot be decrypted")]
    Envelope,
}

/// The format encryption key: 32 bytes from the password.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct FormatKey([u8; 32]);

/// Derives the format key (§2.2). Takes 64 MiB and a fraction of a second on purpose.
///
/// # Errors
/// [`Error::UnsupportedAlgorithm`], [`Error::ShortSalt`].
pub fn derive_format_key(algorithm: &str, password: &[u8], unique_id: &[u8]) -> Result<FormatKey, Error> {
    if unique_id.len() < 16 {
        return Err(Error::ShortSalt(unique_id.len()));
    }
    let unsupported = || Error::UnsupportedAlgorithm { name: algorithm.to_owned() };
    let mut key = [0; 32];
    match algorithm {
        "scrypt-65536-8-1" => {
            // A fuzzer opens thousands of repositories that it has written itself.
            let log_n = if cfg!(fuzzing) { 1 } else { 16 };
            let params = scrypt::Params::new(log_n, 8, 1).map_err(|_| unsupported())?;
            scrypt::scrypt(password, unique_id, &params, &mut key).map_err(|_| unsupported())?;
        }
        "pbkdf2-sha256-600000" => {
            pbkdf2::pbkdf2::<Hmac<Sha256>>(password, unique_id, 600_000, &mut key)
                .map_err(|_| unsupported())?;
        }
        _ => return Err(unsupported()),
    }
    Ok(FormatKey(key))
}

impl FormatKey {
    /// Returns the raw key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Opens a sealed format configuration or `kopia.blobcfg`: nonce (12) || ciphertext || tag (16) (§2.3).
    ///
    /// # Errors
    /// [`Error::Envelope`] when it does not authenticate.
    pub fn open_envelope(&self, unique_id: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut key = Zeroizing::new([0; 32]);
        let mut aad = Zeroizing::new([0; 32]);
        hkdf_sha256(&self.0, unique_id, b"AES", &mut *key);
        hkdf_sha256(&self.0, unique_id, b"CHECKSUM", &mut *aad);
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let aead = Aead::new(Cipher::Aes256Gcm, &key);
        let len = aead.open_in_place(&*aad, &mut bytes).map_err(|_| Error::Envelope)?.len();
        // The plaintext lies behind the nonce.
        let plain = bytes.get(12..).and_then(|b| b.get(..len)).ok_or(Error::Envelope)?;
        Ok(Zeroizing::new(plain.to_vec()))
    }
}

/// Derives a key of `len` bytes for an auxiliary purpose (§2.11).
pub fn derive_key(ikm: &[u8], unique_id: &[u8], purpose: &str, len: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(vec![0; len.min(8160)]);
    hkdf_sha256(ikm, unique_id, purpose.as_bytes(), &mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid32() -> Vec<u8> {
        (0..32).collect()
    }

    fn derived(ikm: &[u8], info: &str, n: usize) -> String {
        hex::encode(&*derive_key(ikm, &uid32(), info, n))
    }

    #[test]
    fn format_keys_and_derived_keys() {
        let scrypt = derive_format_key("scrypt-65536-8-1", b"test-password", &uid32()).unwrap();
        assert_eq!(
            hex::encode(scrypt.as_bytes()),
            "c25bccae074678f4ce6443ce46b56229e112e00ee0e52a53ff3ab35aeec3bac7"
        );
        let aes = "dea70e93a79e69145302bb312d93eae1c647df3432c8467955f6d6d09554d1fd";
        assert_eq!(derived(scrypt.as_bytes(), "AES", 32), aes);
        assert_eq!(
            derived(scrypt.as_bytes(), "local-cache-integrity", 16),
            "0a7d071b3baf659b96a561c60c01d92b"
        );
        let pbkdf2 = derive_format_key("pbkdf2-sha256-600000", b"test-password", &uid32()).unwrap();
        assert_eq!(
            hex::encode(pbkdf2.as_bytes()),
            "8aba72dadfcd3b59e16a4f57d805f18dcf81b29fa8c9046e8fa8a899ea4f1248"
        );
        let mut out = [0; 32];
        hkdf_sha256(b"ABCDEFGHIJKLMNOP", b"0123456789012345", b"the-test-purpose", &mut out);
        assert_eq!(hex::encode(out), "828769ee8969bc37f11dbaa32838f8db6c19daa6e3ae5f5eed2da2d94d8faddb");
    }

    /// Trap 9: auxiliary keys come from the master key or the format key, as `enablePasswordChange` says.
    #[test]
    fn trap_09_auxiliary_keys() {
        let master: Vec<u8> = (0x20..0x40).collect();
        let maintenance = "327e5ba0d7687c8a777e26dddaccb1fc6bdcf0e21a7f753928633d8186db741f";
        assert_eq!(derived(&master, "maintenance schedule", 32), maintenance);
        assert_eq!(derived(&uid32(), "local-cache-integrity", 16), "b47ed012369fb96d3b8592859af1d13a");
        let fek = "0ca1973f3529ba9a";
        let key = derive_key(
            b"01234567890123456789012345678901",
            b"a5ba5d2da4b14b518b9501b64b5d87ca",
            "test purpose",
            8,
        );
        assert_eq!(hex::encode(&*key), fek);
    }

    /// Trap 2: the associated data of the envelope is a derived secret.
    #[test]
    fn trap_02_envelope_of_blobcfg() {
        let key = derive_format_key("scrypt-65536-8-1", b"test-password", &uid32()).unwrap();
        let sealed = hex::decode("a0a1a2a3a4a5a6a7a8a9aaab06aa61944e746cf828ae6c65ffc68dc49266").unwrap();
        assert_eq!(&**key.open_envelope(&uid32(), &sealed).unwrap(), b"{}");
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert_eq!(key.open_envelope(&uid32(), &bad), Err(Error::Envelope));
        }
        assert_eq!(key.open_envelope(&uid32(), &sealed[..20]), Err(Error::Envelope));
    }

    #[test]
    fn unknown_algorithms_and_short_salts_are_refused() {
        assert!(matches!(derive_format_key("", b"x", &uid32()), Err(Error::UnsupportedAlgorithm { .. })));
        assert_eq!(derive_format_key("scrypt-65536-8-1", b"x", &[0; 15]).err(), Some(Error::ShortSalt(15)));
    }
}
