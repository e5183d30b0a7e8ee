//! Opens AES-256-GCM and ChaCha20-Poly1305 over `nonce (12) || ciphertext || tag (16)`, in place.

/// The cipher of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    Aes256Gcm,
    ChaCha20Poly1305,
}

/// The error of bytes that do not authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// Bytes of the nonce in front.
pub(crate) const NONCE: usize = 12;
/// Bytes of the tag behind.
pub(crate) const TAG: usize = 16;

#[cfg(feature = "aws-lc")]
pub(crate) use aws_lc::Aead;
#[cfg(not(feature = "aws-lc"))]
pub(crate) use portable::Aead;

#[cfg(feature = "aws-lc")]
pub(crate) mod aws_lc {
    //! Opens by aws-lc-rs: the fast one.

    use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    use super::{Cipher, NONCE, NotAuthentic, TAG};

    /// A key, ready to open.
    pub(crate) struct Aead(Option<LessSafeKey>);

    impl Aead {
        pub(crate) fn new(cipher: Cipher, key: &[u8; 32]) -> Self {
            let algorithm = match cipher {
                Cipher::Aes256Gcm => &AES_256_GCM,
                Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            };
            // A key of the right length is never refused; if it were, nothing would open.
            Aead(UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new))
        }

        /// Decrypts inside `stored`; returns the plaintext.
        pub(crate) fn open_in_place<'a>(
            &self,
            aad: &[u8],
            stored: &'a mut [u8],
        ) -> Result<&'a mut [u8], NotAuthentic> {
            let key = self.0.as_ref().ok_or(NotAuthentic)?;
            if stored.len() < NONCE.saturating_add(TAG) {
                return Err(NotAuthentic);
            }
            let (nonce, sealed) = stored.split_first_chunk_mut::<NONCE>().ok_or(NotAuthentic)?;
            let nonce = Nonce::assume_unique_for_key(*nonce);
            // The call that takes both together moves the plaintext onto itself, and not every C library sees through it.
            let (text, tag) = sealed.split_last_chunk_mut::<TAG>().ok_or(NotAuthentic)?;
            key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, text).map_err(|_| NotAuthentic)
        }
    }
}

#[cfg(any(test, not(feature = "aws-lc")))]
pub(crate) mod portable {
    //! By RustCrypto: where `aws-lc` is not built in; the oracle of the other one in tests.

    use aes_gcm::Aes256Gcm;
    use aes_gcm::aead::{AeadInOut, KeyInit};
    use chacha20poly1305::ChaCha20Poly1305;

    use super::{Cipher, NONCE, NotAuthentic, TAG};

    /// A key, ready to open.
    pub(crate) enum Aead {
        Aes(Box<Aes256Gcm>),
        ChaCha(Box<ChaCha20Poly1305>),
    }

    impl Aead {
        pub(crate) fn new(cipher: Cipher, key: &[u8; 32]) -> Self {
            match cipher {
                Cipher::Aes256Gcm => Aead::Aes(Box::new(Aes256Gcm::new(key.into()))),
                Cipher::ChaCha20Poly1305 => Aead::ChaCha(Box::new(ChaCha20Poly1305::new(key.into()))),
            }
        }

        /// Decrypts inside `stored`; returns the plaintext.
        pub(crate) fn open_in_place<'a>(
            &self,
            aad: &[u8],
            stored: &'a mut [u8],
        ) -> Result<&'a mut [u8], NotAuthentic> {
            if stored.len() < NONCE.saturating_add(TAG) {
                return Err(NotAuthentic);
            }
            let (nonce, sealed) = stored.split_first_chunk_mut::<NONCE>().ok_or(NotAuthentic)?;
            let (text, tag) = sealed.split_last_chunk_mut::<TAG>().ok_or(NotAuthentic)?;
            let (nonce, tag) = ((&*nonce).into(), (&*tag).into());
            match self {
                Aead::Aes(key) => key.decrypt_inout_detached(nonce, aad, (&mut *text).into(), tag),
                Aead::ChaCha(key) => key.decrypt_inout_detached(nonce, aad, (&mut *text).into(), tag),
            }
            .map_err(|_| NotAuthentic)?;
            Ok(text)
        }
    }
}
