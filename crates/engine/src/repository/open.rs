//! Opens a repository: format blob and password give the keys, these the active index blobs, these the frozen index.

use std::sync::Arc;
use std::time::Instant;

use rekopia_blob::{BlobError, BlobErrorKind, BlobId, BlobReader};
use rekopia_format::blobcfg::BlobCfg;
use rekopia_format::ecc::Ecc;
use rekopia_format::encryption::ContentCipher;
use rekopia_format::format_blob::{FormatBlob, RepositoryConfig};
use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::index_blob::has_iv;
use rekopia_format::key::{self, FormatKey};
use rekopia_format::{ContentOpener, format_blob};

use super::contents::Contents;
use super::folder::check_outside;
use super::index::IndexLimit;
use super::load::{Early, IndexLoader, Loaded};
use super::options::{OpenOptions, Password};
use super::repairs::Repairs;
use super::salvage::{Keep, Scanner, find_format_blob};
use super::traffic::TrafficCounters;
use crate::error::{Error, ErrorKind, Result};
use crate::hint::Hint;
use crate::observer::{Event, Observer};

/// The parts of an open repository.
pub(crate) struct Opened {
    pub(crate) format: FormatBlob,
    pub(crate) config: RepositoryConfig,
    pub(crate) blobcfg: std::result::Result<Option<BlobCfg>, String>,
    pub(crate) opener: Arc<ContentOpener>,
    pub(crate) loaded: Loaded,
    pub(crate) repairs: Arc<Repairs>,
}

/// Opens the format blob with the password while the index blobs are being listed, then reads the index.
pub(crate) async fn open(
    blobs: &Arc<dyn BlobReader>,
    password: &Password,
    options: &OpenOptions,
    traffic: &TrafficCounters,
    observer: &dyn Observer,
) -> Result<Opened> {
    let first = async || {
        let keys = open_format(blobs, password, options, traffic, observer);
        let blobcfg = read_optional(blobs, "kopia.blobcfg", traffic);
        tokio::join!(keys, Early::read(blobs, traffic), blobcfg)
    };
    let (mut keys, mut early, mut blobcfg) = first().await;
    if matches!(keys, Ok(None)) && is_elsewhere(blobs, traffic).await? {
        (keys, early, blobcfg) = first().await;
    }
    let Some((format, config, format_key)) = keys? else { return Err(no_format_blob(blobs, traffic).await) };
    check_usable(&config, options, observer)?;
    let blobcfg = open_blobcfg(blobcfg, &format, &format_key);
    if let Err(why) = &blobcfg {
        observer.event(Event::Warning { message: format!("{why}; not needed here") });
    }

    let opener = Arc::new(content_opener(&config)?);
    let (epochs, limit) = (&config.epoch_parameters, &options.index_limit());
    let unique_id = format.unique_id.as_slice();
    if let Some(path) = &options.salvage_index {
        check_outside(blobs.folder().as_deref(), path)?;
    }
    let keep = options.salvage_index.as_deref().map(|path| Keep { path, unique_id });
    let scanner = Scanner { blobs, opener: &opener, traffic, observer, keep };
    let (scanner, repairs) = (options.salvage.then_some(&scanner), Arc::new(Repairs::default()));
    let loader = IndexLoader { blobs, opener: &opener, traffic, epochs, limit, scanner, repairs: &repairs };
    let loaded = loader.load(early?).await?;
    if let Some(warning) = loaded.index.warning() {
        observer.event(Event::Warning { message: warning.to_owned() });
    }
    for e in &loaded.covered {
        let message = format!("{}; others say the same: nothing is missing", e.chain());
        observer.event(Event::Warning { message });
    }
    for e in &loaded.damage {
        let message = format!("{}; what only it names is missing", e.chain());
        observer.event(Event::Warning { message });
    }
    if loaded.is_marker_lost {
        let message = "the marker of an epoch (xe) is lost: all index blobs of later epochs are read";
        observer.event(Event::Warning { message: message.to_owned() });
    }
    if let Some(salvaged) = &loaded.salvaged {
        salvaged.tell(observer);
    }
    Ok(Opened { format, config, blobcfg, opener, loaded, repairs })
}

