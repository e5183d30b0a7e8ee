//! Verifies any number of trees as one set.
//!
//! ```text
//! trees ─gather─► needed contents, each once ─draw─► portions of packs ─sweep─► right, or damaged ─affected─► trees
//!                       (a bit each)             (what is due first)     (read in pack order)      (only where damaged)
//! ```
//!
//! Nothing here grows with the number of snapshots: what is shared is one bit in the numbering of the index. What was right
//! is remembered as ranges of packs ([`Coverage`]), so that many short runs cover a repository.

mod affected;
mod bits;
mod check;
mod coverage;
mod damage;
mod draw;
mod gather;
mod needed;
mod options;
mod presence;
mod ranges;
mod set;
mod sweep;
mod tally;

pub use coverage::Coverage;
pub use options::SetOptions;
