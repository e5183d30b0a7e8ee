//! Implements the systematic Reed–Solomon code: a Vandermonde matrix whose top is made the identity.

use super::galois::{add_scaled, inverse, mul, pow};

type Matrix = Vec<Vec<u8>>;

/// A code for a number of `data` and `parity` shards.
pub(super) struct ReedSolomon {
    pub(super) data: usize,
    /// The matrix, (data + parity) × data; the top is the identity.
    pub(super) matrix: Matrix,
}

impl ReedSolomon {
    pub(super) fn new(data: usize, parity: usize) -> Self {
        let row = |r: usize| (0..data).map(|c| pow(u8::try_from(r).unwrap_or(0), c)).collect();
        let vandermonde: Matrix = (0..data.saturating_add(parity)).map(row).collect();
        let top = vandermonde.get(..data).unwrap_or_default().to_vec();
        // A Vandermonde matrix of distinct points has an inverse.
        let matrix = invert(top).map(|top| product(&vandermonde, &top)).unwrap_or_default();
        ReedSolomon { data, matrix }
    }

    /// Returns all data shards, from at least as many good ones of either kind.
    pub(super) fn reconstruct(&self, shards: &[Option<Vec<u8>>], len: usize) -> Option<Vec<Vec<u8>>> {
        let mut rows = Vec::with_capacity(self.data);
        let mut good = Vec::with_capacity(self.data);
        for (row, shard) in self.matrix.iter().zip(shards) {
            if let Some(shard) = shard.as_ref().filter(|_| rows.len() < self.data) {
                rows.push(row.clone());
                good.push(shard.as_slice());
            }
        }
        let decode = invert(rows)?;
        let restored = decode.iter().zip(shards).map(|(row, shard)| match shard {
            Some(shard) => shard.clone(),
            None => combine(row, good.iter().copied(), len),
        });
        Some(restored.collect())
    }
}

pub(super) fn combine<'a>(row: &[u8], shards: impl Iterator<Item = &'a [u8]>, len: usize) -> Vec<u8> {
    let mut sum = vec![0; len];
    for (factor, shard) in row.iter().zip(shards) {
        add_scaled(&mut sum, shard, *factor);
    }
    sum
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    a.iter().map(|row| combine(row, b.iter().map(Vec::as_slice), b.len())).collect()
}

/// Returns the inverse of a square matrix by elimination; `None` when there is none.
fn invert(mut matrix: Matrix) -> Option<Matrix> {
    let n = matrix.len();
    let unit = |r: usize| (0..n).map(|c| u8::from(r == c)).collect::<Vec<u8>>();
    let mut inverse_of: Matrix = (0..n).map(unit).collect();
    for column in 0..n {
        let pivot =
            (column..n).find(|r| matrix.get(*r).and_then(|row| row.get(column)).is_some_and(|v| *v != 0))?;
        matrix.swap(column, pivot);
        inverse_of.swap(column, pivot);
        let scale = inverse(*matrix.get(column)?.get(column)?)?;
        for side in [&mut matrix, &mut inverse_of] {
            side.get_mut(column)?.iter_mut().for_each(|v| *v = mul(*v, scale));
        }
        let (pivot_row, inverse_row) = (matrix.get(column)?.clone(), inverse_of.get(column)?.clone());
        for row in (0..n).filter(|r| *r != column) {
            let factor = *matrix.get(row)?.get(column)?;
            add_scaled(matrix.get_mut(row)?, &pivot_row, factor);
            add_scaled(inverse_of.get_mut(row)?, &inverse_row, factor);
        }
    }
    Some(inverse_of)
}
