//! Holds an open repository: its keys and its frozen index.

pub(crate) mod as_of;
pub(crate) mod async_file;
pub(crate) mod contents;
pub(crate) mod file;
mod folder;
pub(crate) mod index;
mod index_set;
mod info;
pub(crate) mod listed_packs;
mod load;
mod metadata_blocks;
mod near;
pub(crate) mod objects;
mod open;
mod options;
pub(crate) mod read_ahead;
pub(crate) mod reference;
mod repairs;
mod resolve;
pub(crate) mod roots;
mod salvage;
pub(crate) mod snapshots;
mod traffic;
pub(crate) mod trees;
pub(crate) mod unindexed;
mod whole;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rekopia_blob::{BlobId, BlobReader};
use rekopia_format::format_blob::RepositoryConfig;

pub use info::RepositoryInfo;
pub use options::{OpenOptions, Password};
pub use traffic::Traffic;

use crate::error::{Error, Result};
use crate::observer::{Event, Observer, Phase};
use contents::Contents;
use index::IndexLimit;
use open::Opened;
use salvage::Salvaged;
use snapshots::Snapshots;
use traffic::TrafficCounters;

/// An open repository. Reads only; cheap to share.
pub struct Repository {
    blobs: Arc<dyn BlobReader>,
    config: RepositoryConfig,
    index_limit: IndexLimit,
    contents: RwLock<Contents>,
    snapshots: tokio::sync::Mutex<Option<Arc<Snapshots>>>,
    info: RepositoryInfo,
    /// Whether what damage hides is looked for.
    salvages: bool,
    opening: Opening,
}

/// Facts that opening found out, beside damage.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Index blobs that cannot be read, but others say the same.
    pub(crate) covered: Vec<Error>,
    /// Why `kopia.blobcfg` cannot be read.
    pub(crate) blobcfg_unread: Option<String>,
    /// An epoch has blobs, but no marker says that it has begun.
    pub(crate) is_marker_lost: bool,
    /// Unix seconds: what was deleted until then may have been dropped from the index.
    pub(crate) watermark: Option<u64>,
    /// What the packs' own indexes made up for, where they were read.
    pub(crate) salvaged: Option<Salvaged>,
}

impl Repository {
    /// Opens the repository that `blobs` holds.
    ///
    /// # Errors
    /// By [kind](crate::ErrorKind): `NoRepository`, `InvalidPassword`, `UnsupportedFormat`, `Locked`, `Corrupt` (packs and no
    /// index blob), `Storage`.
    pub async fn open(
        blobs: Arc<dyn BlobReader>,
        password: &Password,
        options: &OpenOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        observer.event(Event::Phase { phase: Phase::Opening });
        let traffic = Arc::new(TrafficCounters::default());
        let opened = open::open(&blobs, password, options, &traffic, observer.as_ref()).await?;
        let info = info_of(&blobs, &opened);
        observer.event(Event::Opened {
            repository: info.unique_id.clone(),
            contents: info.contents,
            index_blobs: info.index_blobs,
        });
        let contents = Contents {
            blobs: Arc::clone(&blobs),
            opener: opened.opener,
            index: Arc::new(opened.loaded.index),
            damage: opened.loaded.damage.into(),
            traffic,
            blocks: Arc::default(),
            repairs: opened.repairs,
            hashes: false,
        };
        let (contents, snapshots) = (RwLock::new(contents), tokio::sync::Mutex::new(None));
        let index_limit = options.index_limit();
        let opening = Opening {
            covered: opened.loaded.covered,
            blobcfg_unread: opened.blobcfg.err(),
            is_marker_lost: opened.loaded.is_marker_lost,
            watermark: opened.loaded.watermark,
            salvaged: opened.loaded.salvaged,
        };
        let config = opened.config;
        Ok(Repository {
            blobs,
            config,
            index_limit,
            contents,
            snapshots,
            info,
            salvages: options.salvage,
            opening,
        })
    }

    /// Checks that there is a repository, before anybody is asked for its password.
    ///
    /// # Errors
    /// [`ErrorKind::NoRepository`](crate::ErrorKind::NoRepository), or what [`Repository::open`] fails with.
    pub async fn find(blobs: &Arc<dyn BlobReader>) -> Result<()> {
        open::find(blobs).await
    }

    /// Returns the facts about this repository.
    pub fn info(&self) -> &RepositoryInfo {
        &self.info
    }

