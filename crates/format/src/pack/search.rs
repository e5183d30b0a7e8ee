//! Finds the local index of a pack whose end is damaged, or that something was appended to.

use super::Postamble;
use crate::reader::Cursor;

/// Postambles that are tried at most: each costs a decryption.
const MOST: usize = 64;
/// Bytes of a postamble's fields at most, behind its iv.
const FIELDS: usize = 20;

impl Postamble {
    /// Finds what may have been the postamble, best first: everything in `bytes` that says of itself that a local index
    /// ends where it begins. `bytes` are the last ones of a pack, from `start` on, and `iv_len` is the length of the
    /// repository's hashes. The checksum is not asked: a right one was found before. Whether a local index is there
    /// shows when it decrypts.
    pub fn search(bytes: &[u8], start: u64, iv_len: usize) -> Vec<Postamble> {
        let mut found = announced(bytes, start, iv_len);
        let Ok(length_byte) = u8::try_from(iv_len) else { return found };
        for at in (1..bytes.len()).rev().filter(|at| bytes.get(*at) == Some(&length_byte)) {
            let Some(fields) = fields(bytes, at, iv_len) else { continue };
            let ends = place(start, at.saturating_sub(1));
            if fields.offset.checked_add(fields.len) == ends && !found.contains(&fields) {
                found.push(fields);
            }
            if found.len() >= MOST {
                break;
            }
        }
        found
    }
}

/// Reads where the last byte says that the postamble begins: one field that is wrong there follows from the other.
fn announced(bytes: &[u8], start: u64, iv_len: usize) -> Vec<Postamble> {
    let begin = || {
        let (last, before) = bytes.split_last()?;
        before.len().checked_sub(usize::from(*last))
    };
    let Some(begin) = begin() else { return Vec::new() };
    let (Some(read), Some(end)) = (fields(bytes, begin.saturating_add(1), iv_len), place(start, begin))
    else {
        return Vec::new();
    };
    let Postamble { iv, offset, len } = read;
    let by_offset = end.checked_sub(offset).map(|len| Postamble { iv: iv.clone(), offset, len });
    let by_len = end.checked_sub(len).map(|offset| Postamble { iv, offset, len });
    by_offset.into_iter().chain(by_len).filter(|postamble| postamble.len > 0).collect()
}

/// Reads the fields behind the version; `at` is where the length of the iv stands.
fn fields(bytes: &[u8], at: usize, iv_len: usize) -> Option<Postamble> {
    let from = at.checked_add(1)?;
    let to = from.checked_add(iv_len)?.checked_add(FIELDS)?.min(bytes.len());
    let mut cursor = Cursor::new(bytes.get(from..to)?);
    let iv = cursor.bytes(iv_len).ok()?.to_vec();
    Some(Postamble { iv, offset: cursor.uvarint()?, len: cursor.uvarint()? })
}

fn place(start: u64, at: usize) -> Option<u64> {
    start.checked_add(u64::try_from(at).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a pack of 4096 bytes of contents, 300 of a local index, and its postamble.
    fn pack() -> (Vec<u8>, Postamble) {
        let mut bytes = vec![0x5a; 4396];
        let mut tail = vec![1, 16];
        tail.extend(100..116u8);
        tail.extend([0x80, 0x20, 0xac, 0x02]);
        bytes.extend(&tail);
        bytes.extend(
            crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &tail).to_be_bytes().split_at(4).1,
        );
        bytes.push(u8::try_from(tail.len() + 4).unwrap());
        (bytes, Postamble { iv: (100..116).collect(), offset: 4096, len: 300 })
    }

    #[test]
    fn a_damaged_byte_outside_of_the_iv_hides_nothing() {
        let (good, wanted) = pack();
        assert_eq!(Postamble::parse(&good, good.len() as u64), Ok(wanted.clone()));
        for at in (4396..good.len()).filter(|at| !(4397..4414).contains(at)) {
            // Bits of values: where a number ends, everything behind it moves.
            for flip in [1, 0x40] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                let found = Postamble::search(&bad[4000..], 4000, 16);
                assert!(found.contains(&wanted), "{at} {flip}: {found:?}");
            }
        }
    }

    #[test]
    fn what_was_appended_or_cut_off_behind_hides_nothing() {
        let (good, wanted) = pack();
        let longer = [&good[..], &[16u8; 5000]].concat();
        assert!(Postamble::search(&longer, 0, 16).contains(&wanted));
        assert!(Postamble::search(&good[..good.len() - 5], 0, 16).contains(&wanted));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), start: u64, iv_len in 0usize..80) {
            prop_assert!(Postamble::search(&bytes, start, iv_len).len() <= MOST + 1);
        }
    }
}
