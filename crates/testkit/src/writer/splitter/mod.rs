//! Decides where an object is cut into contents (§5.4).

mod buzhash;
mod buzhash_table;
mod rabinkarp;

use buzhash::BuzHash;
use rabinkarp::RabinKarp;

/// Bytes that a rolling hash looks back.
const WINDOW: usize = 64;

/// The error of a name that is no splitter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("splitter expected FIXED…, DYNAMIC…-BUZHASH or DYNAMIC…-RABINKARP, found {0:?}")]
pub struct UnknownSplitter(String);

/// A rule where to cut, one per repository; [`Splitter::start`] begins an object. One per repository;
/// [`Splitter::start`] begins an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splitter {
    rule: Rule,
    size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Fixed,
    BuzHash,
    RabinKarp,
}

/// The place in one object that is being cut.
#[derive(Debug, Clone)]
pub struct Cutter {
    min: usize,
    max: usize,
    mask: u64,
    in_chunk: usize,
    hash: Rolling,
}

#[derive(Debug, Clone)]
enum Rolling {
    None,
    BuzHash(BuzHash),
    RabinKarp(RabinKarp),
}

/// A rolling hash over the last [`WINDOW`] bytes; all zeros before the first one.
trait RollingHash: Default {
    /// Rolls over `data`; returns the number of bytes after which `cut` said yes first, if it did.
    fn roll(&mut self, data: &[u8], cut: impl FnMut(usize, u64) -> bool) -> Option<usize>;
}

impl Splitter {
    /// Returns every name that Kopia knows.
    pub fn names() -> impl Iterator<Item = String> {
        const SIZES: [&str; 7] = ["128K", "256K", "512K", "1M", "2M", "4M", "8M"];
        let dynamic = SIZES.iter().flat_map(|s| ["BUZHASH", "RABINKARP"].map(|r| format!("DYNAMIC-{s}-{r}")));
        ["FIXED".into(), "DYNAMIC".into()]
            .into_iter()
            .chain(SIZES.iter().map(|s| format!("FIXED-{s}")))
            .chain(dynamic)
    }

    /// Returns the splitter of a name; the empty name means `FIXED`.
    ///
    /// # Errors
    /// For a name outside §5.4.
    pub fn parse(name: &str) -> Result<Self, UnknownSplitter> {
        let parts: Vec<&str> = name.split('-').collect();
        let (rule, size) = match parts[..] {
            ["" | "FIXED"] => (Rule::Fixed, "4M"),
            ["FIXED", size] => (Rule::Fixed, size),
            ["DYNAMIC"] => (Rule::BuzHash, "4M"),
            ["DYNAMIC", size, "BUZHASH"] => (Rule::BuzHash, size),
            ["DYNAMIC", size, "RABINKARP"] => (Rule::RabinKarp, size),
            _ => return Err(UnknownSplitter(name.into())),
        };
        let size = match size {
            "128K" => 128 << 10,
            "256K" => 256 << 10,
            "512K" => 512 << 10,
            "1M" => 1 << 20,
            "2M" => 2 << 20,
            "4M" => 4 << 20,
            "8M" => 8 << 20,
            _ => return Err(UnknownSplitter(name.into())),
        };
        Ok(Splitter { rule, size })
    }

    /// Makes a splitter that cuts every `size` bytes, which need not be a size that Kopia has: deep objects out of
    /// little data.
    pub fn every(size: usize) -> Self {
        Splitter { rule: Rule::Fixed, size }
    }

    /// Returns the shortest chunk that is not the last one.
    pub fn min_size(&self) -> usize {
        if self.rule == Rule::Fixed { self.size } else { self.size / 2 }
    }

    /// Begins an object.
    pub fn start(&self) -> Cutter {
        let (size, in_chunk) = (self.size, 0);
        let (min, max, mask) = (size / 2, size * 2, size as u64 - 1);
        match self.rule {
            Rule::Fixed => Cutter { min: size, max: size, mask: 0, in_chunk, hash: Rolling::None },
            Rule::BuzHash => Cutter { min, max, mask, in_chunk, hash: Rolling::BuzHash(BuzHash::default()) },
            Rule::RabinKarp => {
                Cutter { min, max, mask, in_chunk, hash: Rolling::RabinKarp(RabinKarp::default()) }
            }
        }
    }
}

impl Cutter {
    /// Takes the next bytes of the object up to the first cut: returns how many of them end the chunk, or `None` when
    /// all of them belong to it and it goes on.
    pub fn next_cut(&mut self, data: &[u8]) -> Option<usize> {
        let (min, max, mask, start) = (self.min, self.max, self.mask, self.in_chunk);
        // The hash depends on the last bytes only, so nothing far before the first possible cut needs hashing.
        let skip = min.saturating_sub(start + WINDOW).min(data.len().saturating_sub(WINDOW));
        let rest = &data[skip..];
        let cut = |n: usize, h: u64| {
            let n = start + skip + n;
            n >= min && (h & mask == 0 || n == max)
        };
        let found = match &mut self.hash {
            Rolling::None => Some(max - start).filter(|n| *n <= data.len()),
            Rolling::BuzHash(hash) => roll(hash, skip, rest, cut),
            Rolling::RabinKarp(hash) => roll(hash, skip, rest, cut),
        };
        self.in_chunk = if found.is_some() { 0 } else { start + data.len() };
        found
    }
}

fn roll<H: RollingHash>(
    hash: &mut H,
    skip: usize,
    rest: &[u8],
    cut: impl FnMut(usize, u64) -> bool,
) -> Option<usize> {
    if skip > 0 {
        *hash = H::default(); // `rest` fills the window before the first possible cut
    }
    hash.roll(rest, cut).map(|n| n + skip)
}

#[cfg(test)]
mod tests;
