//! Defines what the rules look at.

use jiff::Timestamp;

use super::phase::Phase;
use crate::chain::{Application, Index};

/// An application in its phase, for the rules.
pub(super) struct Case<'i, 'a> {
    pub(super) index: &'i Index<'a>,
    pub(super) app: &'i Application<'a>,
    pub(super) phase: Phase,
}

impl Case<'_, '_> {
    /// Returns how many seconds ago something was.
    pub(super) fn age(&self, since: Option<Timestamp>) -> Option<i64> {
        Some(self.index.view.now.duration_since(since?).as_secs())
    }
}
