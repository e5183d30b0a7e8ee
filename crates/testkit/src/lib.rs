//! Support for tests and benchmarks: trees and how they differ, fixtures, storages that count or fail, and a
//! repository writer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop where it stands"
)]

pub mod fixture;
pub mod random;
pub mod storage;
pub mod tree;
pub mod writer;
