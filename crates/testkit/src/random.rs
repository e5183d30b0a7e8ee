//! Makes deterministic bytes: an equal seed gives an equal repository, byte for byte.

/// A SplitMix64 generator, never for real keys. Never for real keys.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Returns a generator for one of many parts of a whole, independent of the order in which they are asked for.
    pub fn of_part(seed: u64, part: u64) -> Self {
        let mut random = Random(seed ^ part.wrapping_mul(0xd134_2543_de82_ef95));
        random.next_u64();
        Random(random.next_u64())
    }

    /// Returns the next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns an integer below `end` (1 or more).
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// Returns a number in 0…1, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Returns random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Returns `bytes` random bytes as lower-case hex.
    pub fn hex(&mut self, bytes: usize) -> String {
        let mut out = vec![0; bytes];
        self.fill(&mut out);
        hex::encode(out)
    }
}

/// Returns `len` bytes of the generator of the format's test vectors (§10): the high bytes of a linear congruence.
pub fn lcg(len: usize) -> Vec<u8> {
    let mut x = 1u64;
    let step = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 56) as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lcg_is_that_of_the_format_document() {
        assert_eq!(hex::encode(lcg(16)), "6c82a562cb808d10d632be89c8513ebf");
    }

    #[test]
    fn random_is_reproducible_and_parts_differ() {
        assert_eq!(Random::new(7).bytes::<20>(), Random::new(7).bytes::<20>());
        assert_ne!(Random::of_part(7, 0).next_u64(), Random::of_part(7, 1).next_u64());
        assert!((0..1000).all(|i| Random::new(i).below(3) < 3 && Random::new(i).unit() < 1.0));
    }
}
