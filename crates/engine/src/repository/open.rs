//! Format blob + password → keys → active index blobs → frozen index.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use rekopia_blob::{BlobError, BlobErrorKind, BlobId, BlobInfo, BlobReader};
use rekopia_format::blobcfg::BlobCfg;
use rekopia_format::ecc::Ecc;
use rekopia_format::encryption::ContentCipher;
use rekopia_format::epoch::{self, EpochListing};
use rekopia_format::format_blob::{FormatBlob, RepositoryConfig};
use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::index::IndexFile;
use rekopia_format::index_blob::{self, CompactionLog};
use rekopia_format::key::{self, FormatKey};
use rekopia_format::{ContentOpener, format_blob};

use super::contents::Traffic;
use super::index::{ContentIndex, IndexBuilder, IndexError, IndexLimit};
use super::{OpenOptions, Password};
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Event, Observer};

/// What an open repository is made of.
pub(crate) struct Opened {
    pub(crate) format: FormatBlob,
    pub(crate) config: RepositoryConfig,
    pub(crate) blobcfg: Option<BlobCfg>,
    pub(crate) opener: Arc<ContentOpener>,
    pub(crate) index: Arc<ContentIndex>,
    pub(crate) index_blobs: u64,
}

/// Opens the format blob with the password while the index blobs are being listed, then reads the index.
pub(crate) async fn open(
    blobs: &Arc<dyn BlobReader>,
    password: &Password,
    options: &OpenOptions,
    traffic: &Traffic,
    observer: &dyn Observer,
) -> Result<Opened> {
    let first = async || {
        let keys = open_format(blobs, password, traffic, observer);
        let blobcfg = read_optional(blobs, "kopia.blobcfg", traffic);
        tokio::join!(keys, Early::read(blobs, traffic), blobcfg)
    };
    let (mut keys, mut early, mut blobcfg) = first().await;
    if matches!(keys, Ok(None)) {
        traffic.count(0);
        let elsewhere = blobs.look_elsewhere().await;
        if elsewhere.map_err(|e| unread(e, blobs, "cannot look for a repository"))? {
            (keys, early, blobcfg) = first().await;
        }
    }
    let Some((format, config, format_key)) = keys? else { return Err(no_format_blob(blobs, traffic).await) };
    check_usable(&config, options, observer)?;
    let blobcfg = open_blobcfg(blobcfg, &format, &format_key, observer);

    let opener = Arc::new(content_opener(&config)?);
    let (epochs, limit) = (config.epoch_parameters.enabled, &options.index_limit());
    let loader = IndexLoader { blobs, opener: &opener, traffic, epochs, limit };
    let (index, index_blobs) = loader.load(early?).await?;
    if let Some(warning) = index.warning() {
        observer.event(Event::Warning { message: warning.to_owned() });
    }
    Ok(Opened { format, config, blobcfg, opener, index: Arc::new(index), index_blobs })
}

/// Reads the index once more: what maintenance moved meanwhile is found at its new place.
pub(crate) async fn reload_index(
    blobs: &Arc<dyn BlobReader>,
    opener: &Arc<ContentOpener>,
    config: &RepositoryConfig,
    traffic: &Traffic,
    limit: &IndexLimit,
) -> Result<ContentIndex> {
    let loader = IndexLoader { blobs, opener, traffic, epochs: config.epoch_parameters.enabled, limit };
    Ok(loader.load(Early::default()).await?.0)
}

/// `None` when there is no format blob.
async fn open_format(
    blobs: &Arc<dyn BlobReader>,
    password: &Password,
    traffic: &Traffic,
    observer: &dyn Observer,
) -> Result<Option<(FormatBlob, RepositoryConfig, FormatKey)>> {
    let bytes = match read_blob(blobs, "kopia.repository", traffic).await {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(unread(e, blobs, "cannot read the format blob kopia.repository")),
    };
    let format = FormatBlob::parse(&bytes).map_err(format_error)?;
    let (algorithm, salt) = (format.key_algo.clone(), format.unique_id.clone());
    let (password, began) = (password.clone(), Instant::now());
    let derived =
        tokio::task::spawn_blocking(move || key::derive_format_key(&algorithm, password.bytes(), &salt));
    let format_key =
        derived.await.map_err(|_| Error::internal("key derivation panicked"))?.map_err(key_error)?;
    let seconds = began.elapsed().as_secs_f64();
    observer.event(Event::Took { what: "key derivation", seconds });
    let json = format_key.open_envelope(&format.unique_id, &format.encrypted_block_format).map_err(|e| {
        let what = "wrong password, or the format blob kopia.repository is damaged";
        Error::new(ErrorKind::InvalidPassword, what).because(e)
    })?;
    let config = RepositoryConfig::parse(&json).map_err(format_error)?;
    Ok(Some((format, config, format_key)))
}

