//! Says what a program may ask of the layers.

use super::cache::CacheOptions;
use crate::deadlines::Deadlines;

/// The limits that a program sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerOptions {
    /// Requests in flight; `None`: as many as suit the storage.
    pub in_flight: Option<usize>,
    /// Bytes per second that may be received; `None`: no limit.
    pub bandwidth: Option<u64>,
    /// Reads and listings per second; `None`: no limit.
    pub requests_per_second: Option<u32>,
    /// The deadlines after which a request is given up.
    pub deadlines: Deadlines,
    /// The cache for metadata of far storages; `None`: nothing is kept on the disk.
    pub cache: Option<CacheOptions>,
}

impl LayerOptions {
    crate::setters! {
        in_flight: Option<usize>,
        bandwidth: Option<u64>,
        requests_per_second: Option<u32>,
        deadlines: Deadlines,
        cache: Option<CacheOptions>,
    }
}
