//! Reads a repository in a collection of a WebDAV server, in Kopia's sharded layout (§1.3, §1.5).

mod listing;

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use rekopia_format::BlobId;
use rekopia_format::Time;
use reqwest::{Method, Response, StatusCode, Url};

use crate::client::answers::{by_status, check_range, header};
use crate::client::collect::collect;
use crate::client::http::Http;
use crate::client::trust::Trust;
use crate::client::whole::{html_instead, is_html};
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::{FarFolders, FarLayout, Member, Sharded};
use crate::folders::sharded::Folder;
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};
use crate::settings::{Secret, WebdavSettings};

/// Reads blobs from a WebDAV server.
#[derive(Debug)]
pub struct WebdavBlobs {
    http: Http,
    /// The collection; ends with `/`.
    root: Url,
    username: String,
    password: Secret,
    layout: FarLayout,
    /// Collections that are listed at once.
    in_flight: usize,
}

/// Bytes of the longest listing of one collection.
const MAX_LISTING: usize = 256 << 20;
/// Bytes of the longest `.shards`.
const MAX_SHARDS: usize = 1 << 20;
/// The requests in flight that suit a server that is one machine.
const IN_FLIGHT: usize = 16;

impl WebdavBlobs {
    /// Makes a client; sends nothing yet. `in_flight` bounds the collections that are listed at once; `None`: what
    /// suits a server that is one machine.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for a URL that is none, or certificates that are none.
    pub fn open(
        settings: &WebdavSettings,
        deadlines: Deadlines,
        in_flight: Option<usize>,
    ) -> Result<Self, BlobError> {
        let wrong = |what: &str| BlobError::new(BlobErrorKind::Settings, what);
        let settings = settings.clone().tidy();
        let mut root =
            Url::parse(&settings.url).map_err(|e| wrong("field \"url\" is not a URL").because(e))?;
        if !matches!(root.scheme(), "http" | "https") {
            return Err(wrong("field \"url\" is neither http:// nor https://"));
        }
        if !root.path().ends_with('/') {
            let path = format!("{}/", root.path());
            root.set_path(&path);
        }
        let trust = Trust {
            ca_file: settings.ca_file.as_deref(),
            ca_pem: &[],
            anyone: settings.do_not_verify_tls,
            fingerprint: &settings.trusted_server_certificate_fingerprint,
        };
        Ok(WebdavBlobs {
            http: Http::new(trust, deadlines)?,
            root,
            username: settings.username,
            password: settings.password,
            layout: FarLayout::new(settings.dir_shards),
            in_flight: in_flight.unwrap_or(IN_FLIGHT).clamp(1, IN_FLIGHT),
        })
    }

