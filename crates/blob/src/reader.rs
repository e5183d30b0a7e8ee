//! Defines what a storage is for everything above it: a [`BlobReader`], and what it says of itself.

use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use rekopia_format::{BlobId, Time};

use crate::error::BlobError;
#[cfg(doc)]
use crate::error::BlobErrorKind;

/// A boxed future, so that [`BlobReader`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The facts that a listing or a stat tells of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// The name of the blob.
    pub id: BlobId,
    /// The length of the blob, in bytes.
    pub len: u64,
    /// Modification time by the storage's clock; 1970 when the storage does not say.
    pub modified: Time,
}

impl BlobInfo {
    /// A blob of so many bytes, written then (`Time::default()`: the storage does not say).
    pub fn new(id: BlobId, len: u64, modified: Time) -> Self {
        BlobInfo { id, len, modified }
    }
}

/// The facts that the planner has to know of a storage before the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageProfile {
    /// Number of requests worth having in flight.
    pub in_flight: usize,
    /// Bytes between two wanted ranges that are cheaper to read than a request of their own.
    pub gap: u64,
    /// Whether the storage is a local file system: reads are system calls, not messages.
    pub local: bool,
}

impl StorageProfile {
    /// A far storage that answers so many requests at once; gaps of up to 256 KiB are read through.
    pub fn new(in_flight: usize) -> Self {
        StorageProfile { in_flight, gap: 256 << 10, local: false }
    }

    crate::setters! {
        in_flight: usize,
        gap: u64,
        local: bool,
    }
}

/// Counters of what was asked of a storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Requests sent: every page of a listing is one, and every try that failed.
    pub requests: u64,
    /// Second and later tries of what was asked for here: a listing that is begun again counts once.
    pub retries: u64,
    /// Bytes received in answers: blobs, listings where they come as text, and what tries that failed had got.
    pub bytes: u64,
    /// Median time of the last small reads, from request to the end of the answer, without waits before further tries;
    /// zero: not measured.
    pub latency: Duration,
}

impl Usage {
    crate::setters! {
        requests: u64,
        retries: u64,
        bytes: u64,
        latency: Duration,
    }
}

/// A storage that holds a repository. Bring your own: the trait is object-safe.
///
/// Implementations are cheap to share (`Arc<dyn BlobReader>`) and serve many requests at once. No method has a default:
/// whatever stands around another reader would forget to pass on what it does not state.
pub trait BlobReader: Send + Sync {
    /// Reads `range` of a blob (`None`: all of it) into `into`, which is cleared first and whose capacity is reused.
    ///
    /// # Errors
    /// [`BlobErrorKind::NotFound`] when there is no such blob; [`BlobErrorKind::Truncated`] when it ends before the
    /// range does: the result always has exactly the length of the range.
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>>;

    /// Lists all blobs whose names start with `prefix`, in no particular order.
    ///
    /// # Errors
    /// Never [`BlobErrorKind::NotFound`]: no blobs is an empty list.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>>;

    /// Returns length and time of one blob.
    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>>;

    /// Whether any blob starts with `prefix`; cheaper than a listing where the storage can stop early. A storage that
    /// cannot answers whether [`list`](Self::list) gives any.
    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>>;

    /// Looks for the repository in the layouts of other kinds of storage, after the format blob was not found where this
    /// one has it: a bucket that was copied to a disk, a tree that was copied to a bucket. `true`: it is there, and from
    /// now on blobs are read and listed in every layout. A storage that knows one layout answers `false`.
    ///
    /// # Errors
    /// [`BlobErrorKind::NoPlace`] when the place itself is not there.
    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>>;

    /// Forgets everything that is kept of this blob, so that it can be read anew: what was read of it cannot be what
    /// was stored. There is nothing to do where nothing is kept.
    fn distrust(&self, id: &BlobId);

    /// Returns what was asked of the storage so far, tries that failed included; zeros where it is not counted.
    fn usage(&self) -> Usage;

    /// Returns hints for the planner.
    fn profile(&self) -> StorageProfile;

    /// Returns the folder that holds the blobs, where that is one of this machine: no file must be written there.
    /// `None` for every other storage.
    fn folder(&self) -> Option<PathBuf>;

    /// Returns where the repository is, for messages; without credentials.
    fn describe(&self) -> String;
}

impl<T: BlobReader + ?Sized> BlobReader for std::sync::Arc<T> {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        (**self).read(id, range, into)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        (**self).list(prefix)
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        (**self).stat(id)
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        (**self).any(prefix)
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        (**self).look_elsewhere()
    }

    fn distrust(&self, id: &BlobId) {
        (**self).distrust(id)
    }

    fn usage(&self) -> Usage {
        (**self).usage()
    }

    fn profile(&self) -> StorageProfile {
        (**self).profile()
    }

    fn folder(&self) -> Option<PathBuf> {
        (**self).folder()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}
