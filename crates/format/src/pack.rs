//! Packs: their names, the way to the local index at their end, and replicas of the format blob (§2.10, §3.7, §3.8).
//!
//! ```text
//! [format replica] [preamble] [content] … [padding] [encrypted local index] [postamble]
//!                                                   ▲ offset, length, iv ────┘     └ its own length: last byte
//! ```
//! Contents are located by the index alone; what is here serves recovery.

use crc_fast::{CrcAlgorithm, checksum};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::BlobId;
use crate::reader::Cursor;

/// Where a pack's local index is, from the last bytes of the pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postamble {
    /// iv of the local index: the **full** hash of its plaintext, unlike the iv of contents and blobs (§3.3).
    pub iv: Vec<u8>,
    /// From the start of the pack, in bytes.
    pub offset: u64,
    /// Stored length of the local index, in bytes.
    pub len: u64,
}

/// The end of the blob is not a postamble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The last byte leads nowhere.
    #[error("postamble of {len} bytes in {available}")]
    Length {
        /// Length that the last byte announces.
        len: usize,
        /// Bytes before the last.
        available: usize,
    },
    /// The checksum is another.
    #[error("postamble has checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// As computed.
        expected: u32,
        /// As stored.
        found: u32,
    },
    /// A later version.
    #[error("postamble has version {found}, expected 1")]
    Version {
        /// As stored.
        found: u64,
    },
    /// A field does not fit in the postamble.
    #[error("postamble breaks off in its {field}")]
    Field {
        /// Which field.
        field: &'static str,
    },
    /// The local index is not inside the pack.
    #[error("local index of {len} bytes at offset {offset} is not inside its pack of {pack_len} bytes")]
    Outside {
        /// As stored.
        offset: u64,
        /// As stored.
        len: u64,
        /// Length of the pack, in bytes.
        pack_len: u64,
    },
}

/// Prefix letters of packs: contents without a prefix are in `p`, all others in `q`.
pub const PREFIXES: [char; 2] = ['p', 'q'];

/// How much of a pack's end is enough to find the postamble and, mostly, the local index, in bytes.
pub const TAIL: usize = 8192;

/// How much of a pack's front or end can hold a replica of the format blob, in bytes.
pub const REPLICA_WINDOW: usize = 65_536;

/// Longest body of a replica: blob and HMAC, in bytes.
const MAX_REPLICA: usize = 65_000;
/// Not a secret: it marks replicas, it does not authenticate them.
const REPLICA_KEY: &[u8] = b"kopia-repository";
/// HMAC-SHA256, in bytes.
const HMAC_LEN: usize = 32;
/// CRC-32, in bytes.
const CRC_LEN: usize = 4;

/// Whether the blob is a pack by its name.
pub fn is_pack(blob: &BlobId) -> bool {
    blob.as_str().starts_with(PREFIXES)
}

impl Postamble {
    /// From the last bytes of a pack ([`TAIL`] are plenty), of `pack_len` bytes in all.
    ///
    /// Nothing here is authenticated; that comes with decrypting the local index.
    ///
    /// # Errors
    /// When the bytes do not end in a postamble, or it points outside the pack.
    pub fn parse(tail: &[u8], pack_len: u64) -> Result<Self, Error> {
        let (&last, before) = tail.split_last().ok_or(Error::Length { len: 0, available: 0 })?;
        let len = usize::from(last);
        let error = Error::Length { len, available: before.len() };
        let start = before.len().checked_sub(len).filter(|_| len >= 5).ok_or(error)?;
        let (body, crc) =
            before.get(start..).and_then(|all| all.split_last_chunk::<CRC_LEN>()).ok_or(error)?;
        let (found, expected) = (u32::from_be_bytes(*crc), crc32(body));
        if found != expected {
            return Err(Error::Checksum { expected, found });
        }
        let mut body = Cursor::new(body);
        let version = body.uvarint().ok_or(Error::Field { field: "version" })?;
        if version != 1 {
            return Err(Error::Version { found: version });
        }
        let iv_len = body.uvarint().and_then(|n| usize::try_from(n).ok());
        let iv = iv_len.and_then(|n| body.bytes(n).ok()).ok_or(Error::Field { field: "iv" })?;
        let offset = body.uvarint().ok_or(Error::Field { field: "offset" })?;
        let len = body.uvarint().ok_or(Error::Field { field: "length" })?;
        if offset.checked_add(len).is_none_or(|end| end > pack_len) {
            return Err(Error::Outside { offset, len, pack_len });
        }
        Ok(Postamble { iv: iv.to_vec(), offset, len })
    }

