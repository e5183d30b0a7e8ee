//! Computes the rounds of BLAKE2b on two or four states at once: a row of two of them in a 512-bit register.
//!
//! The four mixes of half a round are one operation on rows of four words. Each waits for the one before it, so that a
//! state alone leaves the processor idle most of the time; a second one costs nothing more, and two pairs little.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_permutex_epi64, _mm512_permutex2var_epi64, _mm512_ror_epi64,
    _mm512_shuffle_i64x2, _mm512_xor_si512,
};

use super::consts::{Block, IV, LANES, SIGMA, Words};
use super::registers::{gather, scatter};

/// The words of the message that the four mixes of each half of a round take first, and those that they take second.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const ORDER: [[u64; 8]; 24] = {
    // The second half keeps the second row, which is ready last, where it is: its diagonals begin with the fourth.
    let mixes = [[0, 1, 2, 3], [7, 4, 5, 6]];
    let mut order = [[0; 8]; 24];
    let mut at = 0;
    while at < 4 * order.len() {
        let (half, place) = (at / 4, at % 4);
        let words = SIGMA[half / 2 % SIGMA.len()];
        let mix = mixes[half % 2][place];
        order[half][place] = words[2 * mix] as u64;
        order[half][place + 4] = words[2 * mix + 1] as u64;
        at += 1;
    }
    order
};

/// Hashes the first `blocks` of the first `PAIRS` pairs of runs into the states beside them; `bytes` are those before.
#[target_feature(enable = "avx512f")]
#[expect(clippy::indexing_slicing, reason = "constants below the length of an array")]
pub(super) fn compress_rows<const PAIRS: usize>(
    states: &mut [Words; LANES],
    bytes: [u64; LANES],
    runs: [&[Block]; LANES],
    blocks: usize,
) {
    let [iv_low, iv_high] = halves(&IV);
    let (iv_low, iv_high) = (row(iv_low, iv_low), row(iv_high, iv_high));
    let block_len = row([128, 0, 0, 0], [128, 0, 0, 0]);
    let (mut rows, mut hashed) = ([[iv_low; 2]; PAIRS], [iv_low; PAIRS]);
    let of_pairs = states.as_chunks::<2>().0.iter().zip(bytes.as_chunks::<2>().0);
    for ((rows, hashed), ([first, second], bytes)) in rows.iter_mut().zip(&mut hashed).zip(of_pairs) {
        let ([a, b], [c, d]) = (halves(first), halves(second));
        *rows = [row(a, c), row(b, d)];
        *hashed = row([bytes[0], 0, 0, 0], [bytes[1], 0, 0, 0]);
    }
    let runs = runs.as_chunks::<2>().0;
    for at in 0..blocks {
        let mut v = [[iv_low; 4]; PAIRS];
        let mut messages = [[[iv_low; 2]; 2]; PAIRS];
        for n in 0..PAIRS {
            let block = |side: usize| runs[n][side].get(at).unwrap_or(&[0; 128]);
            messages[n] = [message(block(0)), message(block(1))];
            hashed[n] = _mm512_add_epi64(hashed[n], block_len);
            v[n] = [rows[n][0], rows[n][1], iv_low, _mm512_xor_si512(iv_high, hashed[n])];
        }
        for [columns, diagonals] in ORDER.as_chunks().0 {
            for (v, messages) in v.iter_mut().zip(&messages) {
                mix(v, columns, messages);
                turn::<UP, DOWN>(v);
            }
            for (v, messages) in v.iter_mut().zip(&messages) {
                mix(v, diagonals, messages);
                turn::<DOWN, UP>(v);
            }
        }
        for ([low, high], v) in rows.iter_mut().zip(v) {
            *low = _mm512_xor_si512(*low, _mm512_xor_si512(v[0], v[2]));
            *high = _mm512_xor_si512(*high, _mm512_xor_si512(v[1], v[3]));
        }
    }
    for (of_pair, [low, high]) in states.as_chunks_mut().0.iter_mut().zip(rows) {
        let ([a, b, c, d, i, j, k, l], [e, f, g, h, m, n, o, p]) = (scatter(low), scatter(high));
        *of_pair = [[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]];
    }
}

/// Moves the words of a state's row up by one place, or down.
const UP: i32 = 0b10_01_00_11;
const DOWN: i32 = 0b00_11_10_01;

/// Turns columns to diagonals, or back: of the four rows the second stays, and the fourth moves by two.
#[target_feature(enable = "avx512f")]
#[inline]
fn turn<const FIRST: i32, const THIRD: i32>(v: &mut [__m512i; 4]) {
    v[0] = _mm512_permutex_epi64::<FIRST>(v[0]);
    v[2] = _mm512_permutex_epi64::<THIRD>(v[2]);
    v[3] = _mm512_permutex_epi64::<0b01_00_11_10>(v[3]);
}

/// Computes half a round: four mixes of each state.
#[target_feature(enable = "avx512f")]
#[inline]
fn mix(v: &mut [__m512i; 4], order: &[u64; 8], [first, second]: &[[__m512i; 2]; 2]) {
    let order = gather(*order);
    let first = _mm512_permutex2var_epi64(first[0], order, first[1]);
    let second = _mm512_permutex2var_epi64(second[0], order, second[1]);
    let x = _mm512_shuffle_i64x2::<0b01_00_01_00>(first, second);
    let y = _mm512_shuffle_i64x2::<0b11_10_11_10>(first, second);
    let [a, b, c, d] = *v;
    let a = _mm512_add_epi64(_mm512_add_epi64(a, x), b);
    let d = _mm512_ror_epi64::<32>(_mm512_xor_si512(d, a));
    let c = _mm512_add_epi64(c, d);
    let b = _mm512_ror_epi64::<24>(_mm512_xor_si512(b, c));
    let a = _mm512_add_epi64(_mm512_add_epi64(a, y), b);
    let d = _mm512_ror_epi64::<16>(_mm512_xor_si512(d, a));
    let c = _mm512_add_epi64(c, d);
    let b = _mm512_ror_epi64::<63>(_mm512_xor_si512(b, c));
    *v = [a, b, c, d];
}

#[target_feature(enable = "avx512f")]
#[inline]
fn message(block: &Block) -> [__m512i; 2] {
    let mut words = [0; 16];
    words.iter_mut().zip(block.as_chunks().0).for_each(|(to, from)| *to = u64::from_le_bytes(*from));
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = words;
    [gather([a, b, c, d, e, f, g, h]), gather([i, j, k, l, m, n, o, p])]
}

fn halves([a, b, c, d, e, f, g, h]: &Words) -> [[u64; 4]; 2] {
    [[*a, *b, *c, *d], [*e, *f, *g, *h]]
}

/// Returns a row of each state.
#[target_feature(enable = "avx512f")]
#[inline]
fn row([a, b, c, d]: [u64; 4], [e, f, g, h]: [u64; 4]) -> __m512i {
    gather([a, b, c, d, e, f, g, h])
}
