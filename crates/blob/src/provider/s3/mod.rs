//! A repository in a bucket of AWS S3 or of anything that speaks its protocol (§1.6, §1.10).
//!
//! Needs only permission to list and to get. Relies neither on checksums nor on ETags.

mod credentials;
mod failures;
mod http;
mod list;
mod open;
mod region;
mod role;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_s3::Client;
use credentials::S3Credentials;
use failures::broke_off;
use list::{Past, Version};
use region::Regional;
use rekopia_format::BlobId;

use crate::client::answers::check_range;
use crate::client::collect::collect;
use crate::client::http::Http;
use crate::error::BlobError;
use crate::folders::far::{Bucket, FarElsewhere, Member};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};

/// Reads blobs from a bucket.
#[derive(Debug)]
pub struct S3Blobs {
    regional: Regional,
    http: Http,
    bucket: String,
    prefix: String,
    /// Where requests go, for messages.
    place: String,
    past: Option<Past>,
    /// `None`: requests are not signed.
    credentials: Option<Arc<S3Credentials>>,
    elsewhere: FarElsewhere,
}

impl S3Blobs {
    /// The same bucket under another prefix, as it is now.
    pub(crate) fn at(&self, prefix: &str) -> Self {
        let (regional, http, bucket) = (self.regional.clone(), self.http.clone(), self.bucket.clone());
        let (prefix, place, elsewhere) = (prefix.to_owned(), self.place.clone(), FarElsewhere::default());
        let credentials = self.credentials.clone();
        S3Blobs { regional, http, bucket, prefix, place, past: None, credentials, elsewhere }
    }

    /// The folders directly below this prefix of the bucket, each with its slash: one page of a listing.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, BlobError> {
        let request = self.client().list_objects_v2().bucket(&self.bucket).prefix(prefix).delimiter("/");
        let page = request.send().await.map_err(|e| self.failed(e, "listing folders"))?;
        Ok(page.common_prefixes().iter().filter_map(|p| p.prefix().map(str::to_owned)).collect())
    }

    /// Whether a format blob lies here; no when that cannot be told.
    pub(crate) async fn holds_repository(&self) -> bool {
        let key = self.key("kopia.repository");
        self.client().head_object().bucket(&self.bucket).key(key).send().await.is_ok()
    }

    fn client(&self) -> Client {
        self.regional.client()
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// A blob, in whatever layout it lies.
    async fn get(
        &self,
        id: &BlobId,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        into.clear();
        if range.as_ref().is_some_and(Range::is_empty) {
            self.info(id).await?;
            return Ok(into);
        }
        let got = self.get_at(id, id.as_str(), range.clone(), into).await;
        let ask = |path: String| {
            let range = range.clone();
            async move { self.get_at(id, &path, range, Vec::new()).await }
        };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn get_at(
        &self,
        id: &BlobId,
        path: &str,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let version = match &self.past {
            Some(past) => Some(self.version(past, id, path).await?.id),
            None => None,
        };
        let header = range.as_ref().map(|r| format!("bytes={}-{}", r.start, r.end - 1));
        let request = self.client().get_object().bucket(&self.bucket).key(self.key(path));
        let answer = request.set_range(header).set_version_id(version).send().await;
        let answer = answer.map_err(|e| self.failed(e, "getting it").of(id))?;
        let expected = match &range {
            None => answer.content_length().and_then(|n| u64::try_from(n).ok()),
            Some(range) => Some(check_range(range, answer.content_range()).map_err(|e| e.of(id))?),
        };
        let parts = futures::stream::try_unfold(answer.body, async |mut body| {
            Ok(body.try_next().await.map_err(broke_off)?.map(|part| (part, body)))
        });
        collect(parts, into, expected).await.map_err(|e| e.of(id))
    }

    async fn info(&self, id: &BlobId) -> Result<BlobInfo, BlobError> {
        let got = self.info_at(id, id.as_str()).await;
        let ask = |path: String| async move { self.info_at(id, &path).await };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn info_at(&self, id: &BlobId, path: &str) -> Result<BlobInfo, BlobError> {
        if let Some(past) = &self.past {
            let Version { len, modified_ns, .. } = self.version(past, id, path).await?;
            return Ok(BlobInfo { id: id.clone(), len, modified_ns });
        }
        let answer = self.client().head_object().bucket(&self.bucket).key(self.key(path)).send().await;
        let answer = answer.map_err(|e| self.failed(e, "looking at it").of(id))?;
        let len = answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(BlobInfo { id: id.clone(), len, modified_ns: nanos(answer.last_modified()) })
    }
}

impl Bucket for S3Blobs {
    async fn level(&self, begin: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        S3Blobs::level(self, begin, limit).await
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

impl BlobReader for S3Blobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(self.get(id, range, into))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.blobs(prefix, usize::MAX))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(self.info(id))
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.blobs(prefix, 1).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.elsewhere.look(self))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        self.http.usage()
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: 32, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
}

fn nanos(time: Option<&aws_smithy_types::DateTime>) -> i64 {
    time.map_or(0, |t| i64::try_from(t.as_nanos()).unwrap_or(0))
}
