//! Calculates in GF(2⁸) with polynomial 0x11D and generator 2.

/// Powers of the generator, twice in a row, and logarithms.
struct Tables {
    exp: [u8; 512],
    log: [u8; 256],
}

static TABLES: Tables = tables();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "constant bounds, computed when compiled"
)]
const fn tables() -> Tables {
    let mut tables = Tables { exp: [0; 512], log: [0; 256] };
    let mut value: u16 = 1;
    let mut i = 0;
    while i < 255 {
        tables.exp[i] = value as u8;
        tables.exp[i + 255] = value as u8;
        tables.log[value as usize] = i as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= 0x11d;
        }
        i += 1;
    }
    tables
}

/// Returns the product.
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "two logarithms are below 510")]
pub(super) fn mul(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    TABLES.exp[usize::from(TABLES.log[usize::from(a)]) + usize::from(TABLES.log[usize::from(b)])]
}

/// Returns the inverse; 0 has none.
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a logarithm is below 255")]
pub(super) fn inverse(a: u8) -> Option<u8> {
    (a != 0).then(|| TABLES.exp[255 - usize::from(TABLES.log[usize::from(a)])])
}

/// Returns `base` to the power of `n`; 0⁰ = 1.
pub(super) fn pow(base: u8, n: usize) -> u8 {
    (0..n).fold(1, |power, _| mul(power, base))
}

/// Adds `factor` × `from` to `to`.
#[expect(clippy::indexing_slicing, reason = "the table has a place for every byte")]
pub(super) fn add_scaled(to: &mut [u8], from: &[u8], factor: u8) {
    if factor == 0 {
        return;
    }
    let mut products = [0; 256];
    for (byte, product) in (0..=255u8).zip(&mut products) {
        *product = mul(byte, factor);
    }
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= products[usize::from(*from)];
    }
}