    /// Returns all snapshots; they are read once and kept. Those that damage hides are missing: [`Snapshots::damage`]
    /// says what is damaged.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn snapshots(&self) -> Result<Arc<Snapshots>> {
        let mut kept = self.snapshots.lock().await;
        if let Some(snapshots) = kept.as_ref() {
            return Ok(Arc::clone(snapshots));
        }
        let contents = self.contents();
        let mut read = Snapshots::read(&contents, self.salvages).await?;
        if read.damage().len() > contents.damage.len() {
            // Another client may have compacted the manifests since the index was read (§4.9).
            self.reload_index().await?;
            read = Snapshots::read(&self.contents(), self.salvages).await?;
        }
        let snapshots = Arc::new(read);
        *kept = Some(Arc::clone(&snapshots));
        Ok(snapshots)
    }

    /// Reads the index anew, so that what is asked from now on sees snapshots that were taken since; work that is under
    /// way goes on with the old one. After [`OpenOptions::salvage`] what opening found stays as it is.
    ///
    /// # Errors
    /// When the storage does not answer; the old index is then kept.
    pub async fn refresh(&self) -> Result<()> {
        let mut kept = self.snapshots.lock().await;
        self.reload_index().await?;
        *kept = None;
        Ok(())
    }

    /// Returns the index blobs that could not be read when the index was read last, as errors: what only they name is
    /// missing.
    pub fn index_damage(&self) -> Vec<Error> {
        self.contents().damage.iter().map(Error::again).collect()
    }

    /// Returns what was found out by opening.
    pub(crate) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Whether something was found that no index leads to: what the packs' own indexes say was needed.
    pub fn is_salvaged(&self) -> bool {
        let salvaged = self.opening.salvaged.as_ref();
        salvaged.is_some_and(|s| s.unindexed > 0 || !s.misnamed.is_empty() || !s.replaced.is_empty())
    }

    /// Returns the index blobs that cannot be read and for which no pack stands in: what they named, a snapshot
    /// perhaps, is lost. Known only of a repository that is being salvaged.
    pub fn lost_sessions(&self) -> &[BlobId] {
        self.opening.salvaged.as_ref().map_or(&[], |salvaged| &salvaged.unaccounted)
    }

    /// Refuses a file that would lie in the folder of the repository, where that is one: nothing is written there.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) when it would.
    pub fn check_outside(&self, path: &Path) -> Result<()> {
        folder::check_outside(self.folder().as_deref(), path)
    }

    /// Whether something that names contents or snapshots is known to be unreadable: snapshots that are found may be
    /// old, and are to be proven.
    pub(crate) async fn is_in_doubt(&self) -> bool {
        // A caller who salvages takes what there is.
        if self.salvages {
            return false;
        }
        let has_damage = |s: &Arc<Snapshots>| !s.damage().is_empty();
        !self.contents().damage.is_empty() || self.snapshots.lock().await.as_ref().is_some_and(has_damage)
    }

    /// Returns what was asked of the storage so far: opening, looking up and every run on this repository.
    pub fn traffic(&self) -> Traffic {
        let (requests, fetched_bytes) = self.contents().traffic.sums();
        Traffic { requests, fetched_bytes, retries: self.usage().retries }
    }

    /// Returns the packs of which error correction repaired something so far, each with the number of its damaged
    /// shards: nothing is missing, but the storage is failing.
    pub fn repairs(&self) -> Vec<(BlobId, u64)> {
        self.contents().repairs.packs()
    }

    /// Returns what the storage itself has counted.
    pub(crate) fn usage(&self) -> rekopia_blob::Usage {
        self.blobs.usage()
    }

    /// Returns the current index and the means to read through it.
    pub(crate) fn contents(&self) -> Contents {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a folder on a disk for what does not fit in memory.
    pub(crate) fn spill_dir(&self) -> Option<&Path> {
        self.index_limit.dir.as_deref()
    }

    /// Returns the folder that the repository is in, where it is one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.blobs.folder()
    }

    /// Replaces the index by a fresh one; work that holds the old one goes on with it.
    pub(crate) async fn reload_index(&self) -> Result<()> {
        // What a scan found would be lost, and the packs would have to be read anew.
        if self.salvages {
            return Ok(());
        }
        let old = self.contents();
        let loaded = open::reload_index(&old, &self.config, &self.index_limit).await?;
        let (index, damage) = (Arc::new(loaded.index), loaded.damage.into());
        let fresh = Contents { index, damage, blocks: Arc::default(), ..old };
        *self.contents.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

fn info_of(blobs: &Arc<dyn BlobReader>, opened: &Opened) -> RepositoryInfo {
    let Opened { format, config, blobcfg, loaded, .. } = opened;
    let retention = blobcfg.as_ref().ok().and_then(|found| found.as_ref()?.retention.as_ref());
    RepositoryInfo {
        unique_id: format.unique_id.iter().map(|b| format!("{b:02x}")).collect(),
        location: blobs.describe(),
        version: config.version.into(),
        index_version: config.index_version.into(),
        hash: config.hash.clone(),
        encryption: config.encryption.clone(),
        ecc: config.error_correction().map_or_else(String::new, |(name, _)| name.to_owned()),
        ecc_overhead_percent: config.ecc_overhead_percent.into(),
        key_algorithm: format.key_algo.clone(),
        splitter: config.splitter.clone(),
        max_pack_bytes: config.max_pack_size,
        epochs_enabled: config.epoch_parameters.enabled,
        enable_password_change: config.enable_password_change,
        retention_mode: retention.map(|r| r.mode.clone()),
        index_blobs: loaded.blobs,
        contents: loaded.index.len() as u64,
        packs: loaded.index.packs().len() as u64,
        index_bytes: loaded.index.bytes(),
        index_file_bytes: loaded.index.file_bytes(),
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("info", &self.info).finish_non_exhaustive()
    }
}
