//! Real servers for tests, in the test's own process.

pub mod buckets;
pub mod delay;
mod listing;
pub mod s3;
pub mod tls;
