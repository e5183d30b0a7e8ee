//! Writes Kopia repositories: contents into packs, objects out of contents, directories and snapshots on top.
//!
//! Made for tests and benchmarks: everything follows from a seed, nothing is flushed to the disk, and things can be
//! written that Kopia never would. What it writes plainly is what Kopia writes (§8).

mod compress;
mod directory;
mod disk;
mod error;
mod format;
mod index;
mod known;
mod maintenance;
mod manifest;
mod object;
mod options;
mod pack;
mod seal;
mod sink;
pub mod splitter;

use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::{BlobId, ContentId};

pub use compress::Compressor;
pub use directory::{DirectoryWriter, Entry, EntryKind, Metadata};
pub use error::{Error, Result};
pub use index::{IndexEntry, encode as encode_index};
pub use maintenance::IndexBlobKind;
pub use manifest::{NewSnapshot, PolicyTarget};
pub use object::{ObjectWriter, Part};
pub use options::WriterOptions;
pub use rekopia_format::snapshot::Source;
pub use seal::Sealer;
pub use sink::{BlobSink, DirectorySink};

use crate::random::Random;
use format::NewRepository;
use known::{Known, KnownContents};
use manifest::PendingManifest;
use pack::PendingPack;
use splitter::Splitter;

/// A writer of one repository.
///
/// Nothing can be found before [`RepositoryWriter::flush`]; forgetting the last one leaves packs without an index.
pub struct RepositoryWriter {
    sink: Box<dyn BlobSink>,
    options: WriterOptions,
    splitter: Splitter,
    hash: KeyedHash,
    sealer: Sealer,
    random: Random,
    /// The compressors for unprefixed and for prefixed contents.
    compressors: [Option<Compressor>; 2],
    compressed: Vec<u8>,
    replica: Vec<u8>,
    known: KnownContents,
    /// The pending packs of unprefixed and of prefixed contents.
    packs: [Option<PendingPack>; 2],
    spare: Vec<u8>,
    pending: Vec<IndexEntry>,
    manifests: Vec<PendingManifest>,
    session: Option<Session>,
    epoch: u64,
    written: Vec<WrittenIndex>,
    now: i64,
    ticks: i64,
}

/// A session, from the first pack to the index blob that makes it visible (§8.3).
struct Session {
    id: String,
    marker: BlobId,
}

/// An index blob and what is in it.
struct WrittenIndex {
    blob: BlobId,
    len: usize,
    kind: IndexBlobKind,
    entries: Vec<IndexEntry>,
}

impl RepositoryWriter {
    /// Creates a repository.
    ///
    /// # Errors
    /// [`Error::Options`] and the like when the options name or combine what does not exist; [`Error::Storage`].
    pub fn create(sink: impl BlobSink + 'static, options: WriterOptions) -> Result<Self> {
        let mut random = Random::new(options.seed);
        let new = NewRepository::create(&options, &mut random)?;
        let replica =
            if options.enable_password_change { Vec::new() } else { pack::replica(&new.format_blob)? };
        let splitter = Splitter::parse(&options.splitter)?;
        let compressor = |name: &Option<String>| name.as_deref().map(Compressor::new).transpose();
        let mut writer = RepositoryWriter {
            sink: Box::new(sink),
            splitter: options.chunk_size.map_or(splitter, Splitter::every),
            hash: KeyedHash::new(HashAlgorithm::parse(&options.hash)?, &new.secret)?,
            sealer: Sealer::new(
                &options.encryption,
                &new.master_key,
                options.ecc_percent,
                Random::of_part(options.seed, 1),
            )?,
            compressors: [compressor(&options.compression)?, compressor(&options.metadata_compression)?],
            compressed: Vec::new(),
            replica,
            known: KnownContents::default(),
            packs: [None, None],
            spare: Vec::new(),
            pending: Vec::new(),
            manifests: Vec::new(),
            session: None,
            epoch: 0,
            written: Vec::new(),
            now: options.now,
            ticks: 0,
            random,
            options,
        };
        writer.put_blob("kopia.blobcfg", &new.blobcfg)?;
        writer.put_blob("kopia.repository", &new.format_blob)?;
        Ok(writer)
    }

    /// Returns the options of the repository.
    pub fn options(&self) -> &WriterOptions {
        &self.options
    }

    /// Returns the writer's clock, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Sets the writer's clock, forwards or backwards.
    pub fn set_now(&mut self, now: i64) {
        self.now = now;
    }

    /// Stores a content unless it is there already; `prefix` is 0 or `g`…`z` (§8.4).
    ///
    /// # Errors
    /// [`Error::Storage`] when that completes a pack; [`Error::TooLarge`].
    pub fn put_content(&mut self, prefix: u8, data: &[u8]) -> Result<ContentId> {
        self.put(prefix, data, true)
    }