/// A storage's error; where the place itself is missing, so is the repository.
fn unread(e: BlobError, blobs: &Arc<dyn BlobReader>, what: &str) -> Error {
    match e.kind() {
        BlobErrorKind::NoPlace => {
            let what = format!("no Kopia repository at {}", blobs.describe());
            Error::new(ErrorKind::NoRepository, what).because(e)
        }
        _ => Error::storage(e, what),
    }
}

async fn no_format_blob(blobs: &Arc<dyn BlobReader>, traffic: &Traffic) -> Error {
    for prefix in ["p", "q", "x", "n"] {
        traffic.count(0);
        match blobs.any(prefix).await {
            Ok(true) => {
                let what =
                    format!("the format blob kopia.repository is lost, but {} holds packs", blobs.describe());
                return Error::new(ErrorKind::Corrupt, what);
            }
            Ok(false) => {}
            Err(e) => return Error::storage(e, "cannot list the repository"),
        }
    }
    Error::new(ErrorKind::NoRepository, format!("no Kopia repository at {}", blobs.describe()))
}

fn check_usable(config: &RepositoryConfig, options: &OpenOptions, observer: &dyn Observer) -> Result<()> {
    for feature in config.unknown_features() {
        let what = format!("the repository needs feature {:?}, which is not known here", feature.feature);
        if !feature.warn {
            return Err(Error::new(ErrorKind::UnsupportedFormat, what));
        }
        observer.event(Event::Warning { message: what });
    }
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    if let Some(lock) = config.upgrade_lock.as_ref().filter(|lock| lock.is_locked(now)) {
        let what = format!("an upgrade of the repository is in progress (lock owner {:?})", lock.owner_id);
        if !options.ignore_upgrade_lock {
            let advice = "wait for it, or pass --ignore-upgrade-lock if it crashed";
            return Err(Error::new(ErrorKind::Locked, format!("{what}; {advice}")));
        }
        observer.event(Event::Warning { message: format!("{what}; reading anyway") });
    }
    Ok(())
}

fn open_blobcfg(
    read: std::result::Result<Option<Vec<u8>>, BlobError>,
    format: &FormatBlob,
    format_key: &FormatKey,
    observer: &dyn Observer,
) -> Option<BlobCfg> {
    // Only retention settings are in it: nothing that a reader needs.
    let warn = |why: String| {
        observer.event(Event::Warning {
            message: format!("kopia.blobcfg cannot be read ({why}); not needed here"),
        });
        None
    };
    match read {
        Ok(None) => None,
        Ok(Some(sealed)) => match format_key.open_envelope(&format.unique_id, &sealed) {
            Ok(json) => BlobCfg::parse(&json).map_or_else(|e| warn(e.to_string()), Some),
            Err(e) => warn(e.to_string()),
        },
        Err(e) => warn(e.to_string()),
    }
}

fn content_opener(config: &RepositoryConfig) -> Result<ContentOpener> {
    let unsupported = |e: &dyn std::error::Error| Error::new(ErrorKind::UnsupportedFormat, e.to_string());
    let algorithm = HashAlgorithm::parse(&config.hash).map_err(|e| unsupported(&e))?;
    let hash = KeyedHash::new(algorithm, config.secret.as_bytes()).map_err(|e| unsupported(&e))?;
    let cipher =
        ContentCipher::new(&config.encryption, config.master_key.as_bytes()).map_err(|e| unsupported(&e))?;
    let ecc = match config.error_correction() {
        Some(("REED-SOLOMON-CRC32", percent)) => Some(Ecc::new(percent.into()).map_err(|e| unsupported(&e))?),
        Some((name, _)) => {
            let what = format!("unknown error correction {name:?}");
            return Err(Error::new(ErrorKind::UnsupportedFormat, what));
        }
        None => None,
    };
    Ok(ContentOpener::new(cipher, ecc, hash))
}

/// What can be had before the key is derived: that takes as long as several round trips.
#[derive(Default)]
struct Early {
    /// The listing of `x`; `None`: to be listed.
    listed: Option<Vec<BlobInfo>>,
    /// Index blobs as they are stored. One that is not there, or could not be read, is read in its turn.
    stored: Mutex<HashMap<BlobId, Vec<u8>>>,
}

/// Index blobs that are read before the key is there, and their bytes together.
const EARLY_BLOBS: usize = 128;
const EARLY_BYTES: u64 = 4 << 20;

impl Early {
    async fn read(blobs: &Arc<dyn BlobReader>, traffic: &Traffic) -> Result<Self> {
        let listed = list(blobs, "x", traffic).await?;
        let active = with_lengths(epoch::select(&epoch_sets(&listed)).blobs, listed.clone());
        let mut bytes = 0;
        let fits = active.into_iter().take(EARLY_BLOBS).take_while(|blob| {
            bytes += blob.len;
            bytes <= EARLY_BYTES
        });
        let reads: Vec<_> = fits.map(|blob| read_index_blob(blobs, traffic, blob.id)).collect();
        let read = futures::future::join_all(reads).await;
        let stored = read.into_iter().filter_map(|(id, read)| Some((id, read.ok()?))).collect();
        Ok(Early { listed: Some(listed), stored: Mutex::new(stored) })
    }

