//! Keeps a bit for each content of an index, by its number in the table.

/// A set of numbers below a limit.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    /// Makes an empty set of numbers below `len`.
    pub(crate) fn new(len: usize) -> Self {
        Bits { words: vec![0; len.div_ceil(64)], count: 0 }
    }

    /// Adds a number; returns whether it is new.
    pub(crate) fn set(&mut self, number: u32) -> bool {
        let (place, bit) = place(number);
        let Some(word) = self.words.get_mut(place) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    /// Takes a number out; returns whether it was there.
    pub(crate) fn clear(&mut self, number: u32) -> bool {
        let (place, bit) = place(number);
        let Some(word) = self.words.get_mut(place) else { return false };
        let was_there = *word & bit != 0;
        *word &= !bit;
        self.count -= u64::from(was_there);
        was_there
    }

    /// Whether a number is in the set.
    pub(crate) fn has(&self, number: u32) -> bool {
        let (place, bit) = place(number);
        self.words.get(place).is_some_and(|word| word & bit != 0)
    }

    /// Returns how many numbers are in the set.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

fn place(number: u32) -> (usize, u64) {
    (number as usize / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_is_a_set(steps in proptest::collection::vec((0u32..200, any::<bool>()), 0..300)) {
            let (mut bits, mut twin) = (Bits::new(150), BTreeSet::new());
            for (number, adds) in steps {
                let fits = number < 192;
                match adds {
                    true => prop_assert_eq!(bits.set(number), fits && twin.insert(number)),
                    false => prop_assert_eq!(bits.clear(number), twin.remove(&number)),
                }
                prop_assert_eq!(bits.has(number), twin.contains(&number));
                prop_assert_eq!(bits.count(), twin.len() as u64);
            }
        }
    }
}
