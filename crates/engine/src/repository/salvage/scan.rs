//! Adds the entries of every pack's own index to the index.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use rekopia_blob::{BlobId, BlobInfo, BlobReader};
use rekopia_format::ContentOpener;
use rekopia_format::index::IndexFile;
use rekopia_format::index_blob::has_iv;
use rekopia_format::pack::PREFIXES;

use super::super::index::{IndexBuilder, IndexError};
use super::super::traffic::TrafficCounters;
use super::kept::{KeptEnds, PackEnd};
use super::pack_end::PackEnds;
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Event, Observer, Pace, Phase, Progress};

/// Reads the ends of all packs.
pub(crate) struct Scanner<'a> {
    pub(crate) blobs: &'a Arc<dyn BlobReader>,
    pub(crate) opener: &'a Arc<ContentOpener>,
    pub(crate) traffic: &'a TrafficCounters,
    pub(crate) observer: &'a dyn Observer,
    /// The file where the ends of packs are kept for the next scan.
    pub(crate) keep: Option<Keep<'a>>,
}

/// The file where the ends of packs are kept, and the repository that they are of.
#[derive(Clone, Copy)]
pub(crate) struct Keep<'a> {
    pub(crate) path: &'a Path,
    pub(crate) unique_id: &'a [u8],
}

/// The findings of a scan, beside entries.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Packs that are there.
    pub(crate) packs: Vec<BlobInfo>,
    /// Packs whose own index cannot be read.
    pub(crate) unreadable: Vec<(BlobId, Error)>,
    /// Blobs that hold another pack than their name says.
    pub(crate) misnamed: Vec<BlobId>,
}

/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(200);

impl Scanner<'_> {
    /// Adds the entries of all packs' own indexes. What cannot be read is part of the answer.
    ///
    /// # Errors
    /// When the storage cannot be listed, no pack can be read because the storage fails, or the file for the next scan
    /// is not one.
    pub(crate) async fn scan(&self, builder: &Arc<Mutex<IndexBuilder>>) -> Result<Scanned> {
        self.observer.event(Event::Phase { phase: Phase::Scanning });
        let mut packs = Vec::new();
        for prefix in PREFIXES {
            packs.extend(self.list(prefix).await?);
        }
        let lens: HashMap<BlobId, u64> = packs.iter().map(|pack| (pack.id.clone(), pack.len)).collect();
        locked(builder)?.know_packs(lens);
        let Some(keep) = self.keep else { return self.scan_these(packs, builder).await };
        let (kept, mut known) = self.read_kept(keep, packs.clone(), builder).await?;
        let kept = Arc::new(Mutex::new(Some(kept)));
        let mut scanned = self.read_ends(std::mem::take(&mut known.packs), builder, &kept).await?;
        let kept = kept.lock().map_err(|_| Error::internal("salvage index poisoned"))?.take();
        if let Some(Err(e)) = kept.map(KeptEnds::finish) {
            self.observer.event(Event::Warning { message: not_kept(keep.path, &e) });
        }
        scanned.misnamed.extend(known.misnamed);
        scanned.misnamed.sort_unstable();
        Ok(Scanned { packs, ..scanned })
    }

    /// Adds what an earlier scan has kept of these packs; gives the file, and the packs that it does not know.
    async fn read_kept(
        &self,
        keep: Keep<'_>,
        packs: Vec<BlobInfo>,
        builder: &Arc<Mutex<IndexBuilder>>,
    ) -> Result<(KeptEnds, Scanned)> {
        let (path, unique_id) = (keep.path.to_owned(), keep.unique_id.to_vec());
        let (opener, builder) = (Arc::clone(self.opener), Arc::clone(builder));
        let read = tokio::task::spawn_blocking(move || {
            let mut left: HashMap<BlobId, BlobInfo> =
                packs.into_iter().map(|pack| (pack.id.clone(), pack)).collect();
            let mut misnamed = Vec::new();
            let kept = KeptEnds::open(&path, &unique_id, |end| {
                if left.get(&end.id).is_none_or(|pack| pack.len != end.pack_len) {
                    return;
                }
                // An end that is not what was written is read from its pack again.
                let plain = end.open(&opener).ok();
                if let Some(is_misnamed) =
                    plain.and_then(|plain| enter(&plain, &end.id, &opener, &builder).ok())
                {
                    left.remove(&end.id);
                    misnamed.extend(is_misnamed.then_some(end.id));
                }
            })?;
            let packs = left.into_values().collect();
            Ok((kept, Scanned { packs, misnamed, ..Scanned::default() }))
        });
        read.await.map_err(|_| Error::internal("reading the salvage index panicked"))?
    }

    /// Adds the entries of these packs' own indexes, as [`scan`](Self::scan) does.
    pub(crate) async fn scan_these(
        &self,
        packs: Vec<BlobInfo>,
        builder: &Arc<Mutex<IndexBuilder>>,
    ) -> Result<Scanned> {
        self.read_ends(packs, builder, &Arc::default()).await
    }

    async fn read_ends(
        &self,
        packs: Vec<BlobInfo>,
        builder: &Arc<Mutex<IndexBuilder>>,
        kept: &Arc<Mutex<Option<KeptEnds>>>,
    ) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let mut ticker = Ticker::new(packs.len());
        let in_flight = self.blobs.profile().in_flight.clamp(4, 128);
        let all = packs.clone();
        let reads = futures::stream::iter(all).map(|pack| self.add(pack, builder, kept));
        let mut results = reads.buffer_unordered(in_flight);
        while let Some((id, result)) = results.next().await {
            match result {
                Ok(true) => scanned.misnamed.push(id),
                Ok(false) => {}
                Err(e) if e.kind() == ErrorKind::Internal => return Err(e),
                Err(e) => scanned.unreadable.push((id, e)),
            }
            ticker.tick(self.observer, self.traffic);
        }
        let is_storage = |(_, e): &(BlobId, Error)| e.kind() != ErrorKind::Corrupt;
        if !packs.is_empty()
            && scanned.unreadable.len() == packs.len()
            && scanned.unreadable.iter().all(is_storage)
        {
            return Err(scanned.unreadable.remove(0).1);
        }
        scanned.unreadable.sort_by(|(a, _), (b, _)| a.cmp(b));
        scanned.misnamed.sort_unstable();
        Ok(Scanned { packs, ..scanned })
    }

    /// Returns the packs whose names begin with this letter.
    pub(crate) async fn list(&self, prefix: char) -> Result<Vec<BlobInfo>> {
        self.traffic.count(0);
        let listed = self.blobs.list(prefix.encode_utf8(&mut [0; 4])).await;
        let mut packs = listed.map_err(|e| Error::storage(e, "cannot list the packs of the repository"))?;
        // Other folders have names that begin so, too.
        packs.retain(|pack| has_iv(&pack.id));
        Ok(packs)
    }

    /// Adds what a pack says; returns whether it is another one than its name says.
    async fn add(
        &self,
        pack: BlobInfo,
        builder: &Arc<Mutex<IndexBuilder>>,
        kept: &Arc<Mutex<Option<KeptEnds>>>,
    ) -> (BlobId, Result<bool>) {
        let ends = PackEnds { blobs: self.blobs, opener: self.opener, traffic: self.traffic };
        let added = match ends.local_index(&pack).await {
            Ok((end, plain)) => {
                let (opener, builder, kept) =
                    (Arc::clone(self.opener), Arc::clone(builder), Arc::clone(kept));
                let entered = tokio::task::spawn_blocking(move || {
                    let entered = enter(&plain, &end.id, &opener, &builder)?;
                    Ok((entered, keep(&end, &kept)))
                });
                entered.await.unwrap_or_else(|_| Err(Error::internal("reading the index of a pack panicked")))
            }
            Err(e) => Err(e),
        };
        let added = added.map(|(is_misnamed, failed)| {
            failed.into_iter().for_each(|message| self.observer.event(Event::Warning { message }));
            is_misnamed
        });
        (pack.id, added)
    }
}