    /// The encrypted local index, when `tail` (the last bytes of a pack of `pack_len`) holds all of it; otherwise
    /// `offset` and `len` say what to read.
    pub fn local_index<'a>(&self, tail: &'a [u8], pack_len: u64) -> Option<&'a [u8]> {
        let tail_start = pack_len.checked_sub(u64::try_from(tail.len()).ok()?)?;
        let start = usize::try_from(self.offset.checked_sub(tail_start)?).ok()?;
        tail.get(start..start.checked_add(usize::try_from(self.len).ok()?)?)
    }
}

/// The copy of `kopia.repository` at the front or at the end of a pack's bytes (§2.10).
///
/// Give the first or the last [`REPLICA_WINDOW`] bytes of the pack, or all of a shorter one. The HMAC only shows
/// that it is one: its key is public. Only repositories whose `enablePasswordChange` is off have replicas.
pub fn find_format_replica(bytes: &[u8]) -> Option<&[u8]> {
    let front = || {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        checked_replica(rest.get(..replica_len(*len)?)?)
    };
    let end = || {
        let (rest, len) = bytes.split_last_chunk::<2>()?;
        checked_replica(rest.get(rest.len().checked_sub(replica_len(*len)?)?..)?)
    };
    front().or_else(end)
}

/// The one little-endian number of the format.
fn replica_len(word: [u8; 2]) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(word))).filter(|len| *len <= MAX_REPLICA)
}

