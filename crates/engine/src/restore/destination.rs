//! Decides what becomes of the entries of a pass.

use std::sync::Arc;

use crate::sink::Sink;

/// The purpose of a pass: what becomes of its entries.
#[derive(Clone)]
pub(crate) enum Destination {
    /// Entries are written to the target: a restore.
    Written(Arc<Sink>),
    /// Entries are compared with the target, and what would be fetched and changed is counted: a dry run.
    Compared(Arc<Sink>),
    /// Entries are read and dropped: a verification of the source.
    Dropped,
}

impl Destination {
    /// Returns the target, where it is written to.
    pub(crate) fn written(&self) -> Option<&Arc<Sink>> {
        match self {
            Destination::Written(sink) => Some(sink),
            Destination::Compared(_) | Destination::Dropped => None,
        }
    }

    /// Returns the target, where it is only looked at.
    pub(crate) fn compared(&self) -> Option<&Arc<Sink>> {
        match self {
            Destination::Compared(sink) => Some(sink),
            Destination::Written(_) | Destination::Dropped => None,
        }
    }

    /// Returns the target, where there is one.
    pub(crate) fn target(&self) -> Option<&Arc<Sink>> {
        match self {
            Destination::Written(sink) | Destination::Compared(sink) => Some(sink),
            Destination::Dropped => None,
        }
    }
}