    /// Stores a content once more, whether or not it is there, with a time of its own.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn put_content_again(&mut self, prefix: u8, data: &[u8], timestamp: i64) -> Result<ContentId> {
        let id = ContentId::new(prefix, &self.hash.hash(data))?;
        self.store(id, data, timestamp, true)?;
        Ok(id)
    }

    /// Stores bytes under a name that is not theirs: only the hash tells.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn put_false_content(&mut self, id: ContentId, data: &[u8], timestamp: i64) -> Result<()> {
        self.store(id, data, timestamp, true)
    }

    /// Stores a content as [`RepositoryWriter::put_content`] does, compressed or not as told.
    fn put(&mut self, prefix: u8, data: &[u8], compress: bool) -> Result<ContentId> {
        let id = ContentId::new(prefix, &self.hash.hash(data))?;
        let timestamp = match self.known.get(&id) {
            Some(known) if !known.deleted => return Ok(id),
            Some(deleted) => self.now.max(deleted.timestamp + 1),
            None => self.now,
        };
        self.store(id, data, timestamp, compress)?;
        Ok(id)
    }

    fn store(&mut self, id: ContentId, data: &[u8], timestamp: i64, compress: bool) -> Result<()> {
        let prefixed = usize::from(id.prefix() != 0);
        if self.packs[prefixed].is_none() {
            self.begin_pack(prefixed)?;
        }
        let (mut plaintext, mut compression) = (data, 0);
        if let Some(compressor) = &mut self.compressors[prefixed]
            && compress
            && self.options.index_version >= 2
            && compressor.compress(data, &mut self.compressed)
        {
            (plaintext, compression) = (&self.compressed, compressor.id);
        }
        let pack = self.packs[prefixed].as_mut().expect("just begun");
        let offset = pack.bytes.len();
        self.sealer.seal(id.iv(), plaintext, &mut pack.bytes);
        let packed_len = pack.bytes.len() - offset;
        let len = |what, found: usize| {
            let limit = u32::MAX.into();
            u32::try_from(found).map_err(|_| Error::TooLarge { id, what, limit, found: found as u64 })
        };
        pack.entries.push(IndexEntry {
            id,
            pack: pack.id.clone(),
            offset: len("offset", offset)?,
            packed_len: len("packed length", packed_len)?,
            original_len: len("original length", data.len())?,
            timestamp,
            deleted: false,
            compression,
            format_version: self.options.format_version,
        });
        if self.options.deduplicate {
            self.known.insert(id, Known { timestamp, deleted: false });
        }
        if pack.bytes.len() >= self.options.max_pack_size { self.finish_pack(prefixed) } else { Ok(()) }
    }

    /// Completes what is pending: manifests, packs, then the index blob that makes them visible (§8.2).
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn flush(&mut self) -> Result<()> {
        self.write_manifests()?;
        self.finish_packs()?;
        self.write_index()?;
        if let Some(session) = self.session.take() {
            self.delete_blob(&session.marker)?;
        }
        Ok(())
    }

    /// Completes the pending packs, which nothing points to before the next flush.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn finish_packs(&mut self) -> Result<()> {
        self.finish_pack(0)?;
        self.finish_pack(1)
    }

    /// Adds any entry to the next index blob: marks deleted, duplicates, points to where nothing is.
    pub fn put_entry(&mut self, entry: IndexEntry) {
        self.known.insert(entry.id, Known { timestamp: entry.timestamp, deleted: entry.deleted });
        self.pending.push(entry);
    }

    /// Stores any blob under any name.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn put_blob(&mut self, name: &str, bytes: &[u8]) -> Result<BlobId> {
        let blob = BlobId::parse(name)?;
        self.sink.put(&blob, bytes).map_err(|source| Error::Storage { blob: blob.clone(), source })?;
        Ok(blob)
    }

    /// Removes a blob.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn delete_blob(&mut self, blob: &BlobId) -> Result<()> {
        self.sink.delete(blob).map_err(|source| Error::Storage { blob: blob.clone(), source })
    }

    /// Encrypts a blob and stores it as `<prefix><hash><suffix>` (§4.4).
    fn put_sealed_blob(&mut self, prefix: &str, plaintext: &[u8], suffix: &str) -> Result<(BlobId, usize)> {
        let hash = self.hash.hash(plaintext);
        let mut stored = Vec::new();
        self.sealer.seal(&hash[hash.len() - 16..], plaintext, &mut stored);
        let blob = self.put_blob(&format!("{prefix}{}{suffix}", hex::encode(&*hash)), &stored)?;
        Ok((blob, stored.len()))
    }

    /// Makes the finished packs visible.
    fn write_index(&mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.pending);
        if !entries.is_empty() {
            let kind =
                if self.options.epochs { IndexBlobKind::Epoch(self.epoch) } else { IndexBlobKind::Legacy };
            self.begin_session()?;
            self.put_index(kind, entries, 1)?;
        }
        Ok(())
    }

    fn begin_pack(&mut self, prefixed: usize) -> Result<()> {
        let session = self.begin_session()?;
        let name = format!("{}{}-{session}", ["p", "q"][prefixed], self.random.hex(16));
        let bytes = std::mem::take(&mut self.spare);
        self.packs[prefixed] =
            Some(PendingPack::begin(BlobId::parse(&name)?, bytes, &self.replica, &mut self.random));
        Ok(())
    }

    fn finish_pack(&mut self, prefixed: usize) -> Result<()> {
        let Some(mut pack) = self.packs[prefixed].take() else { return Ok(()) };
        pack.finish(self.options.index_version, &self.hash, &mut self.sealer, &mut self.random)?;
        self.put_blob(pack.id.as_str(), &pack.bytes)?;
        self.pending.append(&mut pack.entries);
        self.spare = pack.bytes;
        if self.pending.len() >= self.options.index_every { self.write_index() } else { Ok(()) }
    }

    /// Returns the ID of the session, whose marker is there before its first pack.
    fn begin_session(&mut self) -> Result<String> {
        if let Some(session) = &self.session {
            return Ok(session.id.clone());
        }
        let periods = (self.now - 946_684_800).max(0) / (30 * 86_400);
        let id = format!("s{}{periods:x}", self.random.hex(8));
        let time = rekopia_format::time::format_rfc3339_nanos(self.now * 1_000_000_000);
        let marker = serde_json::json!({
            "id": id, "startTime": time, "checkpointTime": time,
            "username": self.options.user, "hostname": self.options.host,
        });
        let (marker, _) = self.put_sealed_blob("s", marker.to_string().as_bytes(), &format!("-{id}"))?;
        self.session = Some(Session { id: id.clone(), marker });
        Ok(id)
    }
}
