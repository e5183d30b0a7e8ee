//! Restores a tree, in ten lines.
//!
//! ```text
//! prove what the restore could harm: packs listed, or the whole snapshot walked     nothing is touched
//! for each directory, depth first, one content of its listing at a time:             walk
//!     for each file in it: which contents, at which places                           walk
//!         what the target holds there already, by its hash, is not wanted            reconcile
//! for each window of a few thousand wanted contents:                                 window
//!     sort by pack and offset, join neighbours into reads of 1 to 8 MiB              plan
//!     for each read, as soon as its bytes are paid for: one request                  fetch    ← async ends here
//!         for each content in it, on a worker thread: decrypt and decompress         decode
//!             for each file that wants it: write it at its place                     write
//!                 the last one gives the file its attributes, and its directory      finish
//! delete what is extra, close what was opened, compare, hash, sync, report           passed, tidied
//! ```
//!
//! The unit is a pack read, not a file: what lies together is read together, whichever files want it, and a content that
//! several files want is read and decoded once for each window. Files are therefore written out of order. A small one is
//! made in one go; a large one is one byte longer than recorded until its last piece is in, so that a restore which was
//! killed never leaves a file that looks whole. An existing file is not changed before all of its changes have arrived.
//!
//! Memory is bounded by credits: the bytes of a read are paid for before its request is sent, and come back when they are
//! written. What is known of an entry lives until its countdown ends, not until the run ends.
//!
//! Nothing flows back. What a later stage needs travels in the message, a failure too. Every stage writes into the
//! [`ledger`] and asks the [`run_state`] whether to go on. A run itself is a chain of values ([`compose`]), so that nothing
//! is written that was not proven.
//!
//! What it is not good at:
//!
//! - A content that is wanted again more than a window later is read again. Most repeats are close together; a file whose
//!   every block is the same is not, and neither are two copies of a tree.
//! - A window is all that is sorted: where a snapshot's contents are scattered over many packs, each window visits all
//!   of them, and reads are short. A larger budget makes larger windows.
//! - A file is opened again when more than 256 large ones are being written, and the order of its pieces on the disk is
//!   that of the packs.
//! - The walk is one task. A tree of many small directories from far away waits for it; up to 64 directories are read
//!   ahead in one round, but a chain of directories is a chain of rounds.
//! - A proof of the whole snapshot walks it twice, and its listings are read and parsed twice.
//! - An existing file is hashed from end to end, also when its last byte is all that differs, unless its size and time are
//!   trusted (`Overwrite::IfChanged`).
//! - Between the proof and the change the target or the storage may change. Then the entry fails; what was there before
//!   stays, or comes back.

mod against;
pub(crate) mod clock;
mod compare_disk;
mod compose;
pub(crate) mod cost;
pub(crate) mod credits;
pub(crate) mod decode;
mod delete_extra;
mod destination;
mod differs;
mod digest_target;
mod estimate;
mod estimated;
mod extras;
pub(crate) mod fetch;
mod filter;
mod finish;
pub(crate) mod ledger;
mod losses;
mod names;
pub(crate) mod options;
mod others;
pub(crate) mod pass;
mod passed;
pub(crate) mod plan;
mod prepared;
mod probe;
mod proof;
mod prove;
mod proven;
mod reconcile;
pub(crate) mod report;
mod report_lines;
pub(crate) mod run;
mod run_state;
mod sample;
mod sinks;
mod slot;
mod survey;
pub(crate) mod ticker;
mod tidied;
mod tree;
mod unrestored;
pub(crate) mod verified;
pub(crate) mod verify_source;
mod verify_target;
mod walk;
mod walked;
mod walking;
mod window;
pub(crate) mod worker_threads;
mod workers;
mod write;

pub use clock::StageTimes;
pub use estimate::{Bound, Estimate};
pub use options::{
    Consent, DeleteLimit, OnError, Overwrite, OwnerPolicy, Pace, Receipting, RefuseExisting, RestoreOptions,
    SyncMode, VerifyOptions,
};
pub use report::{Deletion, Failure, Planned, Remark, Report};
pub use verified::{AffectedTree, EndedBy, Verified};
