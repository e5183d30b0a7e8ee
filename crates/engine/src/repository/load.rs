//! Reads index blobs into one frozen index, and tells what of them cannot be read.
//!
//! ```text
//! list ──► choose ──► read ──► freeze
//!            ▲          │ a blob that is empty, cut or does not open
//!            └──────────┘ what a compaction was made of may be there still
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use rekopia_blob::{BlobError, BlobId, BlobInfo, BlobReader};
use rekopia_format::ContentOpener;
use rekopia_format::epoch;
use rekopia_format::format_blob::EpochParameters;
use rekopia_format::index::IndexFile;
use rekopia_format::index_blob::{self, CompactionLog};

use super::index::{ContentIndex, IndexBuilder, IndexError, IndexLimit};
use super::index_set::{IndexSet, Legacy, epoch_sets};
use super::repairs::Repairs;
use super::salvage::{Salvaged, Scanner};
use super::traffic::TrafficCounters;
use crate::error::{Error, ErrorKind, Result};
use crate::hint::Hint;

/// An index, and how whole it is.
pub(crate) struct Loaded {
    pub(crate) index: ContentIndex,
    /// Index blobs that were read.
    pub(crate) blobs: u64,
    /// Index blobs that cannot be read: what only they name is missing.
    pub(crate) damage: Vec<Error>,
    /// Index blobs that cannot be read, but others say the same.
    pub(crate) covered: Vec<Error>,
    /// What the packs' own indexes gave, where they were read. What `damage` names is missing all the same.
    pub(crate) salvaged: Option<Salvaged>,
    /// An epoch has blobs, but no marker says that it has begun.
    pub(crate) is_marker_lost: bool,
    /// Unix seconds: what was deleted until then may have been dropped from the index.
    pub(crate) watermark: Option<u64>,
}

/// What can be read before the key is derived: that takes as long as several round trips.
#[derive(Default)]
pub(super) struct Early {
    /// The listing of `x`; `None`: to be listed.
    listed: Option<Vec<BlobInfo>>,
    /// Index blobs as they are stored. One that is not there, or could not be read, is read in its turn.
    stored: Mutex<HashMap<BlobId, Vec<u8>>>,
}

/// Index blobs that are read before the key is there, and their bytes together.
const EARLY_BLOBS: usize = 128;
const EARLY_BYTES: u64 = 4 << 20;

impl Early {
    pub(super) async fn read(blobs: &Arc<dyn BlobReader>, traffic: &TrafficCounters) -> Result<Self> {
        let listed = list(blobs, "x", traffic).await?;
        let active: HashSet<BlobId> = epoch::select(&epoch_sets(&listed)).blobs.into_iter().collect();
        let mut bytes = 0;
        let active = listed.iter().filter(|blob| active.contains(&blob.id));
        let fits = active.take(EARLY_BLOBS).take_while(|blob| {
            bytes += blob.len;
            bytes <= EARLY_BYTES
        });
        let reads: Vec<_> = fits.map(|blob| read_index_blob(blobs, traffic, blob.id.clone())).collect();
        let read = futures::future::join_all(reads).await;
        let stored = read.into_iter().filter_map(|(id, read)| Some((id, read.ok()?))).collect();
        Ok(Early { listed: Some(listed), stored: Mutex::new(stored) })
    }

    fn take(&self, id: &BlobId) -> Option<Vec<u8>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// Reads the index of a repository whose keys are known.
pub(super) struct IndexLoader<'a> {
    pub(super) blobs: &'a Arc<dyn BlobReader>,
    pub(super) opener: &'a Arc<ContentOpener>,
    pub(super) traffic: &'a TrafficCounters,
    pub(super) epochs: &'a EpochParameters,
    pub(super) limit: &'a IndexLimit,
    /// Reads the packs' own indexes, too, where they are wanted.
    pub(super) scanner: Option<&'a Scanner<'a>>,
    pub(super) repairs: &'a Repairs,
}

/// Bytes of an index blob at most: writers begin another one after 16 million entries (§4.4).
const LONGEST: u64 = 2 << 30;

/// Times that the listing is repeated when a listed index blob is gone (§4.9).
const ATTEMPTS: u32 = 10;

/// The reason why an index blob gives nothing.
enum Unread {
    /// The blob was listed, but is not there: maintenance was faster.
    Gone(BlobId),
    /// The blob is damaged: reading it again gives nothing better.
    Bad(Error),
    /// The storage does not answer, or we cannot go on.
    Failed(Error),
}

