//! Reads many contents by id in one round: the path of metadata (directories, seek tables, manifests).

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use rekopia_blob::coalesce::{Request, coalesce};
use rekopia_blob::{BlobError, BlobReader};
use rekopia_format::compression::Decoder;
use rekopia_format::{BlobId, ContentId, ContentOpener};

use super::index::{ContentIndex, Location, PackIdx};
use super::metadata_blocks::MetadataBlocks;
use super::repairs::Repairs;
use super::traffic::TrafficCounters;
use crate::error::{Error, ErrorKind, Result};

/// A frozen index and the means to read what it points to.
#[derive(Clone)]
pub(crate) struct Contents {
    pub(crate) blobs: Arc<dyn BlobReader>,
    pub(crate) opener: Arc<ContentOpener>,
    pub(crate) index: Arc<ContentIndex>,
    /// Index blobs that could not be read.
    pub(crate) damage: Arc<[Error]>,
    pub(crate) traffic: Arc<TrafficCounters>,
    pub(crate) blocks: Arc<MetadataBlocks>,
    pub(crate) repairs: Arc<Repairs>,
    /// Whether the keyed hash of each content that is read is compared, too: then nothing that is read can contain
    /// itself.
    pub(crate) hashes: bool,
}

/// Plaintext bytes that are decoded where they are asked for: that takes some microseconds.
const INLINE: u64 = 16 << 10;
/// Requests of one round in flight: their answers are in memory together.
const MOST_READS: usize = 32;
/// The longest request of a metadata round.
const MAX_REQUEST: u64 = 4 << 20;

impl Contents {
    /// Returns where a content is.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the index does not have it; those of [`ContentIndex::find`].
    pub(crate) fn locate(&self, id: &ContentId) -> Result<Location> {
        self.index.find(id)?.ok_or_else(|| Error::new(ErrorKind::Corrupt, "not in the index").of_content(id))
    }

    /// Returns the plaintext bytes of a content; 0 when the content cannot be located, which is found out when it is
    /// read.
    pub(crate) fn plain_len(&self, id: &ContentId) -> u64 {
        self.locate(id).map_or(0, |location| u64::from(location.packed.original_len))
    }

    /// Reads one content.
    pub(crate) async fn read(&self, id: &ContentId) -> Result<Vec<u8>> {
        let mut round = self.read_round(std::slice::from_ref(id)).await;
        round.remove(id).unwrap_or_else(|| Err(Error::internal("a content got lost")))
    }

    /// Reads the contents of one round together: neighbours in a pack share a request. Each has a result of its own.
    /// Bytes that are not what they should be are asked for once more: they may have been damaged on their way.
    pub(crate) async fn read_round(&self, ids: &[ContentId]) -> HashMap<ContentId, Result<Vec<u8>>> {
        let mut results = self.read_once(ids).await;
        let is_damaged = |result: &Result<Vec<u8>>| result.as_ref().is_err_and(|e| e.is_bad_data());
        let damaged: Vec<ContentId> =
            results.iter().filter(|(_, result)| is_damaged(result)).map(|(id, _)| *id).collect();
        for id in damaged {
            if let Ok(location) = self.locate(&id) {
                self.blobs.distrust(self.index.pack(location.pack));
                self.blocks.forget(location.pack);
                results.extend(self.read_singly(location.pack, vec![(location, id)]).await);
            }
        }
        results
    }

    async fn read_once(&self, ids: &[ContentId]) -> HashMap<ContentId, Result<Vec<u8>>> {
        let mut results = HashMap::with_capacity(ids.len());
        let mut wanted: Vec<(Location, ContentId)> = Vec::with_capacity(ids.len());
        for id in ids {
            match self.locate(id) {
                Ok(location) => wanted.push((location, *id)),
                Err(e) => drop(results.insert(*id, Err(e))),
            }
        }
        wanted.sort_unstable_by_key(|(l, id)| (l.pack, l.offset, *id));
        wanted.dedup_by_key(|(_, id)| *id);
        let profile = self.blobs.profile();
        let mut reads = Vec::new();
        for of_pack in wanted.chunk_by(|a, b| a.0.pack == b.0.pack) {
            let widen =
                |l: &Location| if profile.local { l.range() } else { self.blocks.widen(&self.index, l) };
            let ranges: Vec<_> = of_pack.iter().map(|(l, _)| widen(l)).collect();
            for request in coalesce(&ranges, profile.gap, MAX_REQUEST) {
                reads.push((of_pack[0].0.pack, request.clone(), of_pack[request.covers.clone()].to_vec()));
            }
        }
        let mut done = futures::stream::iter(reads)
            .map(|(pack, request, of_request)| self.read_request(pack, request, of_request))
            .buffer_unordered(profile.in_flight.clamp(1, MOST_READS));
        while let Some(part) = done.next().await {
            results.extend(part);
        }
        results
    }

