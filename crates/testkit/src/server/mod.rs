//! Real servers for tests, in the test's own process or started by it.

pub mod buckets;
pub mod certificates;
pub mod delay;
pub mod faulty;
mod listing;
pub mod s3;
pub mod tls;
pub mod versioned;
pub mod webdav;
