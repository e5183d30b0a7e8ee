//! Implements BuzHash32 over 64 bytes (§5.4).

use super::buzhash_table::TABLE;
use super::{RollingHash, WINDOW};

#[derive(Debug, Clone)]
pub(super) struct BuzHash {
    window: [u8; WINDOW],
    oldest: usize,
    hash: u32,
}

impl Default for BuzHash {
    fn default() -> Self {
        // 64 equal bytes cancel out.
        BuzHash { window: [0; WINDOW], oldest: 0, hash: 0 }
    }
}

impl RollingHash for BuzHash {
    #[inline]
    fn roll(&mut self, data: &[u8], mut cut: impl FnMut(usize, u64) -> bool) -> Option<usize> {
        for (i, &byte) in data.iter().enumerate() {
            let out = std::mem::replace(&mut self.window[self.oldest], byte);
            self.oldest = (self.oldest + 1) % WINDOW;
            self.hash = self.hash.rotate_left(1) ^ TABLE[usize::from(out)] ^ TABLE[usize::from(byte)];
            if cut(i + 1, self.hash.into()) {
                return Some(i + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::lcg;
    use sha2::{Digest, Sha256};

    #[test]
    fn checks_of_appendix_a() {
        let bytes: Vec<u8> = TABLE.iter().flat_map(|t| t.to_be_bytes()).collect();
        assert_eq!(
            hex::encode(Sha256::digest(bytes)),
            "9f95254df5585a4957a754ceac4fba2a8af24ad015e84f56db59dfc1e218f6dd"
        );
        let mut hash = BuzHash::default();
        hash.roll(&lcg(WINDOW), |_, _| false);
        assert_eq!(hash.hash, 0x10ef_0f8f);
        hash.roll(&[0; WINDOW], |_, _| false);
        assert_eq!(hash.hash, 0);
    }
}
