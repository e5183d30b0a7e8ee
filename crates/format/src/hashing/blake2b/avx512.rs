//! Computes the rounds of BLAKE2b on eight states at once: a word of each in a 512-bit register.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_ror_epi64, _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_xor_si512,
};

use super::consts::{Block, IV, LANES, Words, rounds};
use super::registers::{gather, scatter};
use super::rows::compress_rows;

/// Whether this processor has AVX-512.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// Hashes the first `blocks` of each run into the state beside it; `hashed` are the bytes before. The first `lanes` are
/// wanted. Where AVX-512 is missing: `false`, and nothing is changed.
#[expect(
    unsafe_code,
    reason = "eight are three quarters faster than four in 256 bits; two and four, than one by one"
)]
pub(super) fn compress(
    states: &mut [Words; LANES],
    hashed: [u64; LANES],
    runs: [&[Block]; LANES],
    lanes: usize,
    blocks: usize,
) -> bool {
    let is_there = is_there();
    if is_there {
        // SAFETY: the functions are safe but for the processor that they need.
        unsafe {
            match lanes {
                ..=2 => compress_rows::<1>(states, hashed, runs, blocks),
                3 | 4 => compress_rows::<2>(states, hashed, runs, blocks),
                _ => compress_wide(states, hashed, runs, blocks),
            }
        }
    }
    is_there
}

#[target_feature(enable = "avx512f")]
#[expect(clippy::indexing_slicing, reason = "constants below the length of an array")]
fn compress_wide(states: &mut [Words; LANES], hashed: [u64; LANES], runs: [&[Block]; LANES], blocks: usize) {
    let mut words: [__m512i; 8] = [_mm512_setzero_si512(); 8];
    for (place, word) in words.iter_mut().enumerate() {
        let mut of_lanes = [0; LANES];
        of_lanes.iter_mut().zip(&*states).for_each(|(to, state)| *to = state[place]);
        *word = gather(of_lanes);
    }
    let mut hashed = gather(hashed);
    for at in 0..blocks {
        let mut blocks = [&[0; 128]; LANES];
        blocks.iter_mut().zip(runs).for_each(|(to, run)| *to = run.get(at).unwrap_or(to));
        let mut message = [_mm512_setzero_si512(); 16];
        for (place, word) in message.iter_mut().enumerate() {
            *word = gather_message(&blocks, place);
        }
        hashed = _mm512_add_epi64(hashed, _mm512_set1_epi64(128));
        let [a, b, c, d, e, f, g, h] = words;
        let [i, j, k, l, m, n, o, p] = IV.map(|word| _mm512_set1_epi64(word.cast_signed()));
        let mut v = [a, b, c, d, e, f, g, h, i, j, k, l, _mm512_xor_si512(m, hashed), n, o, p];
        rounds!(mix, v, message);
        let (low, high) = v.split_at(8);
        for ((word, low), high) in words.iter_mut().zip(low).zip(high) {
            *word = _mm512_xor_si512(*word, _mm512_xor_si512(*low, *high));
        }
    }
    for (place, word) in words.into_iter().enumerate() {
        for (state, value) in states.iter_mut().zip(scatter(word)) {
            if let Some(word) = state.get_mut(place) {
                *word = value;
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
#[expect(clippy::indexing_slicing, reason = "constants below the length of an array")]
#[inline]
fn mix(v: &mut [__m512i; 16], [a, b, c, d]: [usize; 4], x: __m512i, y: __m512i) {
    v[a] = _mm512_add_epi64(_mm512_add_epi64(v[a], v[b]), x);
    v[d] = _mm512_ror_epi64::<32>(_mm512_xor_si512(v[d], v[a]));
    v[c] = _mm512_add_epi64(v[c], v[d]);
    v[b] = _mm512_ror_epi64::<24>(_mm512_xor_si512(v[b], v[c]));
    v[a] = _mm512_add_epi64(_mm512_add_epi64(v[a], v[b]), y);
    v[d] = _mm512_ror_epi64::<16>(_mm512_xor_si512(v[d], v[a]));
    v[c] = _mm512_add_epi64(v[c], v[d]);
    v[b] = _mm512_ror_epi64::<63>(_mm512_xor_si512(v[b], v[c]));
}

/// Gathers a word of each lane's block. An array in between would go through memory, at a third of the whole.
#[target_feature(enable = "avx512f")]
#[inline]
fn gather_message(blocks: &[&Block; LANES], place: usize) -> __m512i {
    let word = |block: &Block| {
        block.as_chunks().0.get(place).map_or(0, |word| u64::from_le_bytes(*word).cast_signed())
    };
    let [a, b, c, d, e, f, g, h] = blocks;
    _mm512_set_epi64(word(h), word(g), word(f), word(e), word(d), word(c), word(b), word(a))
}
