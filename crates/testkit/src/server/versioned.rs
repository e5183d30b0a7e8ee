//! Runs an S3 server in memory whose buckets keep every version, and whose pages are as small as a test wants them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    ObjectVersion, StreamingBlob, Timestamp,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::net::TcpListener;

use super::s3::{ACCESS_KEY, SECRET_KEY};

/// The bucket that there is.
pub const BUCKET: &str = "bucket";

/// A running server; it ends with the runtime that it was started on.
pub struct VersionedServer {
    /// The address of the server: `127.0.0.1:port`.
    pub address: String,
    store: Store,
}

#[derive(Clone, Default)]
struct Store(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Versions by key, newest first.
    keys: BTreeMap<String, Vec<Version>>,
    made: u64,
    page: usize,
}

#[derive(Clone)]
struct Version {
    id: String,
    /// Seconds since 1970.
    time: u64,
    /// `None`: it was deleted.
    data: Option<Bytes>,
}

impl VersionedServer {
    /// Starts the server with an empty bucket.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start() -> Self {
        let store = Store::default();
        store.0.lock().unwrap().page = 1000;
        let mut builder = S3ServiceBuilder::new(store.clone());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let service = service.clone();
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        VersionedServer { address, store }
    }

    /// Lets no page of a list have more than this many entries.
    pub fn page(&self, entries: usize) {
        self.store.0.lock().unwrap().page = entries;
    }

    /// Puts a new version, in seconds since 1970; `None` deletes. Times must not fall.
    pub fn put(&self, key: &str, time: u64, data: Option<Bytes>) {
        let mut state = self.store.0.lock().unwrap();
        state.made += 1;
        let id = format!("v{:06}", state.made);
        state.keys.entry(key.to_owned()).or_default().insert(0, Version { id, time, data });
    }

    /// Returns the number of versions and deletions in the bucket.
    pub fn versions(&self) -> usize {
        self.store.0.lock().unwrap().keys.values().map(Vec::len).sum()
    }
}

/// Returns the blobs of a repository's directory, by name.
///
/// # Panics
/// When a file cannot be read.
pub fn read_blobs(repo: &Path) -> BTreeMap<String, Bytes> {
    let mut files = BTreeMap::new();
    super::s3::collect(repo, "", &mut files);
    files.into_iter().map(|(name, file)| (name, std::fs::read(file).unwrap().into())).collect()
}

impl State {
    /// Keys below a prefix, up to the next slash: whoever asks here asks with a delimiter.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Vec<Version>)> {
        let all = self.keys.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix));
        all.filter(move |(key, _)| !key[prefix.len()..].contains('/'))
    }

    /// Returns what is below a prefix and has a slash after it, up to that slash.
    fn folders(&self, prefix: &str) -> Vec<CommonPrefix> {
        let below = self.keys.keys().filter_map(|key| Some(key.strip_prefix(prefix)?.split_once('/')?.0));
        let folders: BTreeSet<String> = below.map(|folder| format!("{prefix}{folder}/")).collect();
        folders.into_iter().map(|folder| CommonPrefix { prefix: Some(folder) }).collect()
    }

    fn find(&self, key: &str, version: Option<&str>) -> S3Result<Version> {
        let versions = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let found = match version {
            None => versions.first(),
            Some(id) => Some(versions.iter().find(|v| v.id == id).ok_or_else(|| s3_error!(NoSuchVersion))?),
        };
        found.filter(|v| v.data.is_some()).cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }
}

