//! Finds what damage hides: the index that each pack has of itself, and the copies of the format blob that packs hold.
//!
//! ```text
//! packs ──► the end of each ──► local index ──► the index, beside what the index blobs say
//!       │        ▲ │
//!       │        │ ▼ a file keeps them for the next scan
//!       └─► the front of some ──► format blob
//! ```

mod kept;
mod pack_end;
mod replica;
mod salvaged;
mod scan;

pub(super) use replica::find_format_blob;
pub(super) use salvaged::Salvaged;
pub(crate) use scan::Scanned;
pub(super) use scan::{Keep, Scanner};
