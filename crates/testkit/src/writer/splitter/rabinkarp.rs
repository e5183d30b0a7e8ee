//! Implements the Rabin fingerprint of 64 bytes (§5.4).

use std::sync::LazyLock;

use super::{RollingHash, WINDOW};

const POLYNOMIAL: u64 = 0x002E_3E3E_4A30_5605;
const DEGREE: u32 = 53;

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

struct Tables {
    /// The values of bytes when they are the oldest of the window.
    out: [u64; 256],
    /// The values to add so that the byte above the degree vanishes.
    reduce: [u64; 256],
}

#[derive(Debug, Clone)]
pub(super) struct RabinKarp {
    window: [u8; WINDOW],
    oldest: usize,
    hash: u64,
}

impl Default for RabinKarp {
    fn default() -> Self {
        RabinKarp { window: [0; WINDOW], oldest: 0, hash: 0 }
    }
}

impl RollingHash for RabinKarp {
    #[inline]
    fn roll(&mut self, data: &[u8], mut cut: impl FnMut(usize, u64) -> bool) -> Option<usize> {
        let tables = &*TABLES;
        for (i, &byte) in data.iter().enumerate() {
            let out = std::mem::replace(&mut self.window[self.oldest], byte);
            self.oldest = (self.oldest + 1) % WINDOW;
            let shifted = (self.hash ^ tables.out[usize::from(out)]) << 8 | u64::from(byte);
            self.hash = shifted ^ tables.reduce[(shifted >> DEGREE) as usize & 0xff];
            if cut(i + 1, self.hash) {
                return Some(i + 1);
            }
        }
        None
    }
}

impl Tables {
    fn new() -> Self {
        let (mut out, mut reduce) = ([0; 256], [0; 256]);
        for byte in 0..256u64 {
            out[byte as usize] = (1..WINDOW).fold(byte, |value, _| reduced(value << 8));
            reduce[byte as usize] = byte << DEGREE ^ reduced(byte << DEGREE);
        }
        Tables { out, reduce }
    }
}

/// Returns the remainder modulo the polynomial.
fn reduced(mut value: u64) -> u64 {
    for bit in (DEGREE..u64::BITS).rev() {
        if value >> bit & 1 == 1 {
            value ^= POLYNOMIAL << (bit - DEGREE);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::lcg;

    #[test]
    fn check_of_appendix_a() {
        let mut hash = RabinKarp::default();
        hash.roll(&lcg(WINDOW), |_, _| false);
        assert_eq!(hash.hash, 0x0005_341d_29a9_fbd1);
    }
}
