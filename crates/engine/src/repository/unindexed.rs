//! Looks into packs in no index: usual while a backup runs or after one was interrupted. They are looked into when
//! something was not found, before that is said.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use rekopia_blob::BlobInfo;
use rekopia_format::snapshot::Snapshot;
use rekopia_format::{BlobId, ObjectId};

use super::Repository;
use super::contents::Contents;
use super::index::{ContentIndex, IndexBuilder, IndexLimit};
use super::near::below;
use super::reference::{Reference, RootReference};
use super::salvage::{Scanned, Scanner};
use super::snapshots::Snapshots;
use crate::error::{Error, ErrorKind, Result};
use crate::hint::Hint;
use crate::observer::{Observer, Silent};

/// The metadata packs that no index blob names, and what these packs hold.
#[derive(Debug, Default)]
pub struct Unindexed {
    packs: u64,
    unreadable: Vec<Error>,
    snapshots: Snapshots,
    /// Packs with manifests that no index leads to.
    manifests: BTreeSet<BlobId>,
    index: Option<Arc<ContentIndex>>,
}

impl Unindexed {
    /// Returns how many such packs there are.
    pub fn packs(&self) -> u64 {
        self.packs
    }

    /// Returns how many such packs there are, in words; `None` when there is none.
    pub fn counted(&self) -> Option<String> {
        match self.packs {
            0 => None,
            1 => Some("1 pack is in no index".to_owned()),
            n => Some(format!("{n} packs are in no index")),
        }
    }

    /// Returns why some of the packs cannot be read: what they hold is not known.
    pub fn unreadable(&self) -> &[Error] {
        &self.unreadable
    }

    /// Returns the snapshots in these packs.
    pub fn snapshots(&self) -> &[Snapshot] {
        self.snapshots.all()
    }

    /// Returns the packs that hold manifests, as far as these cannot have been deleted and dropped from the index
    /// since. A backup that is interrupted leaves none, but in the moment between its last packs and their index blob.
    pub(crate) fn manifests(&self) -> &BTreeSet<BlobId> {
        &self.manifests
    }

    /// Returns what to say of `not_found`, now that what is asked for was found in these packs, or was not.
    fn judge(&self, not_found: Error, found: Option<&Snapshot>, is_object: bool) -> Error {
        let Some(packs) = self.counted() else { return not_found };
        let holds = match (found, self.unreadable.first()) {
            (Some(s), _) => format!("snapshot {} of {}", s.id, s.source),
            (None, _) if is_object => "it".to_owned(),
            (None, Some(e)) => {
                let what =
                    format!("{not_found}; {packs}, and it may be in one that cannot be read: {}", e.chain());
                return Error::new(ErrorKind::Corrupt, what);
            }
            (None, None) => {
                return not_found.and(&format!(
                    "{packs} (a backup is running, or was interrupted); it is in none of them"
                ));
            }
        };
        let what =
            format!("{not_found}; {packs}, one holds {holds}: index blobs are missing; salvage reads them");
        Error::new(ErrorKind::Corrupt, what).with_hint(Hint::Salvage)
    }

    /// Whether one of the packs holds this object.
    pub(crate) fn has(&self, object: &ObjectId) -> Result<bool> {
        match &self.index {
            Some(index) => Ok(index.find(object.content())?.is_some()),
            None => Ok(false),
        }
    }
}

