//! Shows a bucket as it was at an earlier time (§1.10).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rekopia_format::Time;

/// A bucket as it was at an earlier time.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) at: Time,
    /// Versions found so far, by key; `None`: the object did not exist then.
    versions: Mutex<HashMap<String, Option<Version>>>,
}

/// A version of an object: as it was then.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) len: u64,
    pub(super) modified_ns: i64,
}

impl Past {
    pub(super) fn new(at: Time) -> Self {
        Past { at, versions: Mutex::default() }
    }

    pub(super) fn versions(&self) -> MutexGuard<'_, HashMap<String, Option<Version>>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
