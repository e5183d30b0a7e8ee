//! Whether everything of a tree is there, as far as listings tell.

use rekopia_format::directory::{Entry, EntryKind};
use rekopia_format::snapshot::Snapshot;

use super::Repository;
use super::listed_packs::ListedPacks;
use super::read_ahead::ReadAhead;
use super::snapshots::Snapshots;
use crate::error::{Error, ErrorKind, Result};

impl Repository {
    /// Whether a snapshot that no index leads to ([`Snapshots::is_salvaged`]) may be taken for the newest: every listing of
    /// it is read, and of every content it is known that its pack is there and long enough. Others are not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] with the first thing that is missing; a storage's errors as they are.
    pub async fn check_salvaged(&self, snapshots: &Snapshots, snapshot: &Snapshot) -> Result<()> {
        match &snapshot.root {
            Some(root) if snapshots.is_salvaged(snapshot) => self.check_whole(root).await,
            _ => Ok(()),
        }
    }

    async fn check_whole(&self, root: &Entry) -> Result<()> {
        let packs = ListedPacks::read(self).await?;
        let mut ahead = ReadAhead::default();
        let mut waiting = vec![root.clone()];
        while let Some(entry) = waiting.pop() {
            match entry.kind {
                EntryKind::Directory => self.for_each_entry(&entry, |child| waiting.push(child)).await?,
                _ => check_object(&packs, &mut ahead, &entry).await?,
            }
        }
        Ok(())
    }
}

async fn check_object(packs: &ListedPacks, ahead: &mut ReadAhead, entry: &Entry) -> Result<()> {
    let Some(object) = &entry.object else {
        return match entry.kind {
            EntryKind::File => Err(Error::new(ErrorKind::Corrupt, "a file without an object")),
            _ => Ok(()),
        };
    };
    packs.check_object(object, ahead).await
}