/// Adds the entries of a pack's own index; returns whether it is another pack than its name says.
fn enter(plain: &[u8], id: &BlobId, opener: &ContentOpener, builder: &Mutex<IndexBuilder>) -> Result<bool> {
    let damaged = |e: IndexError| {
        let what = format!("the index that pack {id} has of itself is damaged");
        Error::new(ErrorKind::Corrupt, what).in_pack(id).because(e)
    };
    let overhead = u32::try_from(opener.overhead()).unwrap_or(0);
    let file = IndexFile::parse(plain, overhead).map_err(|e| damaged(e.into()))?;
    locked(builder)?.add_local(&file, id).map_err(damaged)
}

/// Keeps the end of a pack for the next scan. Where that fails nothing more is kept, and the reason is returned.
fn keep(end: &PackEnd, kept: &Mutex<Option<KeptEnds>>) -> Option<String> {
    let mut kept = kept.lock().ok()?;
    let e = kept.as_mut()?.add(end).err()?;
    let failed = kept.take()?;
    Some(not_kept(failed.path(), &e))
}

fn not_kept(path: &Path, e: &std::io::Error) -> String {
    format!("the salvage index {} is not whole, the next scan reads the rest again: {e}", path.display())
}

fn locked(builder: &Mutex<IndexBuilder>) -> Result<std::sync::MutexGuard<'_, IndexBuilder>> {
    builder.lock().map_err(|_| Error::internal("index table poisoned"))
}

/// Tells how far the scan is.
struct Ticker {
    progress: Progress,
    pace: Pace,
    last: Instant,
}

impl Ticker {
    fn new(packs: usize) -> Self {
        let progress = Progress { total_entries: packs as u64, ..Progress::default() };
        Ticker { progress, pace: Pace::default(), last: Instant::now() }
    }

    fn tick(&mut self, observer: &dyn Observer, traffic: &TrafficCounters) {
        let progress = &mut self.progress;
        progress.entries += 1;
        let now = Instant::now();
        if now.duration_since(self.last) < REPORT_EVERY && progress.entries < progress.total_entries {
            return;
        }
        self.last = now;
        let rate = self.pace.rate(now, progress.entries);
        progress.eta_seconds = (progress.total_entries - progress.entries).checked_div(rate);
        (progress.requests, progress.fetched_bytes) = traffic.sums();
        observer.event(Event::Progress(*progress));
    }
}
