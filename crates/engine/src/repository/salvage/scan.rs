//! Every pack's own index → entries of the index.

use std::collections::HashMap;
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
use super::pack_end::PackEnds;
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Event, Observer, Pace, Phase, Progress};

/// Reads the ends of all packs.
pub(crate) struct Scanner<'a> {
    pub(crate) blobs: &'a Arc<dyn BlobReader>,
    pub(crate) opener: &'a Arc<ContentOpener>,
    pub(crate) traffic: &'a TrafficCounters,
    pub(crate) observer: &'a dyn Observer,
}

/// What a scan found beside entries.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Packs that are there.
    pub(crate) packs: Vec<BlobInfo>,
    /// Packs whose own index cannot be read.
    pub(crate) unreadable: Vec<(BlobId, Error)>,
    /// Blobs that hold another pack than their name says.
    pub(crate) misnamed: Vec<BlobId>,
}

/// Between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(200);

impl Scanner<'_> {
    /// Adds the entries of all packs' own indexes. What cannot be read is part of the answer.
    ///
    /// # Errors
    /// When the storage cannot be listed, or no pack can be read because the storage fails.
    pub(crate) async fn scan(&self, builder: &Arc<Mutex<IndexBuilder>>) -> Result<Scanned> {
        self.observer.event(Event::Phase { phase: Phase::Scanning });
        let mut packs = Vec::new();
        for prefix in PREFIXES {
            packs.extend(self.list(prefix).await?);
        }
        let lens: HashMap<BlobId, u64> = packs.iter().map(|pack| (pack.id.clone(), pack.len)).collect();
        locked(builder)?.know_packs(lens);
        self.scan_these(packs, builder).await
    }

    /// Adds the entries of these packs' own indexes, as [`scan`](Self::scan) does.
    pub(crate) async fn scan_these(
        &self,
        packs: Vec<BlobInfo>,
        builder: &Arc<Mutex<IndexBuilder>>,
    ) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let mut ticker = Ticker::new(packs.len());
        let in_flight = self.blobs.profile().in_flight.clamp(4, 128);
        let all = packs.clone();
        let reads = futures::stream::iter(all).map(|pack| self.add(pack, builder));
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

    /// The packs whose names begin with this letter.
    pub(crate) async fn list(&self, prefix: char) -> Result<Vec<BlobInfo>> {
        self.traffic.count(0);
        let listed = self.blobs.list(prefix.encode_utf8(&mut [0; 4])).await;
        let mut packs = listed.map_err(|e| Error::storage(e, "cannot list the packs of the repository"))?;
        // Other folders have names that begin so, too.
        packs.retain(|pack| has_iv(&pack.id));
        Ok(packs)
    }

    /// Adds what one pack says; tells whether it is another one than its name says.
    async fn add(&self, pack: BlobInfo, builder: &Arc<Mutex<IndexBuilder>>) -> (BlobId, Result<bool>) {
        let added = self.try_add(&pack, builder).await;
        (pack.id, added)
    }

    async fn try_add(&self, pack: &BlobInfo, builder: &Arc<Mutex<IndexBuilder>>) -> Result<bool> {
        let ends = PackEnds { blobs: self.blobs, opener: self.opener, traffic: self.traffic };
        let plain = ends.local_index(pack).await?;
        let overhead = u32::try_from(self.opener.overhead()).unwrap_or(0);
        let (id, builder) = (pack.id.clone(), Arc::clone(builder));
        let added = tokio::task::spawn_blocking(move || {
            let damaged = |e: IndexError| {
                let what = format!("the index that pack {id} has of itself is damaged");
                Error::new(ErrorKind::Corrupt, what).in_pack(&id).because(e)
            };
            let file = IndexFile::parse(&plain, overhead).map_err(|e| damaged(e.into()))?;
            locked(&builder)?.add_local(&file, &id).map_err(damaged)
        });
        added.await.map_err(|_| Error::internal(format!("reading the index of pack {} panicked", pack.id)))?
    }
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
