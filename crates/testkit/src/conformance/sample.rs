//! The blobs that are asked for: all kinds of names, lengths from nothing on, and more than a page of them.

use std::collections::BTreeMap;
use std::path::Path;

use rekopia_format::BlobId;
use rekopia_format::sharding::Sharding;

use crate::random::Random;

/// A set of blobs, and a folder that holds them as Kopia lays them out.
pub struct Sample {
    /// The blobs: name → content.
    pub blobs: BTreeMap<String, Vec<u8>>,
    dir: tempfile::TempDir,
}

/// The layout of the folders.
const SHARDS: &str = r#"{"default":[1,3],"maxNonShardedLength":20}"#;

/// The blob that most cases read.
pub(super) const MIDDLING: &str = "kopia.repository";
/// A blob that nothing is in.
pub(super) const EMPTY: &str = "xn1_0f00ab12cd34ef560f00ab12cd34ef56-s1234567890abcdef1-c1";
/// A blob that takes several round trips of any protocol.
pub(super) const LARGE: &str = "q000000000000000000000000000001a4-s656fecf95845c101147";
/// A blob of a name that blobs have.
pub(super) const MISSING: &str = "p00000000000000000000000000000000-s0";

/// Names that other programs leave beside blobs. Those that end with `.f` are put into buckets, too, without that.
const FOREIGN: &[&str] = &[
    "README",
    "README.f",
    "notes.txt.f",
    ".DS_Store",
    "._kopia.repository.f",
    "kopia.repository (conflict).f",
    "kopia.repository.tmp.0123456789abcdef.f",
    "lost+found/x.f",
    "photos/p1.f",
    "p/000/._11ac55c280560319f34a78147f19e-s656fecf95845c101147.f",
    "p/000/11ac55c280560319f34a78147f19e-s656fecf95845c101147.f.tmp.0123456789abcdef",
    "p/000/11ac55c280560319f34a78147f19e-s656fecf95845c101147 (conflict).f",
];

impl Sample {
    /// Makes the full set: more than a thousand packs, which is more than a page of any storage's listing.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn new() -> Self {
        Self::with(1_050, Some(SHARDS))
    }

    /// Makes a smaller set with this `.shards`; `None`: without one, laid out as Kopia once did.
    ///
    /// # Panics
    /// When the folder cannot be written, or `shards` is no layout.
    pub fn with(packs: u64, shards: Option<&str>) -> Self {
        let blobs = blobs(packs);
        let dir = tempfile::tempdir().unwrap();
        let layout = shards.map_or(Sharding::legacy(), |text| Sharding::parse(text.as_bytes()).unwrap());
        for (name, bytes) in &blobs {
            write(dir.path(), &layout.path(&BlobId::parse(name).unwrap()), bytes);
        }
        for name in FOREIGN {
            write(dir.path(), name, b"of somebody else");
        }
        if let Some(text) = shards {
            write(dir.path(), ".shards", text.as_bytes());
        }
        Sample { blobs, dir }
    }

    /// Returns the folder, as Kopia lays it out.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the names that begin so, with their lengths.
    pub(super) fn beginning(&self, prefix: &str) -> Vec<(String, u64)> {
        let fitting = self.blobs.iter().filter(|(name, _)| name.starts_with(prefix));
        fitting.map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect()
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self::new()
    }
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn blobs(packs: u64) -> BTreeMap<String, Vec<u8>> {
    let mut random = Random::new(7);
    let mut bytes = |len: usize| {
        let mut bytes = vec![0; len];
        random.fill(&mut bytes);
        bytes
    };
    let mut blobs: BTreeMap<String, Vec<u8>> = [
        (MIDDLING, 1_000),
        ("kopia.blobcfg", 30),
        ("kopia.maintenance", 1),
        (EMPTY, 0),
        (LARGE, 3 << 20),
        ("q0f00ab12cd34ef560f00ab12cd34ef56", 70_000),
        ("xe1", 0),
        ("xw1700000000", 12),
        ("xn0_0f00ab12cd34ef560f00ab12cd34ef56-s1234567890abcdef1-c1", 500),
        ("xr0_7_0f00ab12-s1234567890abcdef-c1", 64),
        ("n0f00ab12cd34ef560f00ab12cd34ef56-s1234567890abcdef1-c1", 90),
        ("m0f00ab12cd34ef56", 8),
        ("s0f00ab12cd34ef56-s1234567890abcdef1", 40),
        ("_log_20261124120000_0abc_1700000000_1700000001_1_0f00ab12", 200),
    ]
    .map(|(name, len)| (name.to_owned(), bytes(len)))
    .into();
    // In few folders: what is many here is names, not looks into folders.
    let packs = (0..packs).map(|n| (format!("p{:03x}{n:029x}-s656fecf95845c101147", n % 4), n.to_le_bytes()));
    blobs.extend(packs.map(|(name, bytes)| (name, bytes.to_vec())));
    blobs
}
