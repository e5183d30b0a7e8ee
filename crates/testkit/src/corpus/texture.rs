//! Makes what files are filled with.

use std::sync::LazyLock;

use crate::random::Random;

/// The kind of a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texture {
    /// Noise, which does not compress.
    Noise,
    /// Words out of a small vocabulary, which compress to about a third.
    Text,
    /// Noise and text in turn, 64 KiB of each, which compress to about two thirds.
    Half,
    /// Pages of 4 KiB, each with a header, some text, and zeros.
    Database,
    /// Nothing but zeros.
    Zeros,
}

/// The data of one file, in blocks.
#[derive(Debug, Clone)]
pub struct Filling {
    random: Random,
    /// Bytes that are still to come.
    left: u64,
    texture: Texture,
    page: u64,
}

const BLOCK: usize = 1 << 20;
const PAGE: usize = 4096;
/// Noise, or text, of [`Texture::Half`] at a stretch.
const RUN: usize = 64 << 10;

/// 256 words of eight bytes.
static WORDS: LazyLock<[[u8; 8]; 256]> = LazyLock::new(|| {
    let mut random = Random::new(0x0077_6f72_6473);
    let letter = |random: &mut Random| b"etaoinshrdlucmfwygpbvk \n"[random.below(24) as usize];
    std::array::from_fn(|_| std::array::from_fn(|_| letter(&mut random)))
});

impl Filling {
    /// Makes `len` bytes that follow from the seed.
    pub fn new(seed: u64, len: u64, texture: Texture) -> Self {
        Filling { random: Random::new(seed), left: len, texture, page: 0 }
    }

    /// Returns the bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Replaces `out` with the next block of up to a MiB; returns whether there was one. An empty file has none.
    pub fn next_block(&mut self, out: &mut Vec<u8>) -> bool {
        let len = self.left.min(BLOCK as u64) as usize;
        out.clear();
        out.resize(len, 0);
        match self.texture {
            Texture::Noise => self.random.fill(out),
            Texture::Text => self.text(out),
            Texture::Half => out.chunks_mut(RUN).enumerate().for_each(|(number, run)| match number % 2 {
                0 => self.random.fill(run),
                _ => self.text(run),
            }),
            Texture::Database => out.chunks_mut(PAGE).for_each(|page| self.page(page)),
            Texture::Zeros => {}
        }
        self.left -= len as u64;
        len > 0
    }

    /// Four draws in five give eight words each, the fifth is noise.
    fn text(&mut self, out: &mut [u8]) {
        for (number, run) in out.chunks_mut(64).enumerate() {
            let draw = self.random.next_u64().to_le_bytes();
            for (word, which) in run.chunks_mut(8).zip(draw) {
                word.copy_from_slice(&WORDS[usize::from(which)][..word.len()]);
            }
            if number % 5 == 4 {
                let noisy = run.len().min(32);
                self.random.fill(&mut run[..noisy]);
            }
        }
    }

    fn page(&mut self, page: &mut [u8]) {
        self.page += 1;
        let used = (PAGE / 4 + self.random.below(PAGE as u64 / 2) as usize).min(page.len());
        self.text(&mut page[..used]);
        let header = [self.page.to_be_bytes(), self.random.next_u64().to_be_bytes()].concat();
        let header_len = header.len().min(page.len());
        page[..header_len].copy_from_slice(&header[..header_len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textures_compress_as_they_say() {
        let share = |texture| {
            let mut block = Vec::new();
            assert!(Filling::new(5, 1 << 20, texture).next_block(&mut block));
            let packed = zstd::bulk::compress(&block, 1).unwrap();
            packed.len() as f64 / block.len() as f64
        };
        assert!(share(Texture::Noise) > 0.99);
        assert!((0.15..0.5).contains(&share(Texture::Text)), "{}", share(Texture::Text));
        assert!((0.6..0.75).contains(&share(Texture::Half)), "{}", share(Texture::Half));
        assert!((0.05..0.4).contains(&share(Texture::Database)), "{}", share(Texture::Database));
        assert!(share(Texture::Zeros) < 0.001);
    }

    #[test]
    fn lengths_are_exact() {
        for len in [0, 1, 63, 4096, (1 << 20) + 17, 3 << 20] {
            let mut filling = Filling::new(1, len, Texture::Database);
            let (mut block, mut total) = (Vec::new(), 0);
            while filling.next_block(&mut block) {
                total += block.len() as u64;
            }
            assert_eq!((total, filling.left()), (len, 0));
        }
    }
}
