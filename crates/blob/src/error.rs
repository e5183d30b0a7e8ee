//! Names what can go wrong between us and the storage.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rekopia_format::BlobId;

/// The reason why a request failed; decides whether it is worth another try, and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlobErrorKind {
    /// There is no blob of this name in the storage.
    NotFound,
    /// The folder or remote that should hold the blobs is not there itself: a mount that is missing, a mistyped path.
    /// An empty one is no error.
    NoPlace,
    /// The blob ends before the wanted range does.
    Truncated,
    /// The storage refuses us.
    Denied,
    /// The server is not proven to be the one that is meant; nothing was told to it.
    Untrusted,
    /// The settings cannot work (no such bucket, a path that is no directory, an unreadable layout file).
    Settings,
    /// The storage's own layout description is damaged.
    Damaged,
    /// The object was moved to an archive and must be brought back first.
    Archived,
    /// Everything else: the storage cannot be reached or does not answer.
    Unavailable,
}

/// A failed request, with the blob that it was about.
#[derive(Debug, Clone)]
pub struct BlobError {
    kind: BlobErrorKind,
    blob: Option<BlobId>,
    what: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// Whether the same request may succeed a moment later.
    transient: bool,
    /// The time for which the storage asks us to wait.
    retry_after: Option<Duration>,
    /// The change since the request was refused, where that is worth one more try.
    expired: Option<&'static str>,
}

impl BlobError {
    /// Makes an error of this kind; `what` is a clause such as "reading 4096 bytes at 32".
    pub fn new(kind: BlobErrorKind, what: impl Into<String>) -> Self {
        BlobError {
            kind,
            blob: None,
            what: what.into(),
            source: None,
            transient: false,
            retry_after: None,
            expired: None,
        }
    }

    /// Adds the blob that the error is about.
    #[must_use]
    pub fn of(mut self, blob: &BlobId) -> Self {
        self.blob = Some(blob.clone());
        self
    }

    /// Adds the cause of the error.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Marks the error as worth another try.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// Marks the error as worth another try, but not before this time has passed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.transient = true;
        self.retry_after = Some(wait);
        self
    }

    /// Marks the error as worth one more try, at once: what the request was refused for has changed, as `how` says.
    #[cfg(any(feature = "object", feature = "s3"))]
    #[must_use]
    pub(crate) fn expired(mut self, how: &'static str) -> Self {
        self.expired = Some(how);
        self
    }

    /// Adds that the request was refused again, with renewed credentials.
    #[must_use]
    pub(crate) fn although_renewed(mut self) -> Self {
        let how = self.expired.take().unwrap_or("the credentials were renewed");
        self.what = format!("{} (again, after {how})", self.what);
        self
    }

    /// Whether the storage refused credentials that will be renewed for the next request.
    pub(crate) fn is_expired(&self) -> bool {
        self.expired.is_some()
    }

    /// Puts what was being done before what failed.
    #[cfg(any(feature = "http", feature = "sftp"))]
    #[must_use]
    pub(crate) fn while_doing(mut self, doing: &str) -> Self {
        self.what = format!("{doing}: {}", self.what);
        self
    }

    /// Adds after how many tries the request was given up.
    #[must_use]
    pub(crate) fn after(mut self, tries: u32, elapsed: Duration) -> Self {
        self.what = format!("{} ({tries} tries in {} s)", self.what, elapsed.as_secs());
        self
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        self.transient
    }

    /// Returns how long the storage asks us to wait before the next try.
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns what failed, without the blob and the kind.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns the reason why the request failed.
    pub fn kind(&self) -> BlobErrorKind {
        self.kind
    }

    /// Returns the blob that the request was about.
    pub fn blob(&self) -> Option<&BlobId> {
        self.blob.as_ref()
    }

    /// Whether the blob does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind == BlobErrorKind::NotFound
    }
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.kind {
            BlobErrorKind::NotFound => "not found",
            BlobErrorKind::NoPlace => "no such place",
            BlobErrorKind::Truncated => "shorter than expected",
            BlobErrorKind::Denied => "access denied",
            BlobErrorKind::Untrusted => "server not trusted",
            BlobErrorKind::Settings => "settings cannot work",
            BlobErrorKind::Damaged => "damaged layout",
            BlobErrorKind::Archived => "archived",
            BlobErrorKind::Unavailable => "storage failed",
        };
        match &self.blob {
            Some(blob) => write!(f, "blob {blob}: {why}: {}", self.what),
            None => write!(f, "{why}: {}", self.what),
        }
    }
}

impl std::error::Error for BlobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}