#[async_trait::async_trait]
impl S3 for Store {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let version = self.0.lock().unwrap().find(&input.key, input.version_id.as_deref())?;
        let data = version.data.unwrap_or_default();
        let (len, mut content_range) = (data.len() as u64, None);
        let data = match input.range {
            None => data,
            Some(range) => {
                let range = range.check(len)?;
                content_range = Some(format!("bytes {}-{}/{len}", range.start, range.end - 1));
                data.slice(range.start as usize..range.end as usize)
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(data.len() as i64),
            content_range,
            body: Some(StreamingBlob::wrap(stream::iter([Ok::<_, std::io::Error>(data)]))),
            last_modified: Some(timestamp(version.time)),
            version_id: Some(version.id),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let version = self.0.lock().unwrap().find(&input.key, input.version_id.as_deref())?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: version.data.map(|d| d.len() as i64),
            last_modified: Some(timestamp(version.time)),
            version_id: Some(version.id),
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let state = self.0.lock().unwrap();
        let (prefix, after) = (input.prefix.unwrap_or_default(), input.continuation_token);
        let limit = state.page.min(input.max_keys.map_or(1000, |n| n as usize));
        let current = state.below(&prefix).filter_map(|(key, v)| {
            let newest = v.first()?;
            Some((key, newest, newest.data.as_ref()?.len()))
        });
        let rest: Vec<_> =
            current.filter(|(key, ..)| after.as_ref().is_none_or(|a| *key > a)).take(limit + 1).collect();
        let page = &rest[..rest.len().min(limit)];
        let contents = page.iter().map(|(key, newest, len)| Object {
            key: Some((*key).clone()),
            size: Some(*len as i64),
            last_modified: Some(timestamp(newest.time)),
            ..Object::default()
        });
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents.collect()),
            is_truncated: Some(rest.len() > limit),
            next_continuation_token: (rest.len() > limit).then(|| page.last().unwrap().0.clone()),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = request.input;
        let state = self.0.lock().unwrap();
        let prefix = input.prefix.unwrap_or_default();
        let limit = state.page.min(input.max_keys.map_or(1000, |n| n as usize));
        let (key_marker, version_marker) = (input.key_marker, input.version_id_marker);
        let all = state
            .below(&prefix)
            .flat_map(|(key, versions)| versions.iter().enumerate().map(move |(n, v)| (key, v, n == 0)));
        // After the marked version; without one after the last of the marked key.
        let after = |key: &String, version: &Version| match (&key_marker, &version_marker) {
            (None, _) => true,
            (Some(k), None) => key > k,
            // Newer versions have greater numbers.
            (Some(k), Some(v)) => key > k || (key == k && version.id < *v),
        };
        let rest: Vec<_> = all.filter(|(key, v, _)| after(key, v)).take(limit + 1).collect();
        let page = &rest[..rest.len().min(limit)];
        let mut output = ListObjectVersionsOutput {
            is_truncated: Some(rest.len() > limit),
            versions: Some(Vec::new()),
            delete_markers: Some(Vec::new()),
            // All of them with the first page.
            common_prefixes: key_marker.is_none().then(|| state.folders(&prefix)),
            ..ListObjectVersionsOutput::default()
        };
        if let Some((key, version, _)) = page.last().filter(|_| rest.len() > limit) {
            output.next_key_marker = Some((*key).clone());
            output.next_version_id_marker = Some(version.id.clone());
        }
        for (key, version, is_latest) in page {
            let (key, version_id) = (Some((*key).clone()), Some(version.id.clone()));
            let (is_latest, last_modified) = (Some(*is_latest), Some(timestamp(version.time)));
            match &version.data {
                Some(data) => output.versions.get_or_insert_default().push(ObjectVersion {
                    key,
                    version_id,
                    is_latest,
                    last_modified,
                    size: Some(data.len() as i64),
                    ..ObjectVersion::default()
                }),
                None => output.delete_markers.get_or_insert_default().push(DeleteMarkerEntry {
                    key,
                    version_id,
                    is_latest,
                    last_modified,
                    ..DeleteMarkerEntry::default()
                }),
            }
        }
        Ok(S3Response::new(output))
    }
}

fn timestamp(seconds: u64) -> Timestamp {
    (UNIX_EPOCH + Duration::from_secs(seconds)).into()
}