    async fn read_request(
        &self,
        pack: PackIdx,
        request: Request,
        wanted: Vec<(Location, ContentId)>,
    ) -> Vec<(ContentId, Result<Vec<u8>>)> {
        let name = self.index.pack(pack).clone();
        let exact = matches!(wanted.as_slice(), [(only, _)] if only.range() == request.range);
        let found = match self.blocks.find(pack, &request.range) {
            Some(found) => Ok(found),
            None => {
                let read = self.blobs.read(&name, Some(request.range.clone()), Vec::new()).await;
                self.traffic.count(read.as_ref().map_or(0, |b| b.len() as u64));
                read.map(|bytes| (request.range.start, Arc::new(bytes)))
            }
        };
        let (start, bytes) = match found {
            Ok((start, bytes)) => {
                if !exact {
                    self.blocks.keep(pack, start, &bytes);
                }
                (start, bytes)
            }
            // A short pack must not take down the contents that it still has.
            Err(_) if !exact => return self.read_singly(pack, wanted).await,
            Err(e) => {
                let failed = |(_, id): &(Location, ContentId)| (*id, Err(missing(&e, id, &name)));
                return wanted.iter().map(failed).collect();
            }
        };
        let ids: Vec<ContentId> = wanted.iter().map(|(_, id)| *id).collect();
        let plain: u64 = wanted.iter().map(|(location, _)| u64::from(location.packed.original_len)).sum();
        let own = self.clone();
        let decode = move || own.decoded(&name, start, &bytes, wanted);
        // A chain of small directories would spend its time between threads.
        if plain <= INLINE {
            return decode();
        }
        tokio::task::spawn_blocking(decode).await.unwrap_or_else(|_| {
            ids.into_iter().map(|id| (id, Err(Error::internal("a decoding thread panicked")))).collect()
        })
    }

    async fn read_singly(
        &self,
        pack: PackIdx,
        wanted: Vec<(Location, ContentId)>,
    ) -> Vec<(ContentId, Result<Vec<u8>>)> {
        let mut results = Vec::new();
        for one in wanted {
            let request = Request { range: one.0.range(), covers: 0..1 };
            results.extend(Box::pin(self.read_request(pack, request, vec![one])).await);
        }
        results
    }

    /// Decodes the contents in `bytes`, which begin `start` bytes into the pack.
    fn decoded(
        &self,
        pack: &BlobId,
        start: u64,
        bytes: &[u8],
        wanted: Vec<(Location, ContentId)>,
    ) -> Vec<(ContentId, Result<Vec<u8>>)> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        let mut results = Vec::with_capacity(wanted.len());
        // Opening decrypts in place, which would spoil overlapping ranges: each content gets its own copy.
        let mut own = Vec::new();
        for (location, id) in wanted {
            let range = location.range();
            let slice = &bytes[(range.start - start) as usize..(range.end - start) as usize];
            own.clear();
            own.extend_from_slice(slice);
            let mut damaged = 0;
            let packed = &location.packed;
            let opened =
                self.opener.open_and_count(&id, packed, &mut own, &mut decoder, &mut out, &mut damaged);
            self.repairs.note(pack, damaged);
            let checked = opened.and_then(|plain| match self.hashes {
                true => self.opener.verify_hash(&id, plain).map(|()| plain),
                false => Ok(plain),
            });
            results.push((id, checked.map(<[u8]>::to_vec).map_err(|e| corrupt(e, &id).in_pack(pack))));
        }
        results
    }
}

/// Makes the error for a content that does not decode.
pub(crate) fn corrupt(e: rekopia_format::content::Error, id: &ContentId) -> Error {
    use rekopia_format::{compression, content};
    if matches!(e, content::Error::Compression(compression::Error::NotBuilt(_))) {
        return Error::new(ErrorKind::UnsupportedFormat, "unreadable data").of_content(id).because(e);
    }
    Error::bad_data("damaged data").of_content(id).because(e)
}

/// Makes the error for a content whose pack cannot be read.
pub(crate) fn missing(e: &BlobError, id: &ContentId, pack: &BlobId) -> Error {
    let kind = match e.kind() {
        rekopia_blob::BlobErrorKind::NotFound
        | rekopia_blob::BlobErrorKind::Truncated
        | rekopia_blob::BlobErrorKind::Damaged => ErrorKind::Corrupt,
        rekopia_blob::BlobErrorKind::Archived => ErrorKind::Archived,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, "cannot be read").of_content(id).in_pack(pack).because(e.to_string())
}
