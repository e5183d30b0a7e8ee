//! Reads metadata contents together, before each is asked for.

use std::collections::HashMap;

use rekopia_format::ContentId;

use super::contents::Contents;
use crate::error::Result;

/// Metadata contents that were read ahead, given out once.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    ready: HashMap<ContentId, Result<Vec<u8>>>,
    bytes: u64,
}

impl ReadAhead {
    /// Reads those of `ids` that are not here yet in one round, in order, as far as `max_bytes` allow.
    pub(crate) async fn fill(
        &mut self,
        contents: &Contents,
        ids: impl Iterator<Item = ContentId>,
        max_bytes: u64,
    ) {
        let mut wanted = Vec::new();
        let mut bytes = self.bytes;
        for id in ids {
            if self.ready.contains_key(&id) || wanted.contains(&id) {
                continue;
            }
            bytes += contents.plain_len(&id);
            if bytes > max_bytes && !wanted.is_empty() {
                break;
            }
            wanted.push(id);
        }
        for (id, result) in contents.read_round(&wanted).await {
            self.bytes += result.as_ref().map_or(0, |b| b.len() as u64);
            self.ready.insert(id, result);
        }
    }

    /// Whether `id` was read ahead.
    pub(crate) fn has(&self, id: &ContentId) -> bool {
        self.ready.contains_key(id)
    }

    /// Gives out a content, reading it now if it was not read ahead.
    pub(crate) async fn take(&mut self, contents: &Contents, id: &ContentId) -> Result<Vec<u8>> {
        match self.ready.remove(id) {
            Some(result) => {
                self.bytes = self.bytes.saturating_sub(result.as_ref().map_or(0, |b| b.len() as u64));
                result
            }
            None => contents.read(id).await,
        }
    }
}
