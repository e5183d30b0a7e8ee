//! Runs real servers for tests, in the test's own process or started by it.

pub mod azurite;
pub mod b2;
pub mod buckets;
pub mod certificates;
pub mod delay;
pub mod fake_gcs;
pub mod faulty;
pub mod front;
pub mod gate;
pub mod identity;
pub mod keys;
pub mod lies;
mod listing;
mod program;
pub mod region;
pub mod s3;
pub mod sshd;
pub mod tls;
pub mod tunnel;
pub mod versioned;
pub mod webdav;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns the blobs of a repository's directory: name → file.
///
/// # Panics
/// When the directory cannot be read.
pub fn blobs_of(repo: &Path) -> BTreeMap<String, PathBuf> {
    let mut blobs = BTreeMap::new();
    s3::collect(repo, "", &mut blobs);
    blobs
}
