//! A repository writer for tests and benchmarks: genuine bytes, chosen parameters (§8 of the format document).
//!
//! ```text
//! write_object ──splitter──► put_content ──► pack p/q ──► BlobSink        flush: packs, then their index blob
//! ```

pub mod index;
mod keys;
mod object;
pub mod splitter;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rekopia_format::ecc::Ecc;
use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::ids::ContentId;
use rekopia_format::sharding::Sharding;
use rekopia_format::{BlobId, ManifestId};

pub use index::IndexEntry;
pub use keys::WriterOptions;
pub use object::{DirectoryWriter, EntrySpec, Summary};

use crate::corpus::Random;
use keys::Sealer;

/// Where blobs go.
pub trait BlobSink {
    /// Stores a blob.
    fn put(&mut self, id: &str, bytes: &[u8]);
}

/// Blobs as files of a directory, in the layout that `.shards` names.
pub struct DirectoryBlobs {
    root: PathBuf,
    sharding: Sharding,
}

impl DirectoryBlobs {
    /// Into a directory, which is created; `[1,3]` as Kopia does today.
    pub fn create(root: &Path) -> Self {
        std::fs::create_dir_all(root).unwrap();
        std::fs::write(root.join(".shards"), "{\"default\":[1,3],\"maxNonShardedLength\":20}\n").unwrap();
        DirectoryBlobs { root: root.to_owned(), sharding: Sharding::with_default(&[1, 3]) }
    }
}

