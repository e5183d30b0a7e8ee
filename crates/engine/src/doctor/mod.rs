//! Tells what state a repository is in, as far as listings and metadata tell.
//!
//! ```text
//! open, as far as it goes ──► what is listed ⨯ what the index says ──► every tree ──► findings
//! ```
//! No file data is read: whether that is right, a verification tells.

mod blobs;
mod examine;
mod finding;

pub use examine::{Examination, ExaminationOptions, examine};
pub use finding::{Finding, FindingKind};
