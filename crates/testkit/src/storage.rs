//! Storages for tests: one in memory, one that counts, one that fails on command.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rekopia_blob::{BlobError, BlobErrorKind, BlobId, BlobInfo, BlobReader, BoxFuture, StorageTraits};

/// Blobs in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs {
    /// Contents by name.
    pub blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl BlobReader for MemoryBlobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            let blobs = self.blobs.lock().unwrap();
            let blob = blobs.get(id.as_str());
            let blob = blob.ok_or_else(|| BlobError::new(BlobErrorKind::NotFound, "not in memory").of(id))?;
            let range = range.unwrap_or(0..blob.len() as u64);
            let bytes = blob.get(range.start as usize..range.end as usize);
            into.clear();
            into.extend_from_slice(
                bytes.ok_or_else(|| BlobError::new(BlobErrorKind::Truncated, "too short").of(id))?,
            );
            Ok(into)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move {
            let blobs = self.blobs.lock().unwrap();
            let info = |(id, b): (&String, &Vec<u8>)| BlobInfo {
                id: BlobId::parse(id).unwrap(),
                len: b.len() as u64,
                modified_ns: 0,
            };
            Ok(blobs.iter().filter(|(id, _)| id.starts_with(prefix)).map(info).collect())
        })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let blobs = self.blobs.lock().unwrap();
            let blob = blobs.get(id.as_str());
            let blob = blob.ok_or_else(|| BlobError::new(BlobErrorKind::NotFound, "not in memory").of(id))?;
            Ok(BlobInfo { id: id.clone(), len: blob.len() as u64, modified_ns: 0 })
        })
    }

    fn traits(&self) -> StorageTraits {
        StorageTraits { in_flight: 16, gap: 256 * 1024, local: false }
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A read of (a range of) a blob.
    Read(String, Option<Range<u64>>),
    /// A listing of a prefix.
    List(String),
    /// A stat of a blob.
    Stat(String),
}

type Fault = dyn Fn(&Request) -> Option<BlobErrorKind> + Send + Sync;

/// Passes requests on, remembers them, and fails those that it is told to.
pub struct WatchedBlobs {
    inner: Arc<dyn BlobReader>,
    requests: Mutex<Vec<Request>>,
    fault: Mutex<Box<Fault>>,
}

impl WatchedBlobs {
    /// Around another storage.
    pub fn new(inner: Arc<dyn BlobReader>) -> Arc<Self> {
        Arc::new(WatchedBlobs { inner, requests: Mutex::default(), fault: Mutex::new(Box::new(|_| None)) })
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.requests.lock().unwrap().clear();
    }

    /// From now on requests for which `fault` says so fail.
    pub fn fail_when(&self, fault: impl Fn(&Request) -> Option<BlobErrorKind> + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Box::new(fault);
    }

    fn note(&self, request: Request) -> Result<(), BlobError> {
        let fault = (self.fault.lock().unwrap())(&request);
        self.requests.lock().unwrap().push(request);
        fault.map_or(Ok(()), |kind| Err(BlobError::new(kind, "as the test wants it")))
    }
}

impl BlobReader for WatchedBlobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        match self.note(Request::Read(id.to_string(), range.clone())) {
            Ok(()) => self.inner.read(id, range, into),
            Err(e) => Box::pin(async move { Err(e.of(id)) }),
        }
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        match self.note(Request::List(prefix.to_owned())) {
            Ok(()) => self.inner.list(prefix),
            Err(e) => Box::pin(async move { Err(e) }),
        }
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        match self.note(Request::Stat(id.to_string())) {
            Ok(()) => self.inner.stat(id),
            Err(e) => Box::pin(async move { Err(e.of(id)) }),
        }
    }

    fn traits(&self) -> StorageTraits {
        self.inner.traits()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
