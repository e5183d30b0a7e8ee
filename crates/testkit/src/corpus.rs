//! Repositories of a given shape, written straight into a [`RepositoryWriter`].

use crate::writer::{EntrySpec, RepositoryWriter};

/// A small generator of reproducible noise.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }

    /// Noise of a fixed length.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        out.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]));
        out
    }

    /// `n` bytes of noise as hex.
    pub fn hex(&mut self, n: usize) -> String {
        let mut out = Vec::new();
        self.fill(&mut out, n, false);
        hex::encode(out)
    }

    /// `n` bytes: noise, or something like text that compresses to about half.
    pub fn fill(&mut self, out: &mut Vec<u8>, n: usize, compressible: bool) {
        out.clear();
        while out.len() < n {
            let word = self.draw().to_le_bytes();
            if compressible {
                let text: [u8; 8] = std::array::from_fn(|i| b"etaoinsh rdlucmf"[usize::from(word[i] & 15)]);
                out.extend_from_slice(&text);
            } else {
                out.extend_from_slice(&word);
            }
        }
        out.truncate(n);
    }

    /// About lognormal around `median`.
    pub fn lognormal(&mut self, median: f64) -> u64 {
        let uniform = |r: &mut Self| (r.below(1 << 53) as f64 + 0.5) / (1u64 << 53) as f64;
        let (a, b) = (uniform(self), uniform(self));
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        (median * normal.exp()) as u64
    }
}

/// The generator of the format document: `n` bytes.
pub fn lcg(n: usize) -> Vec<u8> {
    let mut x = 1u64;
    let next = |_| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 56) as u8
    };
    (0..n).map(next).collect()
}

/// `files` small files, lognormal around 4 KiB, half of them compressible, a hundred to a directory.
pub fn small_files(writer: &mut RepositoryWriter, files: u64, median: f64, seed: u64) -> EntrySpec {
    let mut random = Random::new(seed);
    let mut data = Vec::new();
    tree(writer, files.div_ceil(100), |writer, dir| {
        let mut entries = Vec::new();
        for i in 0..100.min(files - dir * 100) {
            let n = random.lognormal(median).min(1 << 20) as usize;
            random.fill(&mut data, n, i % 2 == 0);
            let object = writer.write_object(&data);
            entries.push(EntrySpec::new(&format!("file-{i:03}.dat"), 'f', n as u64, &object));
        }
        entries
    })
}

/// `dirs` directories with what `fill` gives each, a hundred to a directory above.
pub fn tree(
    writer: &mut RepositoryWriter,
    dirs: u64,
    mut fill: impl FnMut(&mut RepositoryWriter, u64) -> Vec<EntrySpec>,
) -> EntrySpec {
    let mut root = writer.directory();
    for group in 0..dirs.div_ceil(100) {
        let mut middle = writer.directory();
        for dir in group * 100..dirs.min((group + 1) * 100) {
            let entries = fill(writer, dir);
            let mut leaf = writer.directory();
            entries.iter().for_each(|entry| leaf.add(writer, entry));
            let leaf = leaf.finish(writer, &format!("dir-{dir:06}"));
            middle.add(writer, &leaf);
        }
        let middle = middle.finish(writer, &format!("group-{group:04}"));
        root.add(writer, &middle);
    }
    root.finish(writer, "")
}

/// One file of `bytes`.
pub fn big_file(writer: &mut RepositoryWriter, bytes: u64, compressible: bool, seed: u64) -> EntrySpec {
    let mut random = Random::new(seed);
    let mut data = Vec::new();
    random.fill(&mut data, bytes as usize, compressible);
    let object = writer.write_object(&data);
    let file = EntrySpec::new("big.bin", 'f', bytes, &object);
    let mut root = writer.directory();
    root.add(writer, &file);
    root.finish(writer, "")
}
