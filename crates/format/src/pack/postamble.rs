//! Reads the end of a pack: where its local index is (§3.8).

use crc_fast::{CrcAlgorithm, checksum};

use crate::reader::Cursor;

/// The place of a pack's local index, from the last bytes of the pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postamble {
    /// The iv of the local index: the **full** hash of its plaintext, unlike the iv of contents and blobs (§3.3).
    pub iv: Vec<u8>,
    /// The start of the local index, in bytes from the start of the pack.
    pub offset: u64,
    /// The stored length of the local index, in bytes.
    pub len: u64,
}

/// The reason why the end of the blob is not a postamble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The last byte leads nowhere.
    #[error("postamble of {len} bytes in {available}")]
    Length {
        /// The length that the last byte announces.
        len: usize,
        /// The number of bytes before the last.
        available: usize,
    },
    /// The checksum is another.
    #[error("postamble has checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The checksum as computed.
        expected: u32,
        /// The checksum as stored.
        found: u32,
    },
    /// The postamble is of a later version.
    #[error("postamble has version {found}, expected 1")]
    Version {
        /// The version as stored.
        found: u64,
    },
    /// A field does not fit in the postamble.
    #[error("postamble breaks off in its {field}")]
    Field {
        /// The name of the field.
        field: &'static str,
    },
    /// The local index is not inside the pack.
    #[error("local index of {len} bytes at offset {offset} is not inside its pack of {pack_len} bytes")]
    Outside {
        /// The offset as stored, in bytes.
        offset: u64,
        /// The length as stored, in bytes.
        len: u64,
        /// The length of the pack, in bytes.
        pack_len: u64,
    },
}

/// Bytes of a CRC-32.
const CRC_LEN: usize = 4;

impl Postamble {
    /// Reads a postamble from the last bytes of a pack ([`TAIL`](super::TAIL) are plenty), of `pack_len` bytes in all.
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

    /// Returns the encrypted local index, when `tail` (the last bytes of a pack of `pack_len`) holds all of it;
    /// otherwise `offset` and `len` say what to read.
    pub fn local_index<'a>(&self, tail: &'a [u8], pack_len: u64) -> Option<&'a [u8]> {
        let tail_start = pack_len.checked_sub(u64::try_from(tail.len()).ok()?)?;
        let start = usize::try_from(self.offset.checked_sub(tail_start)?).ok()?;
        tail.get(start..start.checked_add(usize::try_from(self.len).ok()?)?)
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail(hex_text: &str) -> Vec<u8> {
        hex::decode(hex_text).unwrap()
    }

    /// Returns a postamble with a right checksum over this body.
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

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..80), pack_len: u64) {
            let _ = Postamble::parse(&body, pack_len);
            if let Ok(postamble) = Postamble::parse(&sealed(&body), pack_len) {
                let _ = postamble.local_index(&body, pack_len);
            }
        }
    }
}
