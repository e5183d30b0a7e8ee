//! Moves eight words into a register of 512 bits, and out of it.

use std::arch::x86_64::{__m512i, _mm256_extract_epi64, _mm512_extracti64x4_epi64, _mm512_set_epi64};

use super::consts::LANES;

/// Puts one word of each lane into a register.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn gather(words: [u64; LANES]) -> __m512i {
    let [a, b, c, d, e, f, g, h] = words;
    let signed = u64::cast_signed;
    _mm512_set_epi64(signed(h), signed(g), signed(f), signed(e), signed(d), signed(c), signed(b), signed(a))
}

/// Takes the word of each lane out of a register.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn scatter(words: __m512i) -> [u64; LANES] {
    let (low, high) = (_mm512_extracti64x4_epi64::<0>(words), _mm512_extracti64x4_epi64::<1>(words));
    let words = [
        _mm256_extract_epi64::<0>(low),
        _mm256_extract_epi64::<1>(low),
        _mm256_extract_epi64::<2>(low),
        _mm256_extract_epi64::<3>(low),
        _mm256_extract_epi64::<0>(high),
        _mm256_extract_epi64::<1>(high),
        _mm256_extract_epi64::<2>(high),
        _mm256_extract_epi64::<3>(high),
    ];
    words.map(i64::cast_unsigned)
}