/// Looks for a format blob.
pub(crate) async fn find(blobs: &Arc<dyn BlobReader>) -> Result<()> {
    let traffic = TrafficCounters::default();
    let found = read_optional(blobs, "kopia.repository", &traffic).await;
    if found.map_err(|e| unread(e, blobs, FORMAT_UNREAD))?.is_some() {
        return Ok(());
    }
    match is_elsewhere(blobs, &traffic).await? {
        true => Ok(()),
        false => Err(no_format_blob(blobs, &traffic).await),
    }
}

/// Whether the repository lies in the layout of another kind of storage.
async fn is_elsewhere(blobs: &Arc<dyn BlobReader>, traffic: &TrafficCounters) -> Result<bool> {
    traffic.count(0);
    let elsewhere = blobs.look_elsewhere().await;
    elsewhere.map_err(|e| unread(e, blobs, "cannot look for a repository"))
}

const NO_COPY: &str = "it cannot be rebuilt from the packs, but a client of Kopia keeps a copy, the file \
    kopia.repository in its cache folder, which can be given instead";

const FORMAT_UNREAD: &str = "cannot read the format blob kopia.repository";

/// Reads the index once more: contents that maintenance moved meanwhile are found at their new place.
pub(crate) async fn reload_index(
    old: &Contents,
    config: &RepositoryConfig,
    limit: &IndexLimit,
) -> Result<Loaded> {
    let Contents { blobs, opener, traffic, repairs, .. } = old;
    let epochs = &config.epoch_parameters;
    let loader = IndexLoader { blobs, opener, traffic, epochs, limit, scanner: None, repairs };
    loader.load(Early::default()).await
}

type FormatKeys = (FormatBlob, RepositoryConfig, FormatKey);

/// Reads and opens the format blob; `None` when there is none.
async fn open_format(
    blobs: &Arc<dyn BlobReader>,
    password: &Password,
    options: &OpenOptions,
    traffic: &TrafficCounters,
    observer: &dyn Observer,
) -> Result<Option<FormatKeys>> {
    if let Some(given) = &options.format_blob {
        return open_with(given, password, observer).await.map(Some);
    }
    let stored = open_stored_format(blobs, password, traffic, observer).await;
    let is_lost = match &stored {
        Ok(found) => found.is_none(),
        Err(e) => matches!(
            e.kind(),
            ErrorKind::InvalidPassword
                | ErrorKind::Corrupt
                | ErrorKind::UnsupportedFormat
                | ErrorKind::Storage
        ),
    };
    if !options.salvage || !is_lost {
        return stored;
    }
    let Ok(Some((copy, pack))) = find_format_blob(blobs, traffic).await else { return stored };
    match open_with(&copy, password, observer).await {
        Ok(keys) => {
            let message =
                format!("the format blob kopia.repository is lost: using its copy in pack {}", pack.id);
            observer.event(Event::Warning { message });
            Ok(Some(keys))
        }
        // The password is the first thing to look at, whichever of the two was tried.
        Err(e) => stored.and(Err(e)),
    }
}

/// Opens a stored format blob; one that does not open is asked for once more: it may have been damaged on its way.
async fn open_stored_format(
    blobs: &Arc<dyn BlobReader>,
    password: &Password,
    traffic: &TrafficCounters,
    observer: &dyn Observer,
) -> Result<Option<FormatKeys>> {
    let read = async || match read_optional(blobs, "kopia.repository", traffic).await {
        Ok(bytes) => Ok(bytes),
        Err(e) => Err(unread(e, blobs, FORMAT_UNREAD)),
    };
    let Some(bytes) = read().await? else { return Ok(None) };
    match open_with(&bytes, password, observer).await {
        Ok(keys) => Ok(Some(keys)),
        Err(e) if matches!(e.kind(), ErrorKind::InvalidPassword | ErrorKind::Corrupt) => match read().await {
            Ok(Some(again)) if again != bytes => open_with(&again, password, observer).await.map(Some),
            _ => Err(e),
        },
        Err(e) => Err(e),
    }
}

