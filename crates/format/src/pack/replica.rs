//! Finds copies of the format blob in packs (§2.10).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a pack's front or end that can hold a replica of the format blob.
pub const REPLICA_WINDOW: usize = 65_536;

/// Longest body of a replica: blob and HMAC, in bytes.
const MAX_REPLICA: usize = 65_000;
/// The key of replicas, no secret: it marks replicas, it does not authenticate them.
const REPLICA_KEY: &[u8] = b"kopia-repository";
/// Bytes of an HMAC-SHA256.
const HMAC_LEN: usize = 32;

/// Finds the copy of `kopia.repository` at the front or at the end of a pack's bytes (§2.10).
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

/// Reads the one little-endian number of the format.
fn replica_len(word: [u8; 2]) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(word))).filter(|len| *len <= MAX_REPLICA)
}

fn checked_replica(body: &[u8]) -> Option<&[u8]> {
    let (blob, tag) = body.split_at_checked(body.len().checked_sub(HMAC_LEN)?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(REPLICA_KEY).ok()?;
    mac.update(blob);
    mac.verify_slice(tag).ok().map(|()| blob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replica_of_the_format_document_is_found_at_either_end() {
        let replica = from_hex(
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

    fn from_hex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = find_format_replica(&bytes);
        }
    }
}