    /// Returns the URL of `path` below the collection, folders separated by `/`; all characters in it stay there.
    fn url(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        if let (false, Ok(mut segments)) = (path.is_empty(), url.path_segments_mut()) {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
    ) -> Result<Response, BlobError> {
        let doing = || format!("{}: {method} {path}", self.describe());
        let mut request = self.http.request(method.clone(), self.url(path));
        if !self.username.is_empty() || !self.password.is_empty() {
            request = request.basic_auth(&self.username, Some(self.password.expose()));
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = self.http.send(request).await.map_err(|e| e.while_doing(&doing()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let what = format!("{}: HTTP {}", doing(), status.as_u16());
        Err(match status {
            StatusCode::NOT_FOUND => BlobError::new(BlobErrorKind::NotFound, what),
            StatusCode::RANGE_NOT_SATISFIABLE => BlobError::new(BlobErrorKind::Truncated, what),
            StatusCode::UNAUTHORIZED => {
                BlobError::new(BlobErrorKind::Denied, format!("{what}; check user name and password"))
            }
            StatusCode::FORBIDDEN => BlobError::new(BlobErrorKind::Denied, what),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                BlobError::new(BlobErrorKind::Settings, format!("{what}; is this a WebDAV server?"))
            }
            _ => {
                let error = BlobError::new(BlobErrorKind::Unavailable, what);
                by_status(error, status.as_u16(), header(&answer, "retry-after"))
            }
        })
    }

    async fn get(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        into.clear();
        let headers: Vec<_> = range
            .iter()
            .map(|r| ("range", format!("bytes={}-{}", r.start, r.end.saturating_sub(1))))
            .collect();
        let answer = self.send(Method::GET, path, &headers).await?;
        let doing = format!("{}: GET {path}", self.describe());
        let (whole, given) = (answer.content_length(), header(&answer, "content-range"));
        let bytes = match &range {
            None => collect(self.http.body(answer), into, whole).await,
            // A server may not know ranges: then the blob comes from its beginning.
            Some(range) if given.is_none() && answer.status() == StatusCode::OK => {
                if whole.is_some_and(|n| n < range.end) {
                    let what = format!("{doing}: it ends too early");
                    return Err(BlobError::new(BlobErrorKind::Truncated, what));
                }
                let parts = cut(self.http.body(answer), range.clone());
                collect(parts, into, Some(range.end - range.start)).await
            }
            Some(range) => match check_range(range, given) {
                Ok(len) => collect(self.http.body(answer), into, Some(len)).await,
                Err(e) => Err(e),
            },
        };
        bytes.map_err(|e| e.while_doing(&doing))
    }

    async fn listing(&self, folder: &str) -> Result<Vec<listing::Member>, BlobError> {
        let method = Method::from_bytes(b"PROPFIND");
        let method = method.map_err(|e| BlobError::new(BlobErrorKind::Settings, "PROPFIND").because(e))?;
        let answer = self.send(method, folder, &[("depth", "1".into())]).await?;
        let doing = format!("{}: the listing of {folder:?}", self.describe());
        let text = self.http.text(answer, MAX_LISTING).await.map_err(|e| e.while_doing(&doing))?;
        let text =
            text.ok_or_else(|| BlobError::new(BlobErrorKind::Unavailable, format!("{doing} does not end")))?;
        if is_html(&text) {
            return Err(html_instead("a listing").while_doing(&doing));
        }
        listing::parse(&text).map_err(|e| {
            let what = format!("{doing} cannot be understood");
            BlobError::new(BlobErrorKind::Unavailable, what).because(e).transient()
        })
    }

    async fn head(&self, path: &str) -> Result<(u64, i64), BlobError> {
        let answer = self.send(Method::HEAD, path, &[]).await?;
        let len = header(&answer, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        Ok((len, header(&answer, "last-modified").map_or(0, listing::http_date)))
    }
}

/// Cuts the bytes of `range` out of the parts of a whole blob.
fn cut(
    parts: impl Stream<Item = Result<Bytes, BlobError>>,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, BlobError>> {
    let start = (Box::pin(parts), range.start, range.end - range.start);
    futures::stream::try_unfold(start, async |(mut parts, mut before, mut left)| {
        while left > 0 {
            let Some(mut part) = parts.try_next().await? else { break };
            let skipped = before.min(part.len() as u64);
            before -= skipped;
            let _ = part.split_to(usize::try_from(skipped).unwrap_or(part.len()));
            part.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= part.len() as u64;
            if !part.is_empty() {
                return Ok(Some((part, (parts, before, left))));
            }
        }
        Ok(None)
    })
}

impl FarFolders for WebdavBlobs {
    async fn members(&self, folder: &Folder) -> Result<Vec<Member>, BlobError> {
        let path = folder.path.as_str();
        let listing = match self.listing(path).await {
            Err(e) if e.is_not_found() && folder.is_root() => {
                return Err(BlobError::new(
                    BlobErrorKind::NoPlace,
                    format!("{}; there is no such folder", e.what()),
                ));
            }
            Err(e) if e.is_not_found() => return Ok(Vec::new()),
            other => other?,
        };
        let own = listing::own_path(&listing, &listing::decoded(self.url(path).path()));
        if own.is_none() {
            let what = format!("{}: the listing of {path:?} does not have itself", self.describe());
            return Err(BlobError::new(BlobErrorKind::Unavailable, what).transient());
        }
        let member = |member: &listing::Member| {
            let name = member.path.strip_prefix(own?)?.trim_matches('/').to_owned();
            let (len, modified_ns) = (member.len, member.modified_ns);
            Some(Member { name, is_folder: member.is_collection, len, modified_ns })
        };
        Ok(listing.iter().filter_map(member).collect())
    }

    fn looks(&self) -> usize {
        self.in_flight
    }

    fn place(&self) -> String {
        self.describe()
    }
}

impl Sharded for WebdavBlobs {
    async fn shards(&self) -> Result<Vec<u8>, BlobError> {
        let answer = self.send(Method::GET, ".shards", &[]).await?;
        let doing = || format!("{}: GET .shards", self.describe());
        let text = self.http.text(answer, MAX_SHARDS).await.map_err(|e| e.while_doing(&doing()))?;
        let text = text
            .ok_or_else(|| BlobError::new(BlobErrorKind::Damaged, format!("{}: it does not end", doing())))?;
        Ok(text.to_vec())
    }
}

impl BlobReader for WebdavBlobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            if range.as_ref().is_some_and(Range::is_empty) {
                self.stat(id).await?;
                return Ok(Vec::new());
            }
            let mut into = into;
            let ask = |path: String| {
                let (range, into) = (range.clone(), std::mem::take(&mut into));
                async move { self.get(&path, range, into).await }
            };
            self.layout.find(self, id, ask).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.layout.list(self, prefix))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let ask = |path: String| async move { self.head(&path).await };
            let (len, modified_ns) = self.layout.find(self, id, ask).await?;
            Ok(BlobInfo { id: id.clone(), len, modified: Time::from_unix_nanos(modified_ns) })
        })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(self.layout.any(self, prefix))
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.layout.look_elsewhere(self))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        self.http.usage()
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: IN_FLIGHT, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.root.as_str().to_owned()
    }
}