    fn take(&self, id: &BlobId) -> Option<Vec<u8>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

async fn read_index_blob(
    blobs: &Arc<dyn BlobReader>,
    traffic: &Traffic,
    id: BlobId,
) -> (BlobId, std::result::Result<Vec<u8>, BlobError>) {
    let read = blobs.read(&id, None, Vec::new()).await;
    traffic.count(read.as_ref().map_or(0, |b| b.len() as u64));
    (id, read)
}

struct IndexLoader<'a> {
    blobs: &'a Arc<dyn BlobReader>,
    opener: &'a Arc<ContentOpener>,
    traffic: &'a Traffic,
    epochs: bool,
    limit: &'a IndexLimit,
}

/// Times that the listing is repeated when a listed index blob is gone (§4.9).
const ATTEMPTS: u32 = 10;

impl IndexLoader<'_> {
    async fn load(&self, mut early: Early) -> Result<(ContentIndex, u64)> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(100 << (attempt - 1).min(5))).await;
            }
            let (active, watermark) = if self.epochs {
                let listed = match early.listed.take() {
                    Some(listed) => listed,
                    None => list(self.blobs, "x", self.traffic).await?,
                };
                let selection = epoch::select(&epoch_sets(&listed));
                (with_lengths(selection.blobs, listed), selection.watermark)
            } else {
                match self.legacy_set().await? {
                    Some(active) => (active, None),
                    None => continue,
                }
            };
            if active.is_empty() {
                self.refuse_packs_without_index().await?;
            }
            let count = active.len() as u64;
            match self.read_all(active, &early).await {
                Ok(builder) => {
                    let frozen = tokio::task::spawn_blocking(move || builder.freeze(watermark)).await;
                    let frozen = frozen.map_err(|_| Error::internal("merging the index panicked"))?;
                    return Ok((frozen.map_err(not_merged)?, count));
                }
                Err(ReadIndexError::Gone(id)) => tracing::debug!("index blob {id} is gone, listing again"),
                Err(ReadIndexError::Failed(e)) => return Err(e),
            }
        }
        Err(Error::new(ErrorKind::Corrupt, "index blobs are listed but cannot be read; some may be lost"))
    }

    /// `None` when a blob vanished and the listing is stale.
    async fn legacy_set(&self) -> Result<Option<Vec<BlobInfo>>> {
        let lists = tokio::join!(list(self.blobs, "n", self.traffic), list(self.blobs, "m", self.traffic));
        let (listed, logs) = (lists.0?, lists.1?);
        let mut parsed = Vec::with_capacity(logs.len());
        for log in &logs {
            match self.read_encrypted(&log.id, None).await {
                Ok(json) => parsed.push(CompactionLog::parse(&json).map_err(|e| damaged(&log.id, e))?),
                Err(ReadIndexError::Gone(_)) => {}
                Err(ReadIndexError::Failed(e)) => return Err(e),
            }
        }
        let names: Vec<BlobId> = listed.iter().map(|b| b.id.clone()).collect();
        Ok(Some(with_lengths(index_blob::select_legacy(&names, &parsed), listed)))
    }

    async fn refuse_packs_without_index(&self) -> Result<()> {
        for prefix in ["p", "q"] {
            self.traffic.count(0);
            let any = self.blobs.any(prefix).await;
            if any.map_err(|e| Error::storage(e, "cannot list the repository"))? {
                let what = "the repository has packs but no index blob: its index is lost";
                return Err(Error::new(ErrorKind::Corrupt, what));
            }
        }
        Ok(())
    }

    async fn read_all(
        &self,
        active: Vec<BlobInfo>,
        early: &Early,
    ) -> std::result::Result<IndexBuilder, ReadIndexError> {
        let mut builder = IndexBuilder::new(self.limit.clone());
        // The shortest entry of either layout has 33 bytes with 16-byte hashes.
        builder.reserve(usize::try_from(active.iter().map(|b| b.len).sum::<u64>() / 33).unwrap_or(0));
        let builder = Arc::new(Mutex::new(builder));
        let in_flight = if self.blobs.traits().local { 16 } else { 128 };
        futures::stream::iter(active)
            .map(|blob| {
                let builder = Arc::clone(&builder);
                async move {
                    let plain = self.read_encrypted(&blob.id, early.take(&blob.id)).await?;
                    let overhead = u32::try_from(self.opener.overhead()).unwrap_or(0);
                    let id = blob.id.clone();
                    let parsed = tokio::task::spawn_blocking(move || {
                        let file = IndexFile::parse(&plain, overhead).map_err(|e| damaged(&blob.id, e))?;
                        let mut builder =
                            builder.lock().map_err(|_| Error::internal("index table poisoned"))?;
                        builder.add(&file).map_err(|e| match e {
                            IndexError::ReadBack { .. } => not_merged(e),
                            damage => damaged(&blob.id, damage),
                        })
                    });
                    let parsed = parsed.await.map_err(|_| Error::internal(format!("parsing {id} panicked")));
                    parsed.and_then(|r| r).map_err(ReadIndexError::Failed)
                }
            })
            .buffer_unordered(in_flight)
            .try_collect::<()>()
            .await?;
        let lock = Arc::into_inner(builder)
            .ok_or_else(|| ReadIndexError::Failed(Error::internal("index in use")))?;
        lock.into_inner().map_err(|_| ReadIndexError::Failed(Error::internal("index table poisoned")))
    }

    /// The plaintext of an index blob; `early` are its bytes when they are here already.
    async fn read_encrypted(
        &self,
        id: &BlobId,
        early: Option<Vec<u8>>,
    ) -> std::result::Result<Vec<u8>, ReadIndexError> {
        let read = match early {
            Some(stored) => Ok(stored),
            None => read_index_blob(self.blobs, self.traffic, id.clone()).await.1,
        };
        let mut stored = match read {
            Ok(stored) => stored,
            Err(e) if e.is_not_found() => return Err(ReadIndexError::Gone(id.clone())),
            Err(e) => {
                return Err(ReadIndexError::Failed(Error::storage(
                    e,
                    format!("cannot read index blob {id}"),
                )));
            }
        };
        let opened = index_blob::blob_iv(id)
            .map_err(|e| damaged(id, e))
            .and_then(|iv| self.opener.open_blob_range(&iv, &mut stored).map_err(|e| damaged(id, e)));
        let plain = opened.map_err(ReadIndexError::Failed)?;
        stored.truncate(plain.end);
        stored.drain(..plain.start);
        Ok(stored)
    }
}

