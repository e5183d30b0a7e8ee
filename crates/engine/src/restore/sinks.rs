//! The target of a restore, for each of its two uses.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;

use crate::sink::Sink;

/// The target of a restore, opened once for each use.
pub(super) struct Sinks {
    /// To be written to.
    pub(super) sink: Arc<Sink>,
    /// Only to be looked at.
    pub(super) view: Arc<Sink>,
    /// What a single file or link is to be called; `None`: a directory is restored.
    pub(super) name: Option<EntryName>,
}
