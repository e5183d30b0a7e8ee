//! Runs an S3 server that costs little: files that lie elsewhere, as objects. For measurements, where a server that
//! reads slowly would be what is measured.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use s3s::auth::SimpleAuth;
use s3s::dto::{self, ETag, StreamingBlob};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::listing::list;
use super::s3::{ACCESS_KEY, SECRET_KEY};

/// Bytes of one read.
const BLOCK: u64 = 128 << 10;

/// Buckets out of folders. Nothing is copied: objects are read where the files are. What is written stays in memory.
#[derive(Debug, Default)]
pub struct Buckets(HashMap<String, Mutex<BTreeMap<String, Object>>>);

#[derive(Debug, Clone)]
pub(super) struct Object {
    data: Data,
    len: u64,
    modified: SystemTime,
}

#[derive(Debug, Clone)]
enum Data {
    File(PathBuf),
    Memory(Bytes),
}

impl Buckets {
    /// Adds a bucket with the files of a folder under their paths.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn folder(self, bucket: &str, folder: &Path) -> io::Result<Self> {
        self.add(bucket, folder, |path| Some(path.to_owned()))
    }

    /// Adds a bucket with a Kopia repository that lies in a directory: each blob under its own name (§1.3).
    ///
    /// # Errors
    /// Those of the file system.
    pub fn repository(self, bucket: &str, folder: &Path) -> io::Result<Self> {
        self.add(bucket, folder, |path| path.replace('/', "").strip_suffix(".f").map(str::to_owned))
    }

    /// Makes a service that only takes requests signed with [`ACCESS_KEY`] and [`SECRET_KEY`].
    pub fn service(self) -> S3Service {
        let mut builder = S3ServiceBuilder::new(self);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.build()
    }

    fn add(mut self, bucket: &str, folder: &Path, key: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let mut objects = BTreeMap::new();
        let mut open = vec![(folder.to_owned(), String::new())];
        while let Some((directory, above)) = open.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                let path = format!("{above}{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    open.push((entry.path(), format!("{path}/")));
                } else if let Some(key) = key(&path) {
                    let meta = entry.metadata()?;
                    let (len, modified) = (meta.len(), meta.modified()?);
                    objects.insert(key, Object { data: Data::File(entry.path()), len, modified });
                }
            }
        }
        self.0.insert(bucket.to_owned(), Mutex::new(objects));
        Ok(self)
    }

    fn bucket(&self, name: &str) -> S3Result<MutexGuard<'_, BTreeMap<String, Object>>> {
        Ok(self.0.get(name).ok_or_else(|| s3_error!(NoSuchBucket))?.lock().unwrap())
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.bucket(bucket)?.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }
}

impl Object {
    pub(super) fn in_memory(bytes: Bytes, modified: SystemTime) -> Self {
        Object { len: bytes.len() as u64, data: Data::Memory(bytes), modified }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn modified(&self) -> SystemTime {
        self.modified
    }

    pub(super) fn etag(&self) -> ETag {
        let time = self.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        ETag::Strong(format!("{:x}-{:x}", self.len, time.as_nanos()))
    }

    fn read(self, range: Range<u64>) -> io::Result<StreamingBlob> {
        match self.data {
            Data::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(range.start))?;
                Ok(StreamingBlob::new(Blocks { file, left: range.end - range.start }))
            }
            Data::Memory(bytes) => {
                let bytes = bytes.slice(range.start as usize..range.end as usize);
                Ok(StreamingBlob::wrap(futures::stream::iter([Ok::<_, io::Error>(bytes)])))
            }
        }
    }
}

/// The next bytes of a file. Reads block the thread: what is measured lies in the page cache, where a detour over other
/// threads would cost more than the read.
struct Blocks {
    file: File,
    left: u64,
}

impl Stream for Blocks {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let len = self.left.min(BLOCK);
        if len == 0 {
            return Poll::Ready(None);
        }
        let mut bytes = Vec::with_capacity(len as usize);
        let read = (&self.file).take(len).read_to_end(&mut bytes);
        let read = read
            .and_then(|n| if n as u64 == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
        self.left -= len;
        Poll::Ready(Some(read.map(|()| Bytes::from(bytes)).map_err(Into::into)))
    }
}

impl ByteStream for Blocks {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.left as usize)
    }
}

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        drop(self.bucket(&request.input.bucket)?);
        Ok(S3Response::new(dto::HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        drop(self.bucket(&request.input.bucket)?);
        Ok(S3Response::new(dto::GetBucketLocationOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let input = request.input;
        let objects = self.bucket(&input.bucket)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let after = input.continuation_token.as_deref().or(input.start_after.as_deref());
        let most = input.max_keys.and_then(|n| usize::try_from(n).ok()).unwrap_or(1000).min(1000);
        let page = list(&objects, prefix, input.delimiter.as_deref(), after, most);
        Ok(S3Response::new(dto::ListObjectsV2Output {
            key_count: i32::try_from(page.objects.len() + page.folders.len()).ok(),
            max_keys: i32::try_from(most).ok(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next,
            contents: Some(page.objects),
            common_prefixes: Some(page.folders),
            name: Some(input.bucket.clone()),
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let object = self.object(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(dto::HeadObjectOutput {
            content_length: i64::try_from(object.len).ok(),
            last_modified: Some(object.modified.into()),
            e_tag: Some(object.etag()),
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        let len = object.len;
        let range = input.range.map(|range| range.check(len)).transpose()?;
        let content_range = range.as_ref().map(|r| format!("bytes {}-{}/{len}", r.start, r.end - 1));
        let range = range.unwrap_or(0..len);
        let (last_modified, e_tag) = (Some(object.modified.into()), Some(object.etag()));
        let content_length = i64::try_from(range.end - range.start).ok();
        let body = object.read(range).map_err(|e| s3_error!(e, InternalError))?;
        Ok(S3Response::new(dto::GetObjectOutput {
            body: Some(body),
            content_length,
            content_range,
            last_modified,
            e_tag,
            ..Default::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let input = request.input;
        let mut bytes = Vec::new();
        if let Some(mut body) = input.body {
            while let Some(part) = body.next().await {
                bytes.extend_from_slice(&part.map_err(|_| s3_error!(IncompleteBody))?);
            }
        }
        let object = Object::in_memory(bytes.into(), SystemTime::now());
        let e_tag = Some(object.etag());
        self.bucket(&input.bucket)?.insert(input.key, object);
        Ok(S3Response::new(dto::PutObjectOutput { e_tag, ..Default::default() }))
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        self.bucket(&request.input.bucket)?.remove(&request.input.key);
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }
}
