//! Real servers for tests, in the test's own process.

pub mod s3;
pub mod tls;
