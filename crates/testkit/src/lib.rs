//! Supports tests and benchmarks: trees and how they differ, fixtures, pods, storages that count or fail, damage, and a
//! repository writer with data to put into it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop where it stands"
)]

#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "servers")]
pub mod conformance;
pub mod corpus;
pub mod damage;
pub mod exit_codes;
pub mod fixture;
#[cfg(feature = "fuse")]
pub mod fuse;
pub mod job;
pub mod layers;
pub mod pod;
pub mod random;
pub mod scarce;
pub mod schema;
#[cfg(feature = "servers")]
pub mod server;
pub mod skip;
pub mod storage;
pub mod tree;
pub mod writer;

pub use skip::{kernel_lacks, must_run};
