//! Finds where blobs lie: in Kopia's tree of folders and the layouts of other kinds of storage (§1.3).
//!
//! Nothing here asks a storage: providers bring the members of folders and are told where to look next.

pub(crate) mod elsewhere;
#[cfg(any(feature = "http", feature = "sftp"))]
pub(crate) mod far;
pub(crate) mod names;
pub(crate) mod shape;
pub(crate) mod sharded;
