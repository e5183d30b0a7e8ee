//! Holds the target of a restore, for each of its two uses.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;

use crate::sink::Sink;

/// The target of a restore, opened once for each use.
pub(super) struct Sinks {
    /// The target, to be written to.
    pub(super) sink: Arc<Sink>,
    /// The target, only to be looked at.
    pub(super) view: Arc<Sink>,
    /// The name of a single file or link; `None`: a directory is restored.
    pub(super) name: Option<EntryName>,
}
