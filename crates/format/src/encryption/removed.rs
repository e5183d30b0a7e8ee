//! Opens items of ciphers that Kopia dropped in version 0.9; repositories that never migrated still exist (§3.4).

use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::Error;
use crate::hkdf::hkdf_sha256;

/// A cipher that Kopia dropped, with its keys.
pub(super) enum RemovedCipher {
    None,
    Aes128Ctr(Zeroizing<Vec<u8>>),
    Aes192Ctr(Zeroizing<Vec<u8>>),
    Aes256Ctr(Zeroizing<Vec<u8>>),
    Salsa20 { key: Zeroizing<[u8; 32]>, mac: Option<Box<Hmac<Sha256>>> },
}

/// Bytes of the HMAC behind a `SALSA20-HMAC` item.
const MAC: usize = 32;

impl RemovedCipher {
    pub(super) fn new(name: &str, master_key: &[u8]) -> Result<Self, Error> {
        let first = |wanted: usize| {
            let key = master_key.get(..wanted).map(|k| Zeroizing::new(k.to_vec()));
            key.ok_or(Error::ShortKey { wanted, found: master_key.len() })
        };
        Ok(match name {
            "NONE" => RemovedCipher::None,
            "AES-128-CTR" => RemovedCipher::Aes128Ctr(first(16)?),
            "AES-192-CTR" => RemovedCipher::Aes192Ctr(first(24)?),
            "AES-256-CTR" => RemovedCipher::Aes256Ctr(first(32)?),
            "SALSA20" => {
                let mut key = Zeroizing::new([0; 32]);
                key.copy_from_slice(&first(32)?);
                RemovedCipher::Salsa20 { key, mac: None }
            }
            "SALSA20-HMAC" => {
                let (mut key, mut mac_key) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
                hkdf_sha256(master_key, b"encryption", b"", &mut *key);
                hkdf_sha256(master_key, b"hmac", b"", &mut *mac_key);
                let mac = Hmac::<Sha256>::new_from_slice(&*mac_key);
                let mac = mac.map_err(|_| Error::ShortKey { wanted: 32, found: 0 })?;
                RemovedCipher::Salsa20 { key, mac: Some(Box::new(mac)) }
            }
            _ => return Err(Error::UnsupportedAlgorithm { name: name.to_owned() }),
        })
    }

    pub(super) fn overhead(&self) -> usize {
        if self.is_authenticated() { MAC } else { 0 }
    }

    pub(super) fn is_authenticated(&self) -> bool {
        matches!(self, RemovedCipher::Salsa20 { mac: Some(_), .. })
    }

    pub(super) fn open_in_place<'a>(&self, iv: &[u8], stored: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        let ctr_iv = iv.get(..16).ok_or(Error::NotAuthentic);
        match self {
            RemovedCipher::None => {}
            RemovedCipher::Aes128Ctr(key) => {
                apply(ctr::Ctr128BE::<aes::Aes128>::new_from_slices(key, ctr_iv?), stored)?
            }
            RemovedCipher::Aes192Ctr(key) => {
                apply(ctr::Ctr128BE::<aes::Aes192>::new_from_slices(key, ctr_iv?), stored)?
            }
            RemovedCipher::Aes256Ctr(key) => {
                apply(ctr::Ctr128BE::<aes::Aes256>::new_from_slices(key, ctr_iv?), stored)?
            }
            RemovedCipher::Salsa20 { key, mac } => {
                let text = match mac {
                    Some(mac) => {
                        let (text, tag) = stored.split_last_chunk_mut::<MAC>().ok_or(Error::NotAuthentic)?;
                        let mut mac = (**mac).clone();
                        mac.update(text);
                        mac.verify_slice(&*tag).map_err(|_| Error::NotAuthentic)?;
                        text
                    }
                    None => stored,
                };
                let nonce = iv.get(..8).ok_or(Error::NotAuthentic)?;
                apply(salsa20::Salsa20::new_from_slices(&**key, nonce), text)?;
                return Ok(text);
            }
        }
        Ok(stored)
    }
}

fn apply<C: StreamCipher, E>(cipher: Result<C, E>, text: &mut [u8]) -> Result<(), Error> {
    let mut cipher = cipher.map_err(|_| Error::NotAuthentic)?;
    cipher.try_apply_keystream(text).map_err(|_| Error::NotAuthentic)
}
