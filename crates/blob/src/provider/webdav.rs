//! A repository in a collection of a WebDAV server, in Kopia's sharded layout (§1.3, §1.5).

use std::ops::Range;

use percent_encoding::percent_decode_str;
use rekopia_format::BlobId;
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::dav_listing;
use super::http::{Trust, client, no_answer};
use super::sharded::{Folders, Layout, Member, Walk, seen_in, walk};
use crate::connect::{Secret, WebdavSettings};
use crate::{BlobError, BlobErrorKind, BlobInfo, BlobReader, BoxFuture, StorageTraits};

/// Reads blobs from a WebDAV server.
#[derive(Debug)]
pub struct WebdavBlobs {
    client: Client,
    /// The collection; ends with `/`.
    root: Url,
    username: String,
    password: Secret,
    layout: Layout,
}

/// The longest listing of one collection, and the longest `.shards`.
const MAX_LISTING: usize = 256 << 20;

impl WebdavBlobs {
    /// Makes a client and reads the layout, which is one request.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for a URL that is none, [`BlobErrorKind::Damaged`] when `.shards` cannot be
    /// understood, and whatever the request gives.
    pub async fn open(settings: &WebdavSettings) -> Result<Self, BlobError> {
        let wrong = |what: &str| BlobError::new(BlobErrorKind::Settings, what);
        if !settings.trusted_server_certificate_fingerprint.is_empty() {
            let what = "field \"trustedServerCertificateFingerprint\" is not supported; name the certificate with ca=FILE";
            return Err(wrong(what));
        }
        let mut root =
            Url::parse(&settings.url).map_err(|e| wrong("field \"url\" is not a URL").because(e))?;
        if !matches!(root.scheme(), "http" | "https") {
            return Err(wrong("field \"url\" is neither http:// nor https://"));
        }
        if !root.path().ends_with('/') {
            let path = format!("{}/", root.path());
            root.set_path(&path);
        }
        let trust =
            Trust { ca_file: settings.ca_file.as_deref(), ca_pem: &[], anyone: settings.do_not_verify_tls };
        let dir_shards = settings.dir_shards.as_deref();
        let unknown = |e| wrong("the default layout").because(e);
        let mut blobs = WebdavBlobs {
            client: client(trust)?,
            root,
            username: settings.username.clone(),
            password: settings.password.clone(),
            layout: Layout::parse(None, dir_shards).map_err(unknown)?,
        };
        match blobs.get(".shards", None, Vec::new()).await {
            Ok(text) => {
                blobs.layout = match Layout::parse(Some(&text), dir_shards) {
                    Ok(layout) => layout,
                    Err(e) => Layout::instead(e, seen_in(&blobs).await?, &blobs.describe())?,
                };
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
        Ok(blobs)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
    ) -> Result<Response, BlobError> {
        let doing = || format!("{}: {method} {path}", self.describe());
        let wrong = |e| BlobError::new(BlobErrorKind::Settings, doing()).because(e);
        let mut request =
            self.client.request(method.clone(), self.root.join(&format!("./{path}")).map_err(wrong)?);
        if !self.username.is_empty() || !self.password.is_empty() {
            request = request.basic_auth(&self.username, Some(self.password.expose()));
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.map_err(no_answer)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let wait = answer.headers().get("retry-after").and_then(|t| t.to_str().ok()?.parse().ok());
        let what = format!("{}: HTTP {}", doing(), status.as_u16());
        Err(match status {
            StatusCode::NOT_FOUND => BlobError::new(BlobErrorKind::NotFound, what),
            StatusCode::RANGE_NOT_SATISFIABLE => BlobError::new(BlobErrorKind::Truncated, what),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => BlobError::new(BlobErrorKind::Denied, what),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let wait = std::time::Duration::from_secs(wait.unwrap_or(0).min(30));
                BlobError::new(BlobErrorKind::Unavailable, what).retry_after(wait)
            }
            _ if status.is_server_error() => BlobError::new(BlobErrorKind::Unavailable, what).transient(),
            _ => BlobError::new(BlobErrorKind::Unavailable, what),
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
        let mut answer = self.send(Method::GET, path, &headers).await?;
        let broke = |what: String| {
            BlobError::new(BlobErrorKind::Unavailable, format!("{}: {path}: {what}", self.describe()))
                .transient()
        };
        let mut expected = answer.content_length();
        if let Some(range) = &range {
            let given = answer.headers().get("content-range").and_then(|v| v.to_str().ok());
            let given = given.and_then(super::http::parse_content_range);
            match given {
                Some(given) if given == *range => expected = Some(range.end - range.start),
                Some(given) if given.start == range.start && given.end < range.end => {
                    return Err(BlobError::new(BlobErrorKind::Truncated, "it ends too early"));
                }
                _ => return Err(broke("another range than was asked for".into())),
            }
        }
        while let Some(part) = answer.chunk().await.map_err(no_answer)? {
            if into.len() + part.len() > usize::try_from(expected.unwrap_or(u64::MAX)).unwrap_or(usize::MAX) {
                return Err(broke("more bytes than announced".into()));
            }
            into.extend_from_slice(&part);
        }
        match expected {
            Some(n) if n != into.len() as u64 => Err(broke(format!("{} of {n} bytes", into.len()))),
            _ => Ok(into),
        }
    }

    async fn get_blob(
        &self,
        id: &BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let path = self.layout.path(id);
        match self.get(&path, range.clone(), into).await {
            Err(e) => self.get(&self.layout.elsewhere_in(self, id, &path, e).await?, range, Vec::new()).await,
            read => read,
        }
    }

    async fn head_blob(&self, id: &BlobId) -> Result<Response, BlobError> {
        let path = self.layout.path(id);
        match self.send(Method::HEAD, &path, &[]).await {
            Err(e) => {
                self.send(Method::HEAD, &self.layout.elsewhere_in(self, id, &path, e).await?, &[]).await
            }
            answer => answer,
        }
    }
}

impl Folders for WebdavBlobs {
    async fn members(&self, folder: &str) -> Result<Vec<Member>, BlobError> {
        let method = Method::from_bytes(b"PROPFIND");
        let method = method.map_err(|e| BlobError::new(BlobErrorKind::Settings, "PROPFIND").because(e))?;
        let mut answer = self.send(method, folder, &[("depth", "1".into())]).await?;
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(no_answer)? {
            if text.len() + part.len() > MAX_LISTING {
                let what = format!("{}: the listing of {folder:?} does not end", self.describe());
                return Err(BlobError::new(BlobErrorKind::Unavailable, what));
            }
            text.extend_from_slice(&part);
        }
        let members = dav_listing::parse(&text).map_err(|e| {
            let what = format!("{}: the listing of {folder:?} cannot be understood", self.describe());
            BlobError::new(BlobErrorKind::Unavailable, what).because(e).transient()
        })?;
        // The collection itself is among its members, without a name of its own.
        let own = percent_decode_str(self.root.path()).count() + folder.len();
        let named = members.into_iter().filter_map(|member| {
            let name = member.path.get(own..)?.trim_end_matches('/').to_owned();
            let is_folder = member.is_collection;
            Some(Member { name, is_folder, len: member.len, modified_ns: member.modified_ns })
        });
        Ok(named.collect())
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
            self.get_blob(id, range, into).await.map_err(|e| e.of(id))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move { Ok(walk(self, Walk::all(&[prefix])).await?.found()) })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let answer = self.head_blob(id).await.map_err(|e| e.of(id))?;
            let header =
                |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let len = header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
            let modified_ns = header("last-modified").map_or(0, |text| dav_listing::http_date(&text));
            Ok(BlobInfo { id: id.clone(), len, modified_ns })
        })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!walk(self, Walk::any(&[prefix])).await?.found().is_empty()) })
    }

    fn traits(&self) -> StorageTraits {
        StorageTraits { in_flight: 16, gap: 128 * 1024, local: false }
    }

    fn describe(&self) -> String {
        self.root.as_str().to_owned()
    }
}
