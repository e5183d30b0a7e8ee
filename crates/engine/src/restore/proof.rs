//! Holds what a proof found out.

use std::sync::Arc;

use super::extras::Extras;
use crate::error::Error;
use crate::repository::listed_packs::ListedPacks;

/// The facts that are known before the target is touched.
#[derive(Default)]
pub(crate) struct Proof {
    /// The packs as the storage lists them; `None`: nothing that exists can be changed.
    pub(crate) packs: Option<Arc<ListedPacks>>,
    /// The entries that the snapshot does not have, where these are to go.
    pub(crate) extras: Extras,
    /// The first entry that cannot be restored, and why: nothing is deleted or moved aside.
    pub(crate) doubt: Option<(String, Error)>,
    /// The first entry that exists although nothing may.
    pub(crate) refusal: Option<String>,
    /// Whether the snapshot itself has names like those that we use for what is moved aside.
    pub(crate) uses_our_names: bool,
    /// Bytes of all files by their contents; `None`: not counted.
    pub(crate) file_bytes: Option<u64>,
    /// Bytes of files that the target does not have.
    pub(crate) absent_bytes: u64,
    /// Bytes that removing the extras gives back.
    pub(crate) freed_bytes: u64,
}
