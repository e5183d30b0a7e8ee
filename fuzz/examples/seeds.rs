//! Writes small inputs from the genuine repositories of `testdata/` into `corpus/`; what is there already stays.
//!
//! `cargo run --release --example seeds`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rekopia_format::compression::{Decoder, gunzip};
use rekopia_format::content::{ContentOpener, Packed};
use rekopia_format::ecc::Ecc;
use rekopia_format::encryption::ContentCipher;
use rekopia_format::format_blob::{FormatBlob, RepositoryConfig};
use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::index::IndexFile;
use rekopia_format::index_blob::blob_iv;
use rekopia_format::key::derive_format_key;
use rekopia_format::manifest::Manifests;
use rekopia_format::pack::{Postamble, TAIL};
use rekopia_format::{BlobId, ContentId};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::writer::Compressor;

/// The repositories that differ most.
const FIXTURES: [&str; 8] = [
    "quickstart",
    "format-v1",
    "format-v2",
    "ecc-020",
    "epochs",
    "deep-indirect",
    "weird-tree",
    "legacy-compacted",
];
/// Longest input, in bytes, and most inputs of a target from one repository.
const LONGEST: usize = 6 << 10;
const MOST: usize = 2;

fn main() {
    for name in FIXTURES {
        Seeds { from: name, written: BTreeMap::new() }.of_repository(&Fixture::load(name));
    }
    compressed();
}

/// A stream of each compressor, behind a limit.
fn compressed() {
    let seeds = &mut Seeds { from: "written", written: BTreeMap::new() };
    let text = include_bytes!("../../README.md");
    for (target, name) in [
        ("zstd", "zstd-fastest"),
        ("lz4", "lz4"),
        ("s2", "s2-default"),
        ("gzip", "gzip-best-speed"),
        ("deflate", "deflate-default"),
    ] {
        for len in [40, 3000] {
            let mut out = Vec::new();
            let mut compressor = Compressor::new(name).expect("a compressor");
            compressor.compress(&text[..len], &mut out);
            seeds.write(target, &[&[0, 4], &out[4..]].concat());
            seeds.write("object", &[&[0, 16, 0, 0, 0, 0, 0, 0], &out[..]].concat());
        }
    }
}

struct Seeds {
    from: &'static str,
    written: BTreeMap<&'static str, usize>,
}

