//! Opens stored items with content ciphers, or refuses them (§3.3, §3.4).

pub(crate) mod aead;
mod error;
mod removed;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use error::Error;

use crate::hkdf::hkdf_sha256;
use aead::{Aead, Cipher};
use removed::RemovedCipher;

/// The content cipher of a repository with its keys.
pub struct ContentCipher {
    name: String,
    scheme: Scheme,
}

enum Scheme {
    /// A cipher that authenticates, with a key per item: HMAC-SHA256 over the item's iv.
    Aead {
        cipher: Cipher,
        keys: Box<Hmac<Sha256>>,
    },
    Removed(RemovedCipher),
}

impl ContentCipher {
    /// Makes the cipher `name` with the repository's master key.
    ///
    /// # Errors
    /// [`Error::UnsupportedAlgorithm`], [`Error::ShortKey`].
    pub fn new(name: &str, master_key: &[u8]) -> Result<Self, Error> {
        let aead = |cipher| {
            let mut kds = Zeroizing::new([0; 32]);
            // The purpose is the salt and the info is empty: the other way round than for the format's keys.
            hkdf_sha256(master_key, b"encryption", b"", &mut *kds);
            let keys = Hmac::<Sha256>::new_from_slice(&*kds);
            let keys = keys.map_err(|_| Error::ShortKey { wanted: 32, found: master_key.len() })?;
            Ok(Scheme::Aead { cipher, keys: Box::new(keys) })
        };
        let scheme = match name {
            "AES256-GCM-HMAC-SHA256" => aead(Cipher::Aes256Gcm)?,
            "CHACHA20-POLY1305-HMAC-SHA256" => aead(Cipher::ChaCha20Poly1305)?,
            _ => Scheme::Removed(RemovedCipher::new(name, master_key)?),
        };
        Ok(ContentCipher { name: name.to_owned(), scheme })
    }

    /// Returns the name of the cipher in the repository.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns by how many bytes the stored form is longer than the plaintext.
    pub fn overhead(&self) -> usize {
        match &self.scheme {
            Scheme::Aead { .. } => aead::NONCE.saturating_add(aead::TAG),
            Scheme::Removed(cipher) => cipher.overhead(),
        }
    }

    /// Whether opening proves that the bytes are what was written under this iv.
    pub fn is_authenticated(&self) -> bool {
        match &self.scheme {
            Scheme::Aead { .. } => true,
            Scheme::Removed(cipher) => cipher.is_authenticated(),
        }
    }

    /// Opens `stored` inside its own buffer; returns the plaintext part of it. Nothing is allocated.
    ///
    /// # Errors
    /// [`Error::TooShort`], [`Error::NotAuthentic`].
    pub fn open_in_place<'a>(&self, iv: &[u8], stored: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        if stored.len() < self.overhead() {
            return Err(Error::TooShort { len: stored.len() });
        }
        match &self.scheme {
            Scheme::Aead { cipher, keys } => {
                let mut mac = (**keys).clone();
                mac.update(iv);
                let key: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
                Aead::new(*cipher, &key).open_in_place(iv, stored).map_err(|_| Error::NotAuthentic)
            }
            Scheme::Removed(cipher) => cipher.open_in_place(iv, stored),
        }
    }
}

impl std::fmt::Debug for ContentCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentCipher").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