fn checked_replica(body: &[u8]) -> Option<&[u8]> {
    let (blob, tag) = body.split_at_checked(body.len().checked_sub(HMAC_LEN)?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(REPLICA_KEY).ok()?;
    mac.update(blob);
    mac.verify_slice(tag).ok().map(|()| blob)
}

fn crc32(bytes: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blob(name: &str) -> BlobId {
        BlobId::parse(name).unwrap()
    }

    fn tail(hex_text: &str) -> Vec<u8> {
        hex::decode(hex_text).unwrap()
    }

    /// A postamble with a right checksum over this body.
    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut out = body.to_vec();
        out.extend(crc32(body).to_be_bytes());
        out.push(out.len() as u8);
        out
    }

    #[test]
    fn postambles_of_the_format_document() {
        let short = Postamble::parse(&tail("0110000102030405060708090a0b0c0d0e0f8040ac020025a5021a"), 10_000)
            .unwrap();
        assert_eq!(short, Postamble { iv: (0..16).collect(), offset: 8192, len: 300 });
        let long = tail(
            "0120000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f8080800af0a20499ed78fe2d",
        );
        let long = Postamble::parse(&long, 30_000_000).unwrap();
        assert_eq!(long, Postamble { iv: (0..32).collect(), offset: 20_971_520, len: 70_000 });
    }

    #[test]
    fn trap_05_packs_of_the_tiny_repository_name_the_full_hash() {
        for (end, iv, len, pack_len) in [
            (
                "0110cfb43f3659b2c33863d3f66c879a15748020fa0138feb1bf1a",
                "cfb43f3659b2c33863d3f66c879a1574",
                250,
                4373,
            ),
            (
                "01107b1d949ebff21dd13c23dac8d76137e08020f101d6be4cf61a",
                "7b1d949ebff21dd13c23dac8d76137e0",
                241,
                4364,
            ),
        ] {
            let mut pack = vec![7; pack_len];
            pack.truncate(pack_len - 27);
            pack.extend(tail(end));
            let postamble = Postamble::parse(&pack[100..], pack_len as u64).unwrap();
            assert_eq!(
                (hex::encode(&postamble.iv).as_str(), postamble.offset, postamble.len),
                (iv, 4096, len)
            );
            assert_eq!(postamble.local_index(&pack, pack_len as u64), pack.get(4096..4096 + len as usize));
            assert_eq!(
                postamble.local_index(&pack[4096..], pack_len as u64).map(<[u8]>::len),
                Some(len as usize)
            );
            assert_eq!(postamble.local_index(&pack[4097..], pack_len as u64), None);
        }
    }

    #[test]
    fn damaged_postambles_are_refused() {
        let good = tail("0110000102030405060708090a0b0c0d0e0f8040ac020025a5021a");
        for len in 0..good.len() {
            assert!(Postamble::parse(&good[good.len() - len..], 10_000).is_err(), "{len}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Postamble::parse(&bad, 10_000).is_err(), "{at}");
        }
        assert!(matches!(Postamble::parse(&good, 8491), Err(Error::Outside { .. })));
        assert!(Postamble::parse(&good, 8492).is_ok());
        assert_eq!(Postamble::parse(&sealed(&[2, 0, 0, 0]), 10), Err(Error::Version { found: 2 }));
        assert_eq!(Postamble::parse(&sealed(&[1, 5, 0]), 10), Err(Error::Field { field: "iv" }));
        assert_eq!(Postamble::parse(&sealed(&[1, 0]), 10), Err(Error::Field { field: "offset" }));
        assert_eq!(Postamble::parse(&sealed(&[1, 0, 0x80]), 10), Err(Error::Field { field: "offset" }));
        assert_eq!(Postamble::parse(&sealed(&[1, 0, 0]), 10), Err(Error::Field { field: "length" }));
        assert!(matches!(Postamble::parse(&[4], 1), Err(Error::Length { len: 4, .. })));
        let mut huge = vec![1, 0];
        huge.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1]);
        assert!(matches!(Postamble::parse(&sealed(&huge), 10), Err(Error::Outside { .. })));
    }

    #[test]
    fn replica_of_the_format_document_is_found_at_either_end() {
        let replica = tail(
            "2a00616164736461736461735d248ba07bde060f500ae9b489ff46358544ada66b4737a879ec5f0c9cc257ef2a00",
        );
        let found = Some(&b"aadsdasdas"[..]);
        let noise = [9u8; 100];
        assert_eq!(find_format_replica(&replica), found);
        assert_eq!(find_format_replica(&[&replica[..], &noise].concat()), found);
        assert_eq!(find_format_replica(&[&noise, &replica[..]].concat()), found);
        assert_eq!(find_format_replica(&[&noise, &replica[..], &noise].concat()), None);
        for at in 2..replica.len() - 2 {
            let mut bad = replica.clone();
            bad[at] ^= 1;
            assert_eq!(find_format_replica(&bad), None, "{at}");
        }
        for short in [&b""[..], b"\x01", b"\0\0", b"\0\0\0\0", b"\xff\xff\0\xff\xff"] {
            assert_eq!(find_format_replica(short), None);
        }
    }

    #[test]
    fn trap_47_packs_are_p_and_q_with_or_without_session() {
        assert!(is_pack(&blob("p81411ac55c280560319f34a78147f19e-s656fecf95845c101147")));
        assert!(is_pack(&blob("q548b5cea76fb5f3f85c385a5ace41026")));
        assert!(!is_pack(&blob("xn0_485628df570a0f02242d865ec3675f23-s656fecf95845c101147-c1")));
        assert!(!is_pack(&blob("kopia.repository")));
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..80), pack_len: u64) {
            let _ = Postamble::parse(&body, pack_len);
            let _ = find_format_replica(&body);
            if let Ok(postamble) = Postamble::parse(&sealed(&body), pack_len) {
                let _ = postamble.local_index(&body, pack_len);
            }
        }
    }
}
