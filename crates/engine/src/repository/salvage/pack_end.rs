//! Reads the index at the end of a pack, as plaintext (§3.8).

use std::sync::Arc;

use rekopia_blob::{BlobError, BlobErrorKind, BlobInfo, BlobReader};
use rekopia_format::ContentOpener;
use rekopia_format::pack::{Postamble, TAIL};

use super::super::traffic::TrafficCounters;
use super::kept::{LONGEST_INDEX, PackEnd};
use crate::error::{Error, ErrorKind, Result};

/// The means to read the ends of packs.
pub(super) struct PackEnds<'a> {
    pub(super) blobs: &'a Arc<dyn BlobReader>,
    pub(super) opener: &'a Arc<ContentOpener>,
    pub(super) traffic: &'a TrafficCounters,
}

/// Bytes that are searched for a local index at most, from the end of a pack: the largest packs that Kopia makes have 120 MB.
const LONGEST_SEARCH: u64 = 256 << 20;
impl PackEnds<'_> {
    /// Reads what is stored of the pack's own index, and its plaintext. One request mostly: the last bytes hold all of
    /// it. A broken end makes it all of the pack.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when there is none that can be read; a storage's errors as they are.
    pub(super) async fn local_index(&self, pack: &BlobInfo) -> Result<(PackEnd, Vec<u8>)> {
        if pack.len == 0 {
            return Err(unreadable(pack, "it is empty".to_owned()));
        }
        let tail_start = pack.len.saturating_sub(TAIL as u64);
        let tail = self.read(pack, tail_start..pack.len).await?;
        let parsed = Postamble::parse(&tail, pack.len);
        let why = match parsed {
            Ok(postamble) => match self.by_postamble(pack, &postamble, &tail).await {
                Ok(found) => return Ok(found),
                Err(e) if e.kind() != ErrorKind::Corrupt => return Err(e),
                Err(e) => e.chain(),
            },
            Err(e) => e.to_string(),
        };
        let start = pack.len.saturating_sub(LONGEST_SEARCH);
        let bytes = match tail_start == start {
            true => tail,
            false => self.read(pack, start..pack.len).await?,
        };
        self.searched(pack, bytes, start).await.ok_or_else(|| unreadable(pack, why))
    }

    async fn by_postamble(
        &self,
        pack: &BlobInfo,
        postamble: &Postamble,
        tail: &[u8],
    ) -> Result<(PackEnd, Vec<u8>)> {
        let stored = match postamble.local_index(tail, pack.len) {
            Some(stored) => stored.to_vec(),
            None if postamble.len > LONGEST_INDEX => {
                return Err(unreadable(pack, format!("it has {} bytes", postamble.len)));
            }
            None => self.read(pack, postamble.offset..postamble.offset + postamble.len).await?,
        };
        let end =
            |stored| PackEnd { id: pack.id.clone(), pack_len: pack.len, iv: postamble.iv.clone(), stored };
        let found = end(stored);
        if let Ok(plain) = found.open(self.opener) {
            return Ok((found, plain));
        }
        // The bytes may have been damaged on their way.
        self.blobs.distrust(&pack.id);
        let again = end(self.read(pack, postamble.offset..postamble.offset + postamble.len).await?);
        let plain = again.open(self.opener).map_err(|e| unreadable(pack, e.to_string()))?;
        Ok((again, plain))
    }

    /// Finds a local index anywhere in these last bytes of a pack.
    async fn searched(&self, pack: &BlobInfo, bytes: Vec<u8>, start: u64) -> Option<(PackEnd, Vec<u8>)> {
        let (opener, id, pack_len) = (Arc::clone(self.opener), pack.id.clone(), pack.len);
        let search = move || {
            let found = Postamble::search(&bytes, start, opener.hash().width());
            found.iter().find_map(|postamble| {
                let from = usize::try_from(postamble.offset.checked_sub(start)?).ok()?;
                let to = from.checked_add(usize::try_from(postamble.len).ok()?)?;
                let (iv, stored) = (postamble.iv.clone(), bytes.get(from..to)?.to_vec());
                let end = PackEnd { id: id.clone(), pack_len, iv, stored };
                end.open(&opener).ok().map(|plain| (end, plain))
            })
        };
        tokio::task::spawn_blocking(search).await.ok().flatten()
    }

    async fn read(&self, pack: &BlobInfo, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        let read = self.blobs.read(&pack.id, Some(range), Vec::new()).await;
        self.traffic.count(read.as_ref().map_or(0, |bytes| bytes.len() as u64));
        read.map_err(|e: BlobError| match e.kind() {
            BlobErrorKind::NotFound | BlobErrorKind::Truncated => unreadable(pack, e.to_string()),
            _ => Error::storage(e, format!("cannot read the end of pack {}", pack.id)),
        })
    }
}

fn unreadable(pack: &BlobInfo, why: String) -> Error {
    let what = format!("the index that pack {} has of itself cannot be read", pack.id);
    Error::new(ErrorKind::Corrupt, what).in_pack(&pack.id).because(why)
}

impl PackEnd {
    /// Opens the plaintext of the index.
    ///
    /// # Errors
    /// When it does not decrypt, or is not what its iv says.
    pub(super) fn open(
        &self,
        opener: &ContentOpener,
    ) -> std::result::Result<Vec<u8>, rekopia_format::content::Error> {
        let mut stored = self.stored.clone();
        let plain = opener.open_blob_range(&self.iv, &mut stored, &mut 0)?;
        stored.truncate(plain.end);
        stored.drain(..plain.start);
        Ok(stored)
    }
}
