//! Reads a repository in a bucket of Backblaze B2, through its own protocol (§1.7).
//!
//! Needs a key that may list and read files; one that is restricted to the bucket, or to names in it, will do.

mod answers;
mod session;

use std::ops::Range;
use std::path::PathBuf;

use answers::{Page, modified_ns};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rekopia_format::BlobId;
use rekopia_format::Time;
use reqwest::{Method, Url};
use session::{Api, Session};

use crate::client::answers::{check_range, header, no_list};
use crate::client::collect::collect;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::{Bucket, FarElsewhere, Member};
use crate::folders::names::is_blob;
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};
use crate::settings::B2Settings;

/// Reads blobs from a bucket.
#[derive(Debug)]
pub struct B2Blobs {
    api: Api,
    elsewhere: FarElsewhere,
}

/// Names of one page: the most that B2 gives.
const PAGE: usize = 10_000;
/// The characters that stay as they are in a file's URL.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl B2Blobs {
    /// Makes a client; sends nothing yet.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for fields that are missing or cannot be understood.
    pub fn new(settings: &B2Settings, deadlines: Deadlines) -> Result<Self, BlobError> {
        Ok(B2Blobs { api: Api::new(settings, deadlines)?, elsewhere: FarElsewhere::default() })
    }

    fn file_url(&self, session: &Session, below: &str) -> Result<Url, BlobError> {
        let name = format!("{}{below}", self.api.prefix);
        let path = format!(
            "/file/{}/{}",
            utf8_percent_encode(&self.api.bucket, PLAIN),
            utf8_percent_encode(&name, PLAIN)
        );
        let url = self.api.url(&session.download_url, &path)?;
        if url.path().ends_with(&path) {
            return Ok(url);
        }
        let what = format!("{}: a prefix must not hold \".\" or \"..\" folders", self.api.place);
        Err(BlobError::new(BlobErrorKind::Settings, what))
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
        let got = self.get_at(id.as_str(), range.clone(), into).await;
        let ask = |path: String| {
            let range = range.clone();
            async move { self.get_at(&path, range, Vec::new()).await }
        };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn get_at(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let wanted = range.as_ref().map(|r| format!("bytes={}-{}", r.start, r.end - 1));
        let build = |session: &Session| Ok((Method::GET, self.file_url(session, path)?, wanted.clone()));
        let mut answer = self.api.send("getting it", build).await?;
        if range.is_some() {
            answer = self.api.http.with_range(answer).await.map_err(|e| e.while_doing(&self.api.place))?;
        }
        let expected = match &range {
            None => answer.content_length(),
            Some(range) => Some(check_range(range, header(&answer, "content-range"))?),
        };
        let sum = header(&answer, "x-bz-content-sha1").filter(|_| range.is_none()).map(str::to_owned);
        let bytes = collect(self.api.http.body(answer), into, expected).await?;
        match sum {
            Some(sum) if is_other(&sum, &bytes) => {
                let what = format!("{}: getting it: other bytes than its SHA-1 is of", self.api.place);
                Err(BlobError::new(BlobErrorKind::Unavailable, what).transient())
            }
            _ => Ok(bytes),
        }
    }

    async fn info(&self, id: &BlobId) -> Result<BlobInfo, BlobError> {
        let got = self.info_at(id, id.as_str()).await;
        let ask = |path: String| async move { self.info_at(id, &path).await };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn info_at(&self, id: &BlobId, path: &str) -> Result<BlobInfo, BlobError> {
        let build = |session: &Session| Ok((Method::HEAD, self.file_url(session, path)?, None));
        let answer = self.api.send("looking at it", build).await?;
        let header = |name| header(&answer, name);
        let len = header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        let uploaded_ms = header("x-bz-upload-timestamp").and_then(|v| v.parse().ok()).unwrap_or(0);
        let modified_ns = modified_ns(uploaded_ms, header("x-bz-info-kopia-mtime"));
        Ok(BlobInfo { id: id.clone(), len, modified: Time::from_unix_nanos(modified_ns) })
    }

    /// Lists all blobs, or at least the first `limit`.
    async fn names(&self, prefix: &str, limit: usize) -> Result<Vec<BlobInfo>, BlobError> {
        self.elsewhere.names(self, prefix, limit).await
    }

    /// Returns the files and folders whose names begin so, up to the next slash; whole names, less the prefix of the
    /// repository. May stop when there are `limit` blobs.
    async fn level(&self, prefix: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        let doing = format!("listing {prefix:?}");
        let whole = format!("{}{prefix}", self.api.prefix);
        let count = PAGE.min(limit.max(100)).to_string();
        let (mut found, mut blobs) = (Vec::new(), 0);
        let mut next: Option<String> = None;
        loop {
            let build = |session: &Session| {
                let mut url = self.api.url(&session.api_url, "/b2api/v4/b2_list_file_names")?;
                let mut query = url.query_pairs_mut();
                query.append_pair("bucketId", &session.bucket_id).append_pair("maxFileCount", &count);
                query.append_pair("prefix", &whole).append_pair("delimiter", "/");
                if let Some(next) = &next {
                    query.append_pair("startFileName", next);
                }
                drop(query);
                Ok((Method::GET, url, None))
            };
            let answer = self.api.send(&doing, build).await.map_err(no_list)?;
            let page: Page = self.api.json(answer, &doing).await?;
            for file in page.files {
                let Some(name) = file.file_name.strip_prefix(self.api.prefix.as_str()) else { continue };
                match file.action.as_str() {
                    "upload" => {
                        let modified_ns = modified_ns(file.upload_timestamp.unwrap_or(0), file.copied_time());
                        let len = file.content_length.ok_or_else(|| {
                            let what = format!("{}: {doing}: {name} without its length", self.api.place);
                            BlobError::new(BlobErrorKind::Unavailable, what).transient()
                        })?;
                        blobs += usize::from(is_blob(name));
                        found.push(Member { name: name.to_owned(), is_folder: false, len, modified_ns });
                    }
                    "folder" => found.push(Member::folder(name)),
                    _ => {}
                }
            }
            match page.next_file_name {
                Some(name) if blobs < limit => {
                    // Names come in order; a storage that does not go on would be asked for ever.
                    if next.as_ref().is_some_and(|last| *last >= name) {
                        let what = format!("{}: {doing}: it does not go on", self.api.place);
                        return Err(BlobError::new(BlobErrorKind::Unavailable, what).transient());
                    }
                    next = Some(name);
                }
                _ => return Ok(found),
            }
        }
    }
}

/// Whether bytes are not those of a SHA-1; large files, and those of some programs, have none.
fn is_other(sum: &str, bytes: &[u8]) -> bool {
    let sum = sum.strip_prefix("unverified:").unwrap_or(sum);
    let known = sum.len() == 40 && sum.bytes().all(|b| b.is_ascii_hexdigit());
    let own = || digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    known && own().as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>() != sum.to_ascii_lowercase()
}

impl Bucket for B2Blobs {
    async fn level(&self, begin: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        B2Blobs::level(self, begin, limit).await
    }

    fn place(&self) -> String {
        self.api.place.clone()
    }
}

impl BlobReader for B2Blobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move { self.get(id, range, into).await.map_err(|e| e.of(id)) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.names(prefix, usize::MAX))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move { self.info(id).await.map_err(|e| e.of(id)) })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.names(prefix, 1).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.elsewhere.look(self))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        self.api.http.usage()
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: 32, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.api.place.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_compared_when_there_is_one() {
        let sum = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert!(!is_other(sum, b"abc") && !is_other(&sum.to_uppercase(), b"abc") && is_other(sum, b"abd"));
        assert!(is_other(&format!("unverified:{sum}"), b"abd"));
        assert!(!is_other("none", b"abc") && !is_other("", b"abc"));
    }
}