async fn open_with(bytes: &[u8], password: &Password, observer: &dyn Observer) -> Result<FormatKeys> {
    let format = FormatBlob::parse(bytes).map_err(format_error)?;
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
    Ok((format, config, format_key))
}

/// Makes the error of a failed read; where the place itself is missing, so is the repository.
fn unread(e: BlobError, blobs: &Arc<dyn BlobReader>, what: &str) -> Error {
    match e.kind() {
        BlobErrorKind::NoPlace => {
            let what = format!("no Kopia repository at {}", blobs.describe());
            Error::new(ErrorKind::NoRepository, what).because(e)
        }
        _ => Error::storage(e, what),
    }
}

/// Makes the error that says why there is nothing to open; of a repository that has lost its format blob, whether there
/// is a way.
async fn no_format_blob(blobs: &Arc<dyn BlobReader>, traffic: &TrafficCounters) -> Error {
    for (prefix, called) in [("q", "packs"), ("x", "index blobs"), ("n", "index blobs"), ("p", "packs")] {
        traffic.count(0);
        // Other folders have names that begin so, too.
        match blobs.list(prefix).await {
            Ok(listed) if listed.iter().any(|blob| has_iv(&blob.id)) => {
                let place = blobs.describe();
                let (way, hint) = match find_format_blob(blobs, traffic).await {
                    Ok(Some((_, pack))) => {
                        (format!("pack {} has a copy, which salvage uses", pack.id), Some(Hint::Salvage))
                    }
                    Ok(None) => (NO_COPY.to_owned(), Some(Hint::GiveFormatBlob)),
                    Err(e) => (e.chain(), None),
                };
                let what =
                    format!("the format blob kopia.repository is lost, but {place} holds {called}; {way}");
                let lost = Error::new(ErrorKind::Corrupt, what);
                return match hint {
                    Some(hint) => lost.with_hint(hint),
                    None => lost,
                };
            }
            Ok(_) => {}
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
    let now = crate::zone::now();
    if let Some(lock) = config.upgrade_lock.as_ref().filter(|lock| lock.is_locked(now)) {
        let what = format!("an upgrade of the repository is in progress (lock owner {:?})", lock.owner_id);
        if !options.ignore_upgrade_lock {
            return Err(Error::new(ErrorKind::Locked, what).with_hint(Hint::IgnoreUpgradeLock));
        }
        observer.event(Event::Warning { message: format!("{what}; reading anyway") });
    }
    Ok(())
}

/// Opens `kopia.blobcfg`, which holds only retention settings: nothing that a reader needs.
fn open_blobcfg(
    read: std::result::Result<Option<Vec<u8>>, BlobError>,
    format: &FormatBlob,
    format_key: &FormatKey,
) -> std::result::Result<Option<BlobCfg>, String> {
    let unread = |e: &dyn std::fmt::Display| format!("kopia.blobcfg cannot be read ({e})");
    let Some(sealed) = read.map_err(|e| unread(&e))? else { return Ok(None) };
    let json = format_key.open_envelope(&format.unique_id, &sealed).map_err(|e| unread(&e))?;
    BlobCfg::parse(&json).map(Some).map_err(|e| unread(&e))
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

async fn read_blob(
    blobs: &Arc<dyn BlobReader>,
    name: &str,
    traffic: &TrafficCounters,
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
    traffic: &TrafficCounters,
) -> std::result::Result<Option<Vec<u8>>, BlobError> {
    match read_blob(blobs, name, traffic).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
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