impl BlobSink for DirectoryBlobs {
    fn put(&mut self, id: &str, bytes: &[u8]) {
        let path = self.root.join(self.sharding.path(&BlobId::parse(id).unwrap()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl BlobSink for Arc<Mutex<std::collections::BTreeMap<String, Vec<u8>>>> {
    fn put(&mut self, id: &str, bytes: &[u8]) {
        self.lock().unwrap().insert(id.to_owned(), bytes.to_vec());
    }
}

/// A pack that is being filled.
#[derive(Default)]
struct Pack {
    name: String,
    bytes: Vec<u8>,
    entries: Vec<IndexEntry>,
}

/// Writes one repository.
pub struct RepositoryWriter {
    options: WriterOptions,
    sink: Box<dyn BlobSink>,
    sealer: Sealer,
    hash: KeyedHash,
    ecc: Option<Ecc>,
    random: Random,
    session: String,
    packs: HashMap<char, Pack>,
    /// Contents written so far, by binary key; deduplication only where it is asked for.
    known: HashMap<ContentId, ()>,
    pending: Vec<IndexEntry>,
    manifests: Vec<serde_json::Value>,
    zstd: zstd::bulk::Compressor<'static>,
}

impl RepositoryWriter {
    /// Starts a repository: writes its format blob and `kopia.blobcfg`.
    pub fn create(options: WriterOptions, mut sink: Box<dyn BlobSink>) -> Self {
        let mut random = Random::new(options.seed);
        let sealer = Sealer::create(&options, &mut random, sink.as_mut());
        let algorithm = HashAlgorithm::parse(&options.hash).unwrap();
        let hash = KeyedHash::new(algorithm, &sealer.secret).unwrap();
        let ecc = (options.ecc_percent > 0).then(|| Ecc::new(options.ecc_percent).unwrap());
        let session = format!("s{}147", random.hex(8));
        let zstd = zstd::bulk::Compressor::new(1).unwrap();
        let (packs, known) = (HashMap::new(), HashMap::new());
        RepositoryWriter {
            options,
            sink,
            sealer,
            hash,
            ecc,
            random,
            session,
            packs,
            known,
            pending: Vec::new(),
            manifests: Vec::new(),
            zstd,
        }
    }

    /// The parameters of the repository.
    pub fn options(&self) -> &WriterOptions {
        &self.options
    }

    /// Stores a content, unless the same was stored before; `prefix` 0 is none.
    pub fn put_content(&mut self, prefix: u8, plain: &[u8], compression: u32) -> ContentId {
        let id = ContentId::new(prefix, &self.hash.hash(plain)).unwrap();
        if self.options.deduplicate && self.known.insert(id, ()).is_some() {
            return id;
        }
        let compression = if self.options.index_version() == 1 { 0 } else { compression };
        let packed = if compression != 0 { self.compress(compression, plain) } else { None };
        let (data, compression) = packed.as_deref().map_or((plain, 0), |p| (p, compression));
        self.store(id, plain.len() as u32, data, compression);
        id
    }

    fn store(&mut self, id: ContentId, original_len: u32, data: &[u8], compression: u32) {
        let kind = if id.prefix() == 0 { 'p' } else { 'q' };
        let mut stored = self.sealer.seal(id.iv(), &self.random.bytes::<12>(), data);
        if let Some(ecc) = &self.ecc {
            stored = ecc.encode(&stored);
        }
        let pack = self.packs.entry(kind).or_default();
        if pack.bytes.is_empty() {
            pack.name = format!("{kind}{}-{}", self.random.hex(16), self.session);
            pack.bytes.extend_from_slice(&self.sealer.replica);
            pack.bytes.extend_from_slice(&self.random.bytes::<32>());
        }
        let mut key = vec![id.prefix()];
        key.extend_from_slice(id.hash());
        pack.entries.push(IndexEntry {
            key,
            timestamp: self.options.timestamp,
            deleted: false,
            pack: pack.name.clone(),
            offset: pack.bytes.len() as u32,
            packed_len: stored.len() as u32,
            original_len,
            compression,
            format_version: self.options.version,
        });
        pack.bytes.extend_from_slice(&stored);
        if pack.bytes.len() >= self.options.max_pack_bytes {
            self.finish_pack(kind);
        }
    }

    /// Header and stream, where that is shorter than the plaintext.
    fn compress(&mut self, header_id: u32, plain: &[u8]) -> Option<Vec<u8>> {
        let stream = match header_id {
            0x1100..=0x1103 => self.zstd.compress(plain).unwrap(),
            other => object::compress(other, plain),
        };
        let packed = [&header_id.to_be_bytes()[..], &stream].concat();
        (packed.len() < plain.len()).then_some(packed)
    }

    fn finish_pack(&mut self, kind: char) {
        let Some(mut pack) = self.packs.remove(&kind) else { return };
        let padding = 4096 - pack.bytes.len() % 4096;
        pack.bytes.extend((0..padding).map(|i| i as u8));
        let mut local = index::encode(self.options.index_version(), pack.entries.clone());
        local.extend_from_slice(&self.random.bytes::<32>());
        let iv = self.hash.hash(&local);
        let mut sealed = self.sealer.seal(&iv, &self.random.bytes::<12>(), &local);
        if let Some(ecc) = &self.ecc {
            sealed = ecc.encode(&sealed);
        }
        let postamble = object::postamble(&iv, pack.bytes.len() as u64, sealed.len() as u64);
        pack.bytes.extend_from_slice(&sealed);
        pack.bytes.extend_from_slice(&postamble);
        self.sink.put(&pack.name, &pack.bytes);
        self.pending.append(&mut pack.entries);
    }

    /// Stores manifests, packs and the index blob that makes them visible.
    pub fn flush(&mut self) {
        if !self.manifests.is_empty() {
            let document = serde_json::json!({"entries": std::mem::take(&mut self.manifests)});
            let content = object::gzip(document.to_string().as_bytes());
            self.put_content(b'm', &content, 0);
        }
        self.finish_pack('p');
        self.finish_pack('q');
        let entries = std::mem::take(&mut self.pending);
        if !entries.is_empty() {
            self.put_index(entries);
        }
        self.session = format!("s{}147", self.random.hex(8));
    }

    /// Stores an index blob of these entries, as a client's session would.
    pub fn put_index(&mut self, entries: Vec<IndexEntry>) -> String {
        let plain = index::encode(self.options.index_version(), entries);
        let (prefix, suffix) = if self.options.epochs() { ("xn0_", "-c1") } else { ("n", "") };
        let name = format!("{prefix}{}-{}{suffix}", hex::encode(&*self.hash.hash(&plain)), self.session);
        self.put_encrypted(&name, &plain);
        name
    }

    /// Stores a whole encrypted blob under a name that ends in the hash of its plaintext.
    pub fn put_encrypted(&mut self, name: &str, plain: &[u8]) {
        let iv = rekopia_format::index_blob::blob_iv(&BlobId::parse(name).unwrap()).unwrap();
        let mut sealed = self.sealer.seal(&iv, &self.random.bytes::<12>(), plain);
        if let Some(ecc) = &self.ecc {
            sealed = ecc.encode(&sealed);
        }
        self.sink.put(name, &sealed);
    }

    /// Stores a blob as it is.
    pub fn put_blob(&mut self, name: &str, bytes: &[u8]) {
        self.sink.put(name, bytes);
    }

    /// Notes a manifest for the next flush.
    pub fn put_manifest(
        &mut self,
        labels: serde_json::Value,
        modified: &str,
        data: serde_json::Value,
    ) -> ManifestId {
        let id = self.random.hex(16);
        self.manifests
            .push(serde_json::json!({"id": id, "labels": labels, "modified": modified, "data": data}));
        ManifestId::parse(&id).unwrap()
    }

    /// Notes the snapshot `user@host:path` of a root entry for the next flush; starts `seconds` after 2026-01-01.
    pub fn put_snapshot(&mut self, source: (&str, &str, &str), root: &EntrySpec, seconds: u32) -> ManifestId {
        let (user, host, path) = source;
        let when = object::time_of(1_767_225_600_000_000_000 + i64::from(seconds) * 1_000_000_000);
        let labels =
            serde_json::json!({"type": "snapshot", "hostname": host, "path": path, "username": user});
        let data = serde_json::json!({
            "id": "", "source": {"host": host, "userName": user, "path": path}, "description": "",
            "startTime": when, "endTime": when, "stats": {}, "rootEntry": root.to_json(),
        });
        self.put_manifest(labels, &when, data)
    }
}
