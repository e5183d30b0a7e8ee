//! Hashes with HMAC over SHA-2 and SHA-3, with the key absorbed once.

use hmac::{Hmac, KeyInit, Mac, SimpleHmac};
use sha2::{Sha224, Sha256};
use sha3::{Sha3_224, Sha3_256};

use super::algorithm::HashAlgorithm;

/// An HMAC after its key.
#[derive(Clone)]
pub(super) enum Hmacs {
    Sha224(Hmac<Sha224>),
    Sha256(Hmac<Sha256>),
    Sha3_224(SimpleHmac<Sha3_224>),
    Sha3_256(SimpleHmac<Sha3_256>),
}

impl Hmacs {
    /// Makes an HMAC; `None` for another family.
    pub(super) fn new(algorithm: HashAlgorithm, secret: &[u8]) -> Option<Self> {
        Some(match algorithm {
            HashAlgorithm::HmacSha224 => Hmacs::Sha224(KeyInit::new_from_slice(secret).ok()?),
            HashAlgorithm::HmacSha256 | HashAlgorithm::HmacSha256_128 => {
                Hmacs::Sha256(KeyInit::new_from_slice(secret).ok()?)
            }
            HashAlgorithm::HmacSha3_224 => Hmacs::Sha3_224(KeyInit::new_from_slice(secret).ok()?),
            HashAlgorithm::HmacSha3_256 => Hmacs::Sha3_256(KeyInit::new_from_slice(secret).ok()?),
            _ => return None,
        })
    }

    pub(super) fn hash(&self, data: &[u8]) -> [u8; 32] {
        match self {
            Hmacs::Sha224(mac) => run(mac, data),
            Hmacs::Sha256(mac) => run(mac, data),
            Hmacs::Sha3_224(mac) => run(mac, data),
            Hmacs::Sha3_256(mac) => run(mac, data),
        }
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        match self {
            Hmacs::Sha224(mac) => mac.update(data),
            Hmacs::Sha256(mac) => mac.update(data),
            Hmacs::Sha3_224(mac) => mac.update(data),
            Hmacs::Sha3_256(mac) => mac.update(data),
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        match self {
            Hmacs::Sha224(mac) => output(mac),
            Hmacs::Sha256(mac) => output(mac),
            Hmacs::Sha3_224(mac) => output(mac),
            Hmacs::Sha3_256(mac) => output(mac),
        }
    }
}

fn run<M: Mac + Clone>(keyed: &M, data: &[u8]) -> [u8; 32] {
    let mut mac = keyed.clone();
    mac.update(data);
    output(mac)
}

fn output<M: Mac>(mac: M) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(mac.finalize().into_bytes()) {
        *to = from;
    }
    hash
}
