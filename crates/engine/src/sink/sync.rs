//! Makes sure that what is written is on the disk.

use std::os::fd::AsFd;

use super::error::SinkError;
use super::state::Sink;

impl Sink {
    /// Forces everything to the disk, with every error since [`Sink::begin`].
    pub(crate) fn sync(&self) -> Result<(), SinkError> {
        match self.sync_root.get() {
            Some(root) => rustix::fs::syncfs(root)
                .map_err(|e| SinkError::sys("syncing", &self.path.to_string_lossy(), e)),
            None => Ok(()),
        }
    }

    /// Forces a file to the disk, where only that tells whether it got there.
    pub(super) fn fdatasync_if_needed(
        &self,
        file: impl AsFd,
        shown: &impl Fn() -> String,
    ) -> Result<(), SinkError> {
        if self.needs_fdatasync.get().copied().unwrap_or(false) {
            rustix::fs::fdatasync(file).map_err(|e| SinkError::sys("syncing", &shown(), e))?;
        }
        Ok(())
    }
}
