//! One restore, in one direction.
//!
//! ```text
//! walk ─► reconcile ─► plan ─► fetch ─► decode ─► write ─► finish ─► Report
//! async    blocking    pure    async    └──── worker threads ────┘
//! ```
//!
//! 1. [`walk`] lists the tree depth first and resolves files to slices of contents.
//! 2. [`reconcile`] compares with what is in the target; in a fresh target there is nothing to do.
//! 3. [`window`] collects what the walk finds, [`plan`] turns it into coalesced pack reads.
//! 4. [`fetch`] sends as many requests as credits allow; here async ends.
//! 5. Workers ([`workers`]) decode each content and write it to every file that wants it ([`decode`], [`write`]).
//! 6. Where the last slice lands the file gets its attributes; where the last entry lands, the directory ([`finish`]).
//!
//! Nothing flows back. What a later stage needs travels in the message; failures are messages too.

mod clock;
mod compare_disk;
mod compose;
mod cost;
mod credits;
mod decode;
mod delete_extra;
mod destination;
mod extras;
mod fetch;
mod filter;
mod finish;
mod ledger;
mod names;
mod options;
mod pass;
mod passed;
mod plan;
mod prepared;
mod proof;
mod prove;
mod proven;
mod reconcile;
mod report;
mod run;
mod run_state;
mod sinks;
mod slot;
mod survey;
mod ticker;
mod tidied;
mod tree;
mod verify_source;
mod verify_target;
mod walk;
mod walked;
mod walking;
mod window;
mod worker_threads;
mod workers;
mod write;

pub use clock::StageTimes;
pub use options::{
    Consent, DeleteLimit, OnError, Overwrite, OwnerPolicy, RefuseExisting, RestoreOptions, SyncMode,
    VerifyOptions,
};
pub use report::{Deletion, Failure, Planned, Remark, Report};
