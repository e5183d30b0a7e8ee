//! Holds storages for tests: one in memory, and one that remembers requests and fails, delays or falsifies on command.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekopia_blob::{
    BlobError, BlobErrorKind, BlobId, BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage,
};
use rekopia_format::Time;

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
            let info = |(id, b): (&String, &Vec<u8>)| {
                BlobInfo::new(BlobId::parse(id).unwrap(), b.len() as u64, Time::default())
            };
            Ok(blobs.iter().filter(|(id, _)| id.starts_with(prefix)).map(info).collect())
        })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let blobs = self.blobs.lock().unwrap();
            let blob = blobs.get(id.as_str());
            let blob = blob.ok_or_else(|| BlobError::new(BlobErrorKind::NotFound, "not in memory").of(id))?;
            Ok(BlobInfo::new(id.clone(), blob.len() as u64, Time::default()))
        })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.list(prefix).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile::new(16)
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
type Delay = dyn Fn(&Request) -> Duration + Send + Sync;
type Change = dyn Fn(&Request, &mut Vec<u8>) + Send + Sync;

/// A storage that passes requests on, remembers them, and fails those that it is told to.
pub struct WatchedBlobs {
    inner: Arc<dyn BlobReader>,
    requests: Mutex<Vec<Request>>,
    /// Blob and range of every read that gave bytes.
    reads: Mutex<Vec<(String, Range<u64>)>>,
    fault: Mutex<Box<Fault>>,
    delay: Mutex<Arc<Delay>>,
    change: Mutex<Arc<Change>>,
}

impl WatchedBlobs {
    /// Puts a watched storage around another one.
    pub fn new(inner: Arc<dyn BlobReader>) -> Arc<Self> {
        Arc::new(WatchedBlobs {
            inner,
            requests: Mutex::default(),
            reads: Mutex::default(),
            fault: Mutex::new(Box::new(|_| None)),
            delay: Mutex::new(Arc::new(|_| Duration::ZERO)),
            change: Mutex::new(Arc::new(|_, _| {})),
        })
    }

    /// Returns every request so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.requests.lock().unwrap().clear();
        self.reads.lock().unwrap().clear();
    }

    /// Returns the bytes that reads gave so far.
    pub fn bytes(&self) -> u64 {
        self.reads.lock().unwrap().iter().map(|(_, range)| range.end - range.start).sum()
    }

    /// Returns the ranges that were read more than once, with their blobs.
    pub fn read_twice(&self) -> Vec<(String, Range<u64>)> {
        let mut reads = self.reads.lock().unwrap().clone();
        reads.sort_by(|a, b| (&a.0, a.1.start).cmp(&(&b.0, b.1.start)));
        let mut twice = Vec::new();
        let mut reached: Option<(String, u64)> = None;
        for (blob, range) in reads {
            let before = reached.filter(|(last, _)| *last == blob).map_or(0, |(_, end)| end);
            let overlap = range.start..range.end.min(before);
            if !overlap.is_empty() {
                twice.push((blob.clone(), overlap));
            }
            reached = Some((blob, before.max(range.end)));
        }
        twice
    }

    /// Fails requests for which `fault` says so, from now on.
    pub fn fail_when(&self, fault: impl Fn(&Request) -> Option<BlobErrorKind> + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Box::new(fault);
    }

    /// Makes reads wait as long as `delay` says, from now on. Needs a runtime with time.
    pub fn delay_when(&self, delay: impl Fn(&Request) -> Duration + Send + Sync + 'static) {
        *self.delay.lock().unwrap() = Arc::new(delay);
    }

    /// Lets `change` falsify what reads give, from now on: flip bytes, cut them short.
    pub fn change_when(&self, change: impl Fn(&Request, &mut Vec<u8>) + Send + Sync + 'static) {
        *self.change.lock().unwrap() = Arc::new(change);
    }

    async fn watched_read(
        &self,
        id: &BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let request = Request::Read(id.to_string(), range.clone());
        let (delay, change) =
            (Arc::clone(&self.delay.lock().unwrap()), Arc::clone(&self.change.lock().unwrap()));
        let delay = delay(&request);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let start = range.as_ref().map_or(0, |range| range.start);
        let mut bytes = self.inner.read(id, range, into).await?;
        self.reads.lock().unwrap().push((id.to_string(), start..start + bytes.len() as u64));
        change(&request, &mut bytes);
        Ok(bytes)
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
            Ok(()) => Box::pin(self.watched_read(id, range, into)),
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

    /// Noted as a listing.
    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        match self.note(Request::List(prefix.to_owned())) {
            Ok(()) => self.inner.any(prefix),
            Err(e) => Box::pin(async move { Err(e) }),
        }
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        self.inner.look_elsewhere()
    }

    fn distrust(&self, id: &BlobId) {
        self.inner.distrust(id);
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn folder(&self) -> Option<PathBuf> {
        self.inner.folder()
    }

    fn profile(&self) -> StorageProfile {
        self.inner.profile()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_watched_failed_and_falsified() {
        let memory = MemoryBlobs::default();
        memory.blobs.lock().unwrap().insert("pa".into(), (0..100).collect());
        let watched = WatchedBlobs::new(Arc::new(memory));
        let id = BlobId::parse("pa").unwrap();
        let read = async |range: Range<u64>| watched.read(&id, Some(range), Vec::new()).await;
        read(0..10).await.unwrap();
        read(20..30).await.unwrap();
        read(10..20).await.unwrap();
        assert_eq!((watched.bytes(), watched.read_twice()), (30, vec![]));
        read(28..40).await.unwrap();
        read(5..6).await.unwrap();
        assert_eq!(watched.read_twice(), [("pa".into(), 5..6), ("pa".into(), 28..30)]);

        watched.change_when(|_, bytes| bytes[0] ^= 0xff);
        watched.delay_when(|_| Duration::from_millis(1));
        assert_eq!(read(40..42).await.unwrap(), [!40, 41]);
        watched.fail_when(|request| matches!(request, Request::Stat(_)).then_some(BlobErrorKind::Denied));
        assert_eq!(watched.stat(&id).await.unwrap_err().kind(), BlobErrorKind::Denied);
        assert_eq!(watched.requests().len(), 7);
        watched.forget();
        assert!(watched.requests().is_empty() && watched.bytes() == 0);
    }
}
