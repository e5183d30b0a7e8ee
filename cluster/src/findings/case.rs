//! What the rules look at.

use super::phase::Phase;
use crate::chain::{Application, Index};

/// One application in one phase, for the rules.
pub(super) struct Case<'i, 'a> {
    pub(super) index: &'i Index<'a>,
    pub(super) app: &'i Application<'a>,
    pub(super) phase: Phase,
}
