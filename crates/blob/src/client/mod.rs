//! Holds what the providers that speak HTTP share.

pub(crate) mod answers;
pub(crate) mod collect;
#[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
pub(crate) mod credentials;
mod fingerprint;
pub(crate) mod http;
mod http_pool;
pub(crate) mod trust;
pub(crate) mod whole;
