//! Tells what the packs' own indexes made up for, and what they did not.

use std::collections::HashSet;

use rekopia_blob::BlobId;

use super::super::index::ContentIndex;
use super::scan::Scanned;
use crate::error::Error;
use crate::observer::{Event, Observer};

/// What the packs' own indexes made up for.
#[derive(Debug)]
pub(crate) struct Salvaged {
    /// Packs that are there.
    pub(crate) packs: u64,
    /// Number of packs that are there and that no index blob names.
    pub(crate) unindexed: u64,
    /// Blobs that hold another pack than their name says.
    pub(crate) misnamed: Vec<BlobId>,
    /// Index blobs that cannot be read, and that the packs' own indexes stand in for.
    pub(crate) replaced: Vec<Error>,
    /// Blobs among the replaced ones of sessions of which no metadata pack is there: any snapshot that they named is
    /// lost.
    pub(crate) unaccounted: Vec<BlobId>,
}

/// Returns the session that wrote a blob, by its name: `xn0_…-sSESSION-c1`, `q…-sSESSION`.
fn session(id: &BlobId) -> Option<&str> {
    let (_, rest) = id.as_str().split_once("-s")?;
    rest.split('-').next()
}

impl Salvaged {
    /// Judges a scan: with the packs' own indexes, bad index blobs (`damage`) hide nothing, unless packs cannot be read
    /// that perhaps only they name: these are damage then, too.
    pub(crate) fn of(index: &ContentIndex, damage: &mut Vec<Error>, scanned: Scanned) -> Self {
        let indexed = index.indexed_packs();
        let unindexed = scanned.packs.iter().filter(|pack| !indexed.contains(&pack.id)).count() as u64;
        let is_whole = damage.is_empty();
        let unread = scanned.unreadable.into_iter().filter(|(id, _)| !is_whole || !indexed.contains(id));
        let unread: Vec<Error> = unread.map(|(_, e)| e).collect();
        let replaced = if unread.is_empty() { std::mem::take(damage) } else { Vec::new() };
        damage.extend(unread);
        let metadata = scanned.packs.iter().filter(|pack| pack.id.as_str().starts_with('q'));
        let sessions: HashSet<&str> = metadata.filter_map(|pack| session(&pack.id)).collect();
        let names = replaced.iter().filter_map(Error::pack);
        // Compactions are written by sessions that back up nothing.
        let of_sessions = names.filter(|id| id.as_str().starts_with("xn") || id.as_str().starts_with('n'));
        let lost = of_sessions.filter(|id| session(id).is_some_and(|session| !sessions.contains(session)));
        let unaccounted = lost.cloned().collect();
        Salvaged {
            packs: scanned.packs.len() as u64,
            unindexed,
            misnamed: scanned.misnamed,
            replaced,
            unaccounted,
        }
    }

    /// Tells the observer what was found.
    pub(crate) fn tell(&self, observer: &dyn Observer) {
        let warn = |message| observer.event(Event::Warning { message });
        for e in &self.replaced {
            warn(format!("{}; what it named is read from the packs' own indexes", e.chain()));
        }
        for blob in &self.unaccounted {
            warn(format!(
                "no metadata pack of the session of index blob {blob} is there: a snapshot that it named is lost"
            ));
        }
        for blob in &self.misnamed {
            warn(format!(
                "blob {blob} holds another pack than its name says: its own index tells what is in it"
            ));
        }
        if self.unindexed > 0 {
            let (n, all) = (self.unindexed, self.packs);
            warn(format!(
                "{n} of {all} packs are in no index: what only they hold is found by their own indexes"
            ));
        }
    }
}