impl From<Error> for Unread {
    fn from(e: Error) -> Self {
        if e.kind() == ErrorKind::Corrupt { Unread::Bad(e) } else { Unread::Failed(e) }
    }
}

type Bad = HashMap<BlobId, Error>;

impl IndexLoader<'_> {
    /// Reads the index; what cannot be read of it is part of the answer.
    ///
    /// # Errors
    /// When the storage does not answer; [`ErrorKind::Corrupt`] when there are packs and no index blob.
    pub(super) async fn load(&self, mut early: Early) -> Result<Loaded> {
        let mut attempt = 1;
        loop {
            let gone_is_bad = attempt == ATTEMPTS;
            match self.try_load(&mut early, gone_is_bad).await {
                Ok(loaded) => return Ok(loaded),
                Err(Unread::Gone(id)) => tracing::debug!("index blob {id} is gone, listing again"),
                Err(Unread::Bad(e) | Unread::Failed(e)) => return Err(e),
            }
            tokio::time::sleep(Duration::from_millis(100 << (attempt - 1).min(5))).await;
            attempt += 1;
        }
    }

    async fn try_load(&self, early: &mut Early, gone_is_bad: bool) -> std::result::Result<Loaded, Unread> {
        let mut bad = Bad::new();
        let (set, infos) = self.list_set(early, &mut bad).await?;
        let mut builder = IndexBuilder::new(self.limit.clone());
        // The shortest entry of either layout has 33 bytes with 16-byte hashes.
        let len_of = |id: &BlobId| infos.get(id).map_or(0, |blob| blob.len);
        let mut chosen = set.choose(&HashSet::new());
        builder.reserve(usize::try_from(chosen.blobs.iter().map(len_of).sum::<u64>() / 33).unwrap_or(0));
        let builder = Arc::new(Mutex::new(builder));
        let scanned = match self.scanner {
            Some(scanner) => Some(scanner.scan(&builder).await?),
            None if chosen.blobs.is_empty() => {
                self.refuse_packs_without_index().await?;
                None
            }
            None => None,
        };
        let mut read = HashSet::new();
        loop {
            let fresh = chosen.blobs.iter().filter(|id| read.insert((*id).clone()));
            let fresh = fresh.map(|id| (id.clone(), len_of(id))).collect();
            let found = self.read_all(fresh, early, &builder, gone_is_bad).await?;
            if found.is_empty() {
                break;
            }
            bad.extend(found);
            chosen = set.choose(&bad.keys().cloned().collect());
        }
        let lock = Arc::into_inner(builder).ok_or_else(|| Error::internal("index in use"))?;
        let builder = lock.into_inner().map_err(|_| Error::internal("index table poisoned"))?;
        let blobs = read.iter().filter(|id| !bad.contains_key(id)).count() as u64;
        let names = bad.keys().cloned().collect();
        let known = set.covered(&names, &chosen, |epoch| is_young(epoch, &set, &infos, self.epochs));
        let watermark = chosen.watermark;
        let frozen = tokio::task::spawn_blocking(move || builder.freeze(watermark)).await;
        let index = frozen.map_err(|_| Error::internal("merging the index panicked"))?.map_err(not_merged)?;
        let mut bad: Vec<(BlobId, Error)> = bad.into_iter().collect();
        bad.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (covered, damage): (Vec<_>, Vec<_>) = bad.into_iter().partition(|(id, _)| known.contains(id));
        let (mut damage, covered) = (errors(damage), errors(covered));
        let salvaged = scanned.map(|scanned| Salvaged::of(&index, &mut damage, scanned));
        Ok(Loaded {
            index,
            blobs,
            damage,
            covered,
            salvaged,
            is_marker_lost: chosen.is_marker_lost,
            watermark,
        })
    }

    async fn list_set(
        &self,
        early: &mut Early,
        bad: &mut Bad,
    ) -> std::result::Result<(IndexSet, HashMap<BlobId, BlobInfo>), Unread> {
        if self.epochs.enabled {
            return Ok(self.list_epochs(early).await?);
        }
        let lists = tokio::join!(list(self.blobs, "n", self.traffic), list(self.blobs, "m", self.traffic));
        let (mut listed, logs) = (lists.0?, lists.1?);
        let is_upgraded = listed.iter().any(|blob| blob.id.as_str() == index_blob::POISON_BLOB);
        if is_upgraded && self.scanner.is_some() {
            // The format blob is a copy from before: the keys are the same, the index is that of today.
            return Ok(self.list_epochs(early).await?);
        }
        if is_upgraded {
            let what = "the repository has been upgraded, or an upgrade was given up half-way: \
                its index blobs say that they are not for readers of its format blob";
            return Err(Unread::Failed(Error::new(ErrorKind::UnsupportedFormat, what)));
        }
        listed.retain(|blob| index_blob::has_iv(&blob.id));
        let mut parsed = Vec::with_capacity(logs.len());
        for log in logs.iter().filter(|log| index_blob::has_iv(&log.id)) {
            let json = self.read_encrypted(&log.id, None).await;
            let read = json
                .and_then(|json| CompactionLog::parse(&json).map_err(|e| Unread::Bad(damaged(&log.id, e))));
            match read {
                Ok(log) => parsed.push(log),
                Err(Unread::Gone(_)) => {}
                // What it takes away would come back.
                Err(Unread::Bad(e)) => drop(bad.insert(log.id.clone(), e)),
                Err(Unread::Failed(e)) if self.is_made_up_for(&e) => drop(bad.insert(log.id.clone(), e)),
                Err(failed) => return Err(failed),
            }
        }
        let names = listed.iter().map(|blob| blob.id.clone()).collect();
        Ok((IndexSet::Legacy(Legacy { names, logs: parsed }), by_name(listed)))
    }

    async fn list_epochs(&self, early: &mut Early) -> Result<(IndexSet, HashMap<BlobId, BlobInfo>)> {
        let listed = match early.listed.take() {
            Some(listed) => listed,
            None => list(self.blobs, "x", self.traffic).await?,
        };
        Ok((IndexSet::Epochs(epoch_sets(&listed)), by_name(listed)))
    }

    async fn refuse_packs_without_index(&self) -> Result<()> {
        for prefix in ["p", "q"] {
            self.traffic.count(0);
            let any = self.blobs.any(prefix).await;
            if any.map_err(|e| Error::storage(e, "cannot list the repository"))? {
                let what = "the repository has packs but no index blob: its index is lost; \
                    salvage reads the indexes that the packs have of themselves";
                return Err(Error::new(ErrorKind::Corrupt, what).with_hint(Hint::Salvage));
            }
        }
        Ok(())
    }

    /// Adds these index blobs; returns those that are bad.
    async fn read_all(
        &self,
        blobs: Vec<(BlobId, u64)>,
        early: &Early,
        builder: &Arc<Mutex<IndexBuilder>>,
        gone_is_bad: bool,
    ) -> std::result::Result<Bad, Unread> {
        let in_flight = if self.blobs.profile().local { 16 } else { 128 };
        let add = |(id, len): (BlobId, u64)| async move {
            match self.read_one(&id, len, early, builder).await {
                Ok(()) => Ok(None),
                Err(Unread::Bad(e)) => Ok(Some((id, e))),
                Err(Unread::Failed(e)) if self.is_made_up_for(&e) => Ok(Some((id, e))),
                Err(Unread::Gone(_)) if gone_is_bad => {
                    let what = format!("index blob {id} is listed, but cannot be found");
                    let e = Error::new(ErrorKind::Corrupt, what).in_pack(&id);
                    Ok(Some((id, e)))
                }
                Err(other) => Err(other),
            }
        };
        futures::stream::iter(blobs)
            .map(add)
            .buffer_unordered(in_flight)
            .try_fold(Bad::new(), |mut bad, found| async move {
                bad.extend(found);
                Ok(bad)
            })
            .await
    }

    /// Whether the packs' own indexes stand in for a blob that the storage does not give: a sector of a disk that is
    /// dying, a file that nobody may read. That the storage answers they have shown.
    fn is_made_up_for(&self, e: &Error) -> bool {
        self.scanner.is_some() && e.kind() == ErrorKind::Storage
    }

    async fn read_one(
        &self,
        id: &BlobId,
        len: u64,
        early: &Early,
        builder: &Arc<Mutex<IndexBuilder>>,
    ) -> std::result::Result<(), Unread> {
        if len > LONGEST {
            return Err(Unread::Bad(damaged(id, format!("{len} bytes are more than an index has"))));
        }
        let plain = self.read_encrypted(id, early.take(id)).await?;
        let overhead = u32::try_from(self.opener.overhead()).unwrap_or(0);
        let (name, builder) = (id.clone(), Arc::clone(builder));
        let parsed = tokio::task::spawn_blocking(move || {
            let file = IndexFile::parse(&plain, overhead).map_err(|e| damaged(&name, e))?;
            let mut builder = builder.lock().map_err(|_| Error::internal("index table poisoned"))?;
            builder.add(&file).map_err(|e| match e {
                IndexError::ReadBack { .. } => not_merged(e),
                damage => damaged(&name, damage),
            })
        });
        Ok(parsed.await.map_err(|_| Error::internal(format!("parsing {id} panicked")))??)
    }

    /// Reads the plaintext of an index blob; `early` are its bytes when they are here already. Bytes that do not open
    /// are asked for once more: they may have been damaged on their way.
    async fn read_encrypted(
        &self,
        id: &BlobId,
        early: Option<Vec<u8>>,
    ) -> std::result::Result<Vec<u8>, Unread> {
        let first = match early {
            Some(stored) => self.opened(id, stored),
            None => self.read_and_open(id).await,
        };
        match first {
            Err(Unread::Bad(e)) => {
                tracing::debug!("{}: asking once more", e.chain());
                self.blobs.distrust(id);
                self.read_and_open(id).await
            }
            other => other,
        }
    }

    async fn read_and_open(&self, id: &BlobId) -> std::result::Result<Vec<u8>, Unread> {
        match read_index_blob(self.blobs, self.traffic, id.clone()).await.1 {
            Ok(stored) => self.opened(id, stored),
            Err(e) if e.is_not_found() => Err(Unread::Gone(id.clone())),
            Err(e) => Err(Error::storage(e, format!("cannot read index blob {id}")).into()),
        }
    }

    fn opened(&self, id: &BlobId, mut stored: Vec<u8>) -> std::result::Result<Vec<u8>, Unread> {
        let mut shards = 0;
        let iv = index_blob::blob_iv(id).map_err(|e| damaged(id, e))?;
        let plain = self.opener.open_blob_range(&iv, &mut stored, &mut shards).map_err(|e| damaged(id, e))?;
        self.repairs.note(id, shards);
        stored.truncate(plain.end);
        stored.drain(..plain.start);
        Ok(stored)
    }
}

