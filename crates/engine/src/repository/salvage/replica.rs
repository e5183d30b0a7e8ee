//! Finds a lost format blob in the copies that packs hold (§2.10).

use std::sync::Arc;

use futures::StreamExt;
use rekopia_blob::{BlobInfo, BlobReader};
use rekopia_format::pack::{PREFIXES, REPLICA_WINDOW, find_format_replica};

use super::super::traffic::TrafficCounters;
use crate::error::{Error, Result};

/// Packs that are looked into: a repository whose packs hold copies has one in each.
const LOOKED_INTO: usize = 64;

/// Returns the bytes of the format blob, and the pack that holds them; `None` when the packs looked into hold none.
///
/// # Errors
/// When the storage cannot be listed.
pub(crate) async fn find_format_blob(
    blobs: &Arc<dyn BlobReader>,
    traffic: &TrafficCounters,
) -> Result<Option<(Vec<u8>, BlobInfo)>> {
    for prefix in PREFIXES {
        traffic.count(0);
        let listed = blobs.list(prefix.encode_utf8(&mut [0; 4])).await;
        let mut packs = listed.map_err(|e| Error::storage(e, "cannot list the packs of the repository"))?;
        // Spread over all of them: neighbours may have the same damage.
        let step = packs.len().div_ceil(LOOKED_INTO).max(1);
        packs.sort_by(|a, b| a.id.cmp(&b.id));
        let some = packs.into_iter().step_by(step).map(|pack| look_into(blobs, traffic, pack));
        let mut found = std::pin::pin!(futures::stream::iter(some).buffer_unordered(8));
        while let Some(found) = found.next().await {
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

async fn look_into(
    blobs: &Arc<dyn BlobReader>,
    traffic: &TrafficCounters,
    pack: BlobInfo,
) -> Option<(Vec<u8>, BlobInfo)> {
    let window = (REPLICA_WINDOW as u64).min(pack.len);
    for range in [0..window, pack.len - window..pack.len] {
        let read = blobs.read(&pack.id, Some(range), Vec::new()).await;
        traffic.count(read.as_ref().map_or(0, |bytes| bytes.len() as u64));
        // A pack that cannot be read says nothing; another one may.
        if let Some(blob) = read.ok().as_deref().and_then(find_format_replica) {
            return Some((blob.to_vec(), pack));
        }
    }
    None
}
