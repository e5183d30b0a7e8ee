//! Where contents are: one frozen, sorted table of all index entries.
//!
//! ```text
//! index blobs ──add──► records ──freeze──► sorted, one record per content, fan-out on the leading bits
//!                         │ more than may be in memory
//!                         └──► sorted runs in a nameless file ──merge──► the same table in a file, read by pread
//! ```
//!
//! A record is 36 bytes whatever the hash. The fan-out adds half a byte per entry in memory, so that the table stays
//! under 40 bytes per entry; of a table in a file only the fan-out is in memory, 0.05 bytes per entry.

mod builder;
mod fanout;
mod limit;
mod location;
mod merge;
mod packs;
mod record;
pub(crate) mod spill;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use builder::IndexBuilder;
pub(crate) use limit::{IndexError, IndexLimit};
pub(crate) use location::{Location, PackIdx};
pub(crate) use table::ContentIndex;
