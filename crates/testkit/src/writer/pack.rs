//! Fills a pack, and ends it: padding, local index, postamble (§3.7, §3.8).

use hmac::{Hmac, KeyInit, Mac};
use rekopia_format::BlobId;
use rekopia_format::hashing::KeyedHash;
use sha2::Sha256;

use super::index::{self, IndexEntry};
use super::seal::Sealer;
use super::{Error, Result};
use crate::random::Random;

/// A pack that fills.
pub(super) struct PendingPack {
    pub(super) id: BlobId,
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<IndexEntry>,
}

impl PendingPack {
    /// Starts with a replica of the format blob, if there is one to be, and random bytes.
    pub(super) fn begin(id: BlobId, mut bytes: Vec<u8>, replica: &[u8], random: &mut Random) -> Self {
        bytes.clear();
        bytes.extend_from_slice(replica);
        bytes.extend(random.bytes::<32>());
        PendingPack { id, bytes, entries: Vec::new() }
    }

    /// Pads the pack and appends its own index.
    pub(super) fn finish(
        &mut self,
        index_version: u8,
        hash: &KeyedHash,
        sealer: &mut Sealer,
        random: &mut Random,
    ) -> Result<()> {
        let padded = self.bytes.len() + 4096 - self.bytes.len() % 4096; // never nothing
        let start = self.bytes.len();
        self.bytes.resize(padded, 0);
        random.fill(&mut self.bytes[start..]);
        let mut local = index::encode(index_version, &mut self.entries)?;
        local.extend(random.bytes::<32>());
        let iv = hash.hash(&local);
        sealer.seal(&iv, &local, &mut self.bytes);
        let postamble = postamble(&iv, padded as u64, (self.bytes.len() - padded) as u64);
        self.bytes.extend(postamble);
        Ok(())
    }
}

/// Returns the format blob between two copies of its length, with the checksum by which recovery finds it (§2.10).
pub(super) fn replica(format_blob: &[u8]) -> Result<Vec<u8>> {
    let mac = Hmac::<Sha256>::new_from_slice(b"kopia-repository").expect("HMAC takes keys of any length");
    let mut body = format_blob.to_vec();
    body.extend(mac.chain_update(format_blob).finalize().into_bytes());
    let too_long =
        || Error::Options { expected: "a format blob of 65000 bytes at most", found: body.len().to_string() };
    let len = u16::try_from(body.len()).ok().filter(|n| *n <= 65_000).ok_or_else(too_long)?.to_le_bytes();
    Ok([&len, body.as_slice(), &len].concat())
}

fn postamble(iv: &[u8], offset: u64, len: u64) -> Vec<u8> {
    let mut out = Vec::new();
    push_uvarint(&mut out, 1);
    push_uvarint(&mut out, iv.len() as u64);
    out.extend_from_slice(iv);
    push_uvarint(&mut out, offset);
    push_uvarint(&mut out, len);
    let mut crc = flate2::Crc::new();
    crc.update(&out);
    out.extend(crc.sum().to_be_bytes());
    out.push(out.len() as u8);
    out
}

fn push_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The postambles are those of §10.6.
    #[test]
    fn postambles_of_the_format_document() {
        let iv: Vec<u8> = (0..32).collect();
        assert_eq!(
            hex::encode(postamble(&iv[..16], 8192, 300)),
            "0110000102030405060708090a0b0c0d0e0f8040ac020025a5021a"
        );
        assert_eq!(
            hex::encode(postamble(&iv, 20_971_520, 70_000)),
            "0120000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f8080800af0a20499ed78fe2d"
        );
    }

    /// The frame is that of §10.2.
    #[test]
    fn replicas_are_framed() {
        assert_eq!(
            hex::encode(replica(b"aadsdasdas").unwrap()),
            "2a00616164736461736461735d248ba07bde060f500ae9b489ff46358544ada66b4737a879ec5f0c9cc257ef2a00"
        );
        assert!(replica(&[0; 65_000]).is_err());
    }
}
