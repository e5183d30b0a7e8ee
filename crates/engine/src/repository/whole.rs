//! Finds out whether everything of a snapshot is there, as far as listings tell.

use rekopia_format::snapshot::Snapshot;

use super::Repository;
use super::listed_packs::ListedPacks;
use super::snapshots::Snapshots;
use super::trees::Trees;
use crate::error::{Error, ErrorKind, Result};

impl Repository {
    /// Refuses a snapshot that no index leads to ([`Snapshots::is_salvaged`]), unless it may be taken for the newest:
    /// every listing of it is read, and of every content it is known that its pack is there and long enough. Others are
    /// not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] with the first thing that is missing, or that the storage does not give.
    pub async fn check_salvaged(&self, snapshots: &Snapshots, snapshot: &Snapshot) -> Result<()> {
        let Some(root) = snapshot.root.as_ref().filter(|_| snapshots.is_salvaged(snapshot)) else {
            return Ok(());
        };
        let packs = ListedPacks::read(self).await?;
        match Trees::new(&packs).missing(root).await? {
            Some(missing) => Err(Error::new(ErrorKind::Corrupt, missing.to_string())),
            None => Ok(()),
        }
    }
}