impl Repository {
    /// Looks for what was not found in packs that no index names; `not_found` becomes damage only when it is there, or
    /// when such a pack cannot be read.
    pub(crate) async fn beyond(&self, not_found: Error, reference: &Reference) -> Error {
        if not_found.kind() != ErrorKind::NotFound {
            return not_found;
        }
        if let Some(blob) = self.lost_sessions().first() {
            let what = format!(
                "{not_found}; it may have been in a pack that is lost: index blob {blob} cannot be read, and no \
                metadata pack of its session is there"
            );
            return Error::new(ErrorKind::Corrupt, what);
        }
        if self.salvages {
            return not_found;
        }
        let unindexed = match self.unindexed().await {
            Ok(unindexed) => unindexed,
            Err(e) => return e,
        };
        let is_meant = |snapshot: &Snapshot| match &reference.root {
            RootReference::Id(id) => {
                snapshot.id.as_str() == id || id.len() >= 8 && snapshot.id.as_str().starts_with(id)
            }
            RootReference::Latest => true,
            RootReference::Identity { user, host } => {
                snapshot.source.user == *user && snapshot.source.host == *host
            }
            RootReference::Path(path) => below(&snapshot.source.path, path).is_some(),
            RootReference::Source(source) => {
                let same = snapshot.source.user == source.user && snapshot.source.host == source.host;
                same && below(&snapshot.source.path, &source.path).is_some()
            }
        };
        let is_object = match &reference.root {
            RootReference::Id(id) => ObjectId::parse(id).is_ok_and(|id| unindexed.has(&id).unwrap_or(false)),
            _ => false,
        };
        let found =
            unindexed.snapshots().iter().filter(|snapshot| is_meant(snapshot)).max_by_key(|s| s.start);
        unindexed.judge(not_found, found, is_object)
    }

    /// Reads the ends of all packs, and keeps nothing of what they say of contents.
    ///
    /// # Errors
    /// When the storage cannot be listed, or no pack can be read because the storage fails.
    pub(crate) async fn scan_packs(&self, observer: &dyn Observer) -> Result<Scanned> {
        let contents = self.contents();
        let traffic = &contents.traffic;
        let scanner =
            Scanner { blobs: &contents.blobs, opener: &contents.opener, traffic, observer, keep: None };
        scanner.scan(&Arc::new(Mutex::new(IndexBuilder::new(self.index_limit.clone())))).await
    }

    /// Looks into metadata packs that no index blob names: one listing, and a request or two for each such pack.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn unindexed(&self) -> Result<Unindexed> {
        let listed = self.contents();
        let traffic = &listed.traffic;
        let scanner =
            Scanner { blobs: &listed.blobs, opener: &listed.opener, traffic, observer: &Silent, keep: None };
        let mut packs = scanner.list('q').await?;
        let keep_unindexed = |packs: &mut Vec<BlobInfo>, index: &ContentIndex| {
            let indexed = index.indexed_packs();
            packs.retain(|pack| !indexed.contains(&pack.id));
        };
        keep_unindexed(&mut packs, &listed.index);
        if packs.is_empty() {
            return Ok(Unindexed::default());
        }
        // A backup may have ended since the index was read.
        self.reload_index().await?;
        let contents = self.contents();
        keep_unindexed(&mut packs, &contents.index);
        if packs.is_empty() {
            return Ok(Unindexed::default());
        }
        let known = Arc::clone(&contents.index);
        let count = packs.len() as u64;
        let watermark_ns =
            i64::try_from(self.opening().watermark.unwrap_or(0)).unwrap_or(0).saturating_mul(1_000_000_000);
        let late = packs
            .iter()
            .filter(|pack| pack.modified.unix_nanos() == 0 || pack.modified.unix_nanos() > watermark_ns);
        let late: HashSet<BlobId> = late.map(|pack| pack.id.clone()).collect();
        let builder = Arc::new(Mutex::new(IndexBuilder::new(IndexLimit::default())));
        let scanned = scanner.scan_these(packs, &builder).await?;
        let builder = Arc::into_inner(builder).and_then(|lock| lock.into_inner().ok());
        let builder = builder.ok_or_else(|| Error::internal("index in use"))?;
        let index = builder.freeze(None).map_err(|e| Error::internal(e.to_string()))?;
        let index = Arc::new(index);
        let inside = Contents {
            index: Arc::clone(&index),
            damage: Arc::default(),
            blocks: Arc::default(),
            ..contents
        };
        let snapshots = Snapshots::read(&inside, self.salvages).await?;
        let damaged = snapshots.damage().iter().map(Error::again);
        let unreadable = scanned.unreadable.into_iter().map(|(_, e)| e).chain(damaged).collect();
        let mut manifests = BTreeSet::new();
        for id in index.local_manifest_contents()? {
            if known.find(&id)?.is_none() {
                manifests.extend(index.find(&id)?.map(|location| index.pack(location.pack).clone()));
            }
        }
        manifests.retain(|pack| late.contains(pack));
        Ok(Unindexed { packs: count, unreadable, snapshots, manifests, index: Some(index) })
    }
}