enum ReadIndexError {
    /// Listed, but not there: maintenance was faster.
    Gone(BlobId),
    Failed(Error),
}

fn epoch_sets(listed: &[BlobInfo]) -> EpochListing {
    let mut ids: Vec<BlobId> = listed.iter().map(|b| b.id.clone()).collect();
    ids.sort_unstable();
    EpochListing::from_blobs(ids)
}

fn with_lengths(active: Vec<BlobId>, listed: Vec<BlobInfo>) -> Vec<BlobInfo> {
    let active: std::collections::HashSet<BlobId> = active.into_iter().collect();
    listed.into_iter().filter(|b| active.contains(&b.id)).collect()
}

async fn list(blobs: &Arc<dyn BlobReader>, prefix: &str, traffic: &Traffic) -> Result<Vec<BlobInfo>> {
    traffic.count(0);
    blobs.list(prefix).await.map_err(|e| Error::storage(e, "cannot list the repository"))
}

async fn read_blob(
    blobs: &Arc<dyn BlobReader>,
    name: &str,
    traffic: &Traffic,
) -> std::result::Result<Vec<u8>, BlobError> {
    let id =
        BlobId::parse(name).map_err(|e| BlobError::new(BlobErrorKind::Settings, "bad name").because(e))?;
    let bytes = blobs.read(&id, None, Vec::new()).await;
    traffic.count(bytes.as_ref().map_or(0, |b| b.len() as u64));
    bytes
}

async fn read_optional(
    blobs: &Arc<dyn BlobReader>,
    name: &str,
    traffic: &Traffic,
) -> std::result::Result<Option<Vec<u8>>, BlobError> {
    match read_blob(blobs, name, traffic).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

fn not_merged(e: IndexError) -> Error {
    Error::new(ErrorKind::Storage, "the index cannot be merged").because(e)
}

fn damaged(id: &BlobId, e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Corrupt, format!("index blob {id} is damaged")).in_pack(id).because(e)
}

fn format_error(e: format_blob::Error) -> Error {
    use format_blob::Error as Cause;
    let kind = match e {
        Cause::UnsupportedEncryption { .. }
        | Cause::UnsupportedVersion { .. }
        | Cause::UnsupportedIndexVersion { .. } => ErrorKind::UnsupportedFormat,
        _ => ErrorKind::Corrupt,
    };
    Error::new(kind, "the format blob kopia.repository cannot be used").because(e)
}

fn key_error(e: key::Error) -> Error {
    let kind = match e {
        key::Error::UnsupportedAlgorithm { .. } => ErrorKind::UnsupportedFormat,
        _ => ErrorKind::Corrupt,
    };
    Error::new(kind, "the repository's key cannot be derived").because(e)
}