fn errors(of: Vec<(BlobId, Error)>) -> Vec<Error> {
    of.into_iter().map(|(_, e)| e).collect()
}

/// Whether what an epoch was compacted from cannot have been removed yet: clean-up compares the times of the storage
/// with that of the newest session's blob (§4.8).
fn is_young(
    epoch: u64,
    set: &IndexSet,
    infos: &HashMap<BlobId, BlobInfo>,
    parameters: &EpochParameters,
) -> bool {
    let IndexSet::Epochs(listing) = set else { return false };
    let time = |blob: &BlobId| infos.get(blob).map_or(0, |info| info.modified.unix_nanos());
    let of_epoch = listing.singles.iter().filter(|blob| epoch::epoch_number(blob) == Some(epoch));
    let compacted: i64 = of_epoch.map(time).min().unwrap_or(0);
    let newest = listing.sessions.iter().map(time).max().unwrap_or(0);
    compacted > 0 && newest < compacted.saturating_add(parameters.cleanup_safety_margin_ns)
}

fn by_name(listed: Vec<BlobInfo>) -> HashMap<BlobId, BlobInfo> {
    listed.into_iter().map(|blob| (blob.id.clone(), blob)).collect()
}

async fn read_index_blob(
    blobs: &Arc<dyn BlobReader>,
    traffic: &TrafficCounters,
    id: BlobId,
) -> (BlobId, std::result::Result<Vec<u8>, BlobError>) {
    let read = blobs.read(&id, None, Vec::new()).await;
    traffic.count(read.as_ref().map_or(0, |b| b.len() as u64));
    (id, read)
}

async fn list(blobs: &Arc<dyn BlobReader>, prefix: &str, traffic: &TrafficCounters) -> Result<Vec<BlobInfo>> {
    traffic.count(0);
    blobs.list(prefix).await.map_err(|e| Error::storage(e, "cannot list the repository"))
}

fn not_merged(e: IndexError) -> Error {
    Error::new(ErrorKind::Storage, "the index cannot be merged").because(e)
}

fn damaged(id: &BlobId, e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Corrupt, format!("index blob {id} is damaged")).in_pack(id).because(e)
}
