//! Reads a repository in a bucket of AWS S3 or of anything that speaks its protocol (§1.6, §1.10).
//!
//! Needs only permission to list and to get. Relies neither on checksums nor on ETags.

mod credentials;
mod failures;
mod http;
mod list;
mod objects;
mod open;
mod past;
mod region;
mod role;

use std::ops::Range;
use std::path::PathBuf;

use failures::broke_off;
use objects::{Objects, nanos};
use past::Version;
use rekopia_format::BlobId;
use rekopia_format::Time;

use crate::client::answers::check_range;
use crate::client::collect::collect;
use crate::error::BlobError;
use crate::folders::far::{Bucket, FarElsewhere, Member};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};

/// Reads blobs from a bucket.
#[derive(Debug)]
pub struct S3Blobs {
    objects: Objects,
    elsewhere: FarElsewhere,
}

impl S3Blobs {
    /// Returns a reader of the same bucket under another prefix, as it is now.
    pub(crate) fn at(&self, prefix: &str) -> Self {
        let Objects { regional, http, bucket, place, credentials, .. } = &self.objects;
        let objects = Objects {
            regional: regional.clone(),
            http: http.clone(),
            bucket: bucket.clone(),
            prefix: prefix.to_owned(),
            place: place.clone(),
            past: None,
            credentials: credentials.clone(),
        };
        S3Blobs { objects, elsewhere: FarElsewhere::default() }
    }

    /// Returns the folders directly below this prefix of the bucket, each with its slash: one page of a listing.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, BlobError> {
        let request = self
            .objects
            .client()
            .list_objects_v2()
            .bucket(&self.objects.bucket)
            .prefix(prefix)
            .delimiter("/");
        let page = request.send().await.map_err(|e| self.objects.failed(e, "listing folders"))?;
        Ok(page.common_prefixes().iter().filter_map(|p| p.prefix().map(str::to_owned)).collect())
    }

    /// Whether a format blob lies here; no when that cannot be told.
    pub(crate) async fn holds_repository(&self) -> bool {
        let key = self.objects.key("kopia.repository");
        self.objects.client().head_object().bucket(&self.objects.bucket).key(key).send().await.is_ok()
    }

    /// Reads a blob, in whatever layout it lies.
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
        let version = match &self.objects.past {
            Some(past) => Some(self.objects.version(past, id, path).await?.id),
            None => None,
        };
        let header = range.as_ref().map(|r| format!("bytes={}-{}", r.start, r.end - 1));
        let request =
            self.objects.client().get_object().bucket(&self.objects.bucket).key(self.objects.key(path));
        let answer = request.set_range(header).set_version_id(version).send().await;
        let answer = answer.map_err(|e| self.objects.failed(e, "getting it").of(id))?;
        let expected = match &range {
            None => answer.content_length().and_then(|n| u64::try_from(n).ok()),
            Some(range) => Some(check_range(range, answer.content_range()).map_err(|e| e.of(id))?),
        };
        let parts = futures::stream::try_unfold(answer.body, async |mut body| {
            Ok(body.try_next().await.map_err(broke_off)?.map(|part| (part, body)))
        });
        collect(parts, into, expected).await.map_err(|e| e.of(id))
    }

    /// Lists the blobs that there are, or were; may stop when `limit` are found.
    async fn blobs(&self, prefix: &str, limit: usize) -> Result<Vec<BlobInfo>, BlobError> {
        self.elsewhere.names(self, prefix, limit).await
    }

    async fn info(&self, id: &BlobId) -> Result<BlobInfo, BlobError> {
        let got = self.info_at(id, id.as_str()).await;
        let ask = |path: String| async move { self.info_at(id, &path).await };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn info_at(&self, id: &BlobId, path: &str) -> Result<BlobInfo, BlobError> {
        if let Some(past) = &self.objects.past {
            let Version { len, modified_ns, .. } = self.objects.version(past, id, path).await?;
            return Ok(BlobInfo { id: id.clone(), len, modified: Time::from_unix_nanos(modified_ns) });
        }
        let answer = self
            .objects
            .client()
            .head_object()
            .bucket(&self.objects.bucket)
            .key(self.objects.key(path))
            .send()
            .await;
        let answer = answer.map_err(|e| self.objects.failed(e, "looking at it").of(id))?;
        let len = answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(BlobInfo { id: id.clone(), len, modified: Time::from_unix_nanos(nanos(answer.last_modified())) })
    }
}

impl Bucket for S3Blobs {
    async fn level(&self, begin: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        self.objects.level(begin, limit).await
    }

    fn place(&self) -> String {
        self.objects.place.clone()
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
        self.objects.http.usage()
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: 32, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.objects.place.clone()
    }
}