impl Seeds {
    fn write(&mut self, target: &'static str, bytes: &[u8]) {
        let number = self.written.entry(target).or_default();
        if bytes.len() > LONGEST || *number >= MOST && self.from != "written" {
            return;
        }
        *number += 1;
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&dir).expect("a folder for inputs");
        let file = dir.join(format!("{}-{number}", self.from));
        if !file.exists() {
            fs::write(file, bytes).expect("an input");
        }
    }

    /// With a byte in front that decides how the input is cut.
    fn write_cut(&mut self, target: &'static str, bytes: &[u8]) {
        self.write(target, &[b"\x07", bytes].concat());
    }

    fn of_repository(&mut self, fixture: &Fixture) {
        let mut files = Vec::new();
        walk(&fixture.repo(), &mut files);
        let blobs: BTreeMap<String, PathBuf> =
            files.into_iter().map(|f| (blob_name(&fixture.repo(), &f), f)).collect();
        if let Ok(shards) = fs::read(fixture.repo().join(".shards")) {
            self.write("sharding", &[b"\x03abc", &shards[..]].concat());
        }
        let stored = fs::read(&blobs["kopia.repository"]).expect("the format blob");
        self.write("format_blob", &stored);
        let format = FormatBlob::parse(&stored).expect("a format blob");
        let key = derive_format_key(&format.key_algo, fixture.password.as_bytes(), &format.unique_id);
        let key = key.expect("a key");
        let open = |sealed: &[u8]| key.open_envelope(&format.unique_id, sealed).expect("the right password");
        let json = open(&format.encrypted_block_format);
        self.write("format_blob", &json);
        if let Some(Ok(sealed)) = blobs.get("kopia.blobcfg").map(fs::read) {
            self.write("blobcfg", &open(&sealed));
        }
        let config = RepositoryConfig::parse(&json).expect("a configuration");
        self.of_blobs(&blobs, &opener(&config));
        let names: Vec<&str> =
            blobs.keys().map(String::as_str).filter(|name| name.starts_with('x')).collect();
        self.write("epochs", names.join("\n").as_bytes());
    }

    fn of_blobs(&mut self, blobs: &BTreeMap<String, PathBuf>, opener: &ContentOpener) {
        for (name, file) in blobs {
            let bytes = fs::read(file).expect("a blob");
            let blob = BlobId::parse(name).expect("a name");
            match name.as_bytes()[0] {
                b'n' | b'x' if blob_iv(&blob).is_ok() => {
                    let mut stored = bytes;
                    let Ok(plain) = opener.open_blob(&blob_iv(&blob).expect("an iv"), &mut stored) else {
                        continue;
                    };
                    self.write("index", plain);
                    self.of_index(plain, blobs, opener);
                }
                b'm' if blob_iv(&blob).is_ok() => {
                    let mut stored = bytes;
                    let Ok(plain) = opener.open_blob(&blob_iv(&blob).expect("an iv"), &mut stored) else {
                        continue;
                    };
                    self.write("compaction_log", plain);
                }
                b'p' | b'q' => self.of_pack(&bytes, opener),
                _ => {}
            }
        }
    }

    fn of_pack(&mut self, bytes: &[u8], opener: &ContentOpener) {
        let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
        let Ok(postamble) = Postamble::parse(tail, bytes.len() as u64) else { return };
        let short = &tail[tail.len().saturating_sub(100)..];
        let start = (bytes.len() - short.len()) as u32;
        self.write("postamble", &[&start.to_le_bytes(), short].concat());
        if let Some(index) = postamble.local_index(tail, bytes.len() as u64)
            && let Ok(plain) = opener.open_blob(&postamble.iv, &mut index.to_vec())
        {
            self.write("local_index", plain);
        }
    }

    fn of_index(&mut self, index: &[u8], blobs: &BTreeMap<String, PathBuf>, opener: &ContentOpener) {
        let file = IndexFile::parse(index, opener.overhead() as u32).expect("an index");
        for entry in file.entries().flatten() {
            let id = ContentId::from_key(entry.key).expect("a key");
            let Some(pack) = file.pack_name(entry.pack).ok().and_then(|name| blobs.get(name)) else {
                continue;
            };
            if id.prefix() == 0 {
                continue;
            }
            let bytes = fs::read(pack).expect("a pack");
            let Some(stored) = bytes.get(entry.offset as usize..(entry.offset + entry.packed_len) as usize)
            else {
                continue;
            };
            let packed = Packed {
                packed_len: entry.packed_len,
                original_len: entry.original_len,
                compression: entry.compression,
            };
            let (mut decoder, mut out, mut stored) = (Decoder::default(), Vec::new(), stored.to_vec());
            let Ok(plain) = opener.open(&id, &packed, &mut stored, &mut decoder, &mut out) else { continue };
            self.of_content(id.prefix(), plain);
        }
    }

    fn of_content(&mut self, prefix: u8, plain: &[u8]) {
        if prefix == b'm' {
            self.of_manifests(plain);
        } else if plain.starts_with(br#"{"stream":"kopia:indirect""#) {
            self.write_cut("seek_table", plain);
        } else if plain.starts_with(br#"{"stream":"kopia:directory""#) {
            self.write_cut("directory", plain);
            let document: serde_json::Value = serde_json::from_slice(plain).unwrap_or_default();
            for entry in document["entries"].as_array().into_iter().flatten() {
                self.write("entry", entry.to_string().as_bytes());
            }
        }
    }

    fn of_manifests(&mut self, gzip: &[u8]) {
        let mut json = Vec::new();
        gunzip(gzip, 1 << 20, &mut json).expect("manifests");
        self.write_cut("manifests", &json);
        let mut manifests = Manifests::default();
        let _ = manifests.add(&json);
        for manifest in manifests.finish() {
            let document = manifest.data.get().as_bytes();
            match manifest.labels.get("type").map(String::as_str) {
                Some("snapshot") => self.write("snapshot", document),
                Some("policy") => self.write("policy", &[b"\x03\x02/p", document].concat()),
                _ => {}
            }
        }
    }
}

fn opener(config: &RepositoryConfig) -> ContentOpener {
    let cipher = ContentCipher::new(&config.encryption, config.master_key.as_bytes()).expect("a cipher");
    let hash = HashAlgorithm::parse(&config.hash).expect("a hash");
    let hash = KeyedHash::new(hash, config.secret.as_bytes()).expect("a key");
    let ecc = config.error_correction().map(|(_, percent)| Ecc::new(percent.into()).expect("an overhead"));
    ContentOpener::new(cipher, ecc, hash)
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// Folders are cut out of the name; the ending is not part of it.
fn blob_name(root: &Path, file: &Path) -> String {
    let path = file.strip_prefix(root).expect("below the root").to_str().expect("a plain name");
    path.trim_end_matches(".f").replace('/', "")
}
