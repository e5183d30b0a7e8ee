//! Real servers for tests, in the test's own process or started by it.

pub mod certificates;
pub mod faulty;
pub mod s3;
pub mod versioned;
pub mod webdav;
