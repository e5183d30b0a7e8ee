//! Says how several trees are verified.

use std::time::Duration;

use rekopia_format::Time;

use crate::restore::options::VerifyOptions;

/// The way in which several trees are verified, and how much of them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SetOptions {
    /// The options that a verification of one tree has, too.
    pub verify: VerifyOptions,
    /// Reads no file data: packs are looked up in a listing, whether they are there and long enough.
    pub presence: bool,
    /// Reads only this part of all needed bytes, from 0 to 1: first what was never read, then what was read longest ago.
    pub sample: Option<f64>,
    /// Reads no more file data than this, in bytes of packs.
    pub max_bytes: Option<u64>,
    /// Asks for nothing more after this time.
    pub max_time: Option<Duration>,
    /// The time that is written down for what is read.
    pub now: Time,
}

impl SetOptions {
    rekopia_blob::setters! {
        verify: VerifyOptions,
        presence: bool,
        sample: Option<f64>,
        max_bytes: Option<u64>,
        max_time: Option<Duration>,
        now: Time,
    }
}
