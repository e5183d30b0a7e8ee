//! Holds what all kernels share: the numbers of RFC 7693, and the order of its rounds.

/// Number of streams side by side.
pub(crate) const LANES: usize = 8;

/// The eight words of a state.
pub(super) type Words = [u64; 8];
pub(super) type Block = [u8; 128];

pub(super) const IV: Words = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// Which word of the message goes where, for ten rounds; the last two are the first two again.
pub(super) const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// The twelve rounds on sixteen words `v`, by a function `mix` of four of them and two of the message `m`.
macro_rules! rounds {
    ($mix:ident, $v:ident, $m:ident) => {
        rounds!(@ $mix, $v, $m, 0 1 2 3 4 5 6 7 8 9 0 1)
    };
    (@ $mix:ident, $v:ident, $m:ident, $($row:literal)*) => { $( {
        const S: [usize; 16] = $crate::hashing::blake2b::consts::SIGMA[$row];
        $mix(&mut $v, [0, 4, 8, 12], $m[S[0]], $m[S[1]]);
        $mix(&mut $v, [1, 5, 9, 13], $m[S[2]], $m[S[3]]);
        $mix(&mut $v, [2, 6, 10, 14], $m[S[4]], $m[S[5]]);
        $mix(&mut $v, [3, 7, 11, 15], $m[S[6]], $m[S[7]]);
        $mix(&mut $v, [0, 5, 10, 15], $m[S[8]], $m[S[9]]);
        $mix(&mut $v, [1, 6, 11, 12], $m[S[10]], $m[S[11]]);
        $mix(&mut $v, [2, 7, 8, 13], $m[S[12]], $m[S[13]]);
        $mix(&mut $v, [3, 4, 9, 14], $m[S[14]], $m[S[15]]);
    } )* };
}
pub(super) use rounds;
