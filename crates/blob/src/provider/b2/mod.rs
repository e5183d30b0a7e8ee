//! A repository in a bucket of Backblaze B2, through its own protocol (§1.7).
//!
//! Needs a key that may list and read files; one that is restricted to the bucket, or to names in it, will do.

mod answers;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use answers::{Account, Buckets, Page, modified_ns};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rekopia_format::BlobId;
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;

use crate::client::collect::collect;
use crate::client::credentials::{Freshness, Held};
use crate::client::http::{Http, Trust, by_status, check_range, header, plain_code};
use crate::client::whole::{html_instead, is_html};
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::{Bucket, FarElsewhere, Member};
use crate::folders::names::is_blob;
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageTraits, Usage};
use crate::settings::{B2Settings, Secret};

/// Reads blobs from a bucket.
#[derive(Debug)]
pub struct B2Blobs {
    http: Http,
    /// Where to sign in.
    endpoint: String,
    key_id: String,
    key: Secret,
    bucket: String,
    prefix: String,
    /// Where requests go, for messages.
    place: String,
    /// Made by the first request, made anew when its token has expired.
    session: Held<Arc<Session>>,
    elsewhere: FarElsewhere,
}

/// What signing in gave.
#[derive(Debug)]
struct Session {
    token: Secret,
    api_url: String,
    download_url: String,
    bucket_id: String,
}

/// A refusal: what it means, and whether a fresh token may help.
struct Refused {
    error: BlobError,
    expired: bool,
}

impl From<BlobError> for Refused {
    fn from(error: BlobError) -> Self {
        Refused { error, expired: false }
    }
}

const ENDPOINT: &str = "https://api.backblazeb2.com";
/// The longest answer that is not a blob.
const MOST: usize = 64 << 20;
/// Names of one page; the most that B2 gives.
const PAGE: usize = 10_000;
/// What stays as it is in a file's URL.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl B2Blobs {
    /// Makes a client; sends nothing yet.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for fields that are missing or cannot be understood.
    pub fn new(settings: &B2Settings, deadlines: Deadlines) -> Result<Self, BlobError> {
        let wrong = |what: &str| BlobError::new(BlobErrorKind::Settings, what);
        if settings.key_id.is_empty() {
            return Err(wrong("field \"keyID\" is missing; B2_KEY_ID sets it, too"));
        }
        if settings.key.is_empty() {
            return Err(wrong("field \"key\" is missing; B2_KEY sets it, too"));
        }
        let endpoint = match settings.endpoint.trim_end_matches('/') {
            "" => ENDPOINT,
            text if text.contains('@') => return Err(wrong("field \"endpoint\" must be an address alone")),
            text if text.starts_with("http://") || text.starts_with("https://") => text,
            _ => return Err(wrong("field \"endpoint\" is neither http://… nor https://…")),
        };
        let at = if endpoint == ENDPOINT { String::new() } else { format!(" at {endpoint}") };
        let trust = Trust { ca_file: settings.ca_file.as_deref(), ..Trust::default() };
        Ok(B2Blobs {
            http: Http::new(trust, deadlines)?,
            endpoint: endpoint.to_owned(),
            key_id: settings.key_id.clone(),
            key: settings.key.clone(),
            bucket: settings.bucket.clone(),
            prefix: settings.prefix.clone(),
            place: format!("b2://{}/{}{at}", settings.bucket, settings.prefix),
            session: Held::new(deadlines.patience),
            elsewhere: FarElsewhere::default(),
        })
    }

    /// The current session; another one when that one was refused.
    async fn session(&self) -> Result<Arc<Session>, BlobError> {
        self.session.get(|_| Freshness::Good, |_| async { Ok(Arc::new(self.sign_in().await?)) }).await
    }

    async fn sign_in(&self) -> Result<Session, BlobError> {
        let url = self.url(&self.endpoint, "/b2api/v4/b2_authorize_account")?;
        let request = self.http.request(Method::GET, url).basic_auth(&self.key_id, Some(self.key.expose()));
        let answer =
            self.answer(request, "signing in").await.map_err(|refused| match refused.error.kind() {
                BlobErrorKind::Denied => {
                    let what = format!("{}: signing in: check the key and its ID", self.place);
                    BlobError::new(BlobErrorKind::Denied, what)
                }
                _ => refused.error,
            })?;
        let account: Account = self.json(answer, "signing in").await?;
        let api = account.api_info.storage_api;
        for url in [&api.api_url, &api.download_url] {
            // Where a token is sent decides the service; only a plain endpoint may lead to plain addresses.
            if !url.starts_with("https://") && !self.endpoint.starts_with("http://") {
                let what = format!("{}: signing in led to an address without TLS", self.place);
                return Err(BlobError::new(BlobErrorKind::Settings, what));
            }
        }
        let names = api.allowed.name_prefix.unwrap_or_default();
        if !self.prefix.starts_with(&names) {
            let what = format!("{}: the key opens only names that begin with {names:?}", self.place);
            return Err(BlobError::new(BlobErrorKind::Denied, what));
        }
        let token = Secret::new(account.authorization_token);
        let bucket_id = match api.allowed.buckets {
            Some(buckets) => {
                buckets.into_iter().find(|b| b.name.as_deref() == Some(&self.bucket)).map(|b| b.id)
            }
            None => self.find_bucket(&api.api_url, &token, &account.account_id).await?,
        };
        let bucket_id = bucket_id.ok_or_else(|| {
            let what = format!("{}: the key opens no bucket of this name", self.place);
            BlobError::new(BlobErrorKind::Settings, what)
        })?;
        Ok(Session { token, api_url: api.api_url, download_url: api.download_url, bucket_id })
    }

    /// Asks for the bucket's ID: a key that is not restricted does not tell.
    async fn find_bucket(
        &self,
        api: &str,
        token: &Secret,
        account: &str,
    ) -> Result<Option<String>, BlobError> {
        let body = serde_json::json!({ "accountId": account, "bucketName": self.bucket });
        let request = self
            .http
            .request(Method::POST, self.url(api, "/b2api/v4/b2_list_buckets")?)
            .header("authorization", token.expose())
            .header("content-type", "application/json")
            .body(body.to_string());
        let doing = "looking for the bucket";
        let answer = self.answer(request, doing).await.map_err(|refused| match refused.error.kind() {
            BlobErrorKind::Denied => {
                let what = format!(
                    "{}: {doing}: the key must be allowed to list buckets or be restricted to this one",
                    self.place
                );
                BlobError::new(BlobErrorKind::Denied, what)
            }
            _ => refused.error,
        })?;
        let buckets: Buckets = self.json(answer, doing).await?;
        let named = |b: &answers::Bucket| b.bucket_name == self.bucket;
        Ok(buckets.buckets.into_iter().find(named).map(|b| b.bucket_id))
    }

    /// Sends a request that `build` makes for a session; once more with a fresh session when the token has expired.
    async fn send(
        &self,
        doing: &str,
        build: impl Fn(&Session) -> Result<(Method, Url, Option<String>), BlobError>,
    ) -> Result<Response, BlobError> {
        let mut session = self.session().await?;
        let mut fresh = false;
        loop {
            let (method, url, range) = build(&session)?;
            let mut request = self.http.request(method, url).header("authorization", session.token.expose());
            if let Some(range) = range {
                request = request.header("range", range);
            }
            match self.answer(request, doing).await {
                Ok(answer) => return Ok(answer),
                Err(refused) if refused.expired && !fresh => {
                    self.session.refuse(|used| Arc::ptr_eq(used, &session));
                    session = self.session().await?;
                    fresh = true;
                }
                Err(refused) => return Err(refused.error),
            }
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder, doing: &str) -> Result<Response, Refused> {
        let doing = format!("{}: {doing}", self.place);
        let answer = self.http.send(request).await.map_err(|e| e.while_doing(&doing))?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(answer);
        }
        let wait = header(&answer, "retry-after").map(str::to_owned);
        let text = self.http.refusal(answer).await;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let code = plain_code(json.get("code").and_then(serde_json::Value::as_str).unwrap_or_default());
        let (kind, advice) = classify(status, code, text.is_empty());
        let words = match kind {
            BlobErrorKind::Unavailable if is_html(text.as_bytes()) => {
                "(an HTML page: a proxy or login page answers in the storage's place)".into()
            }
            BlobErrorKind::Unavailable => one_line(json.get("message").and_then(serde_json::Value::as_str)),
            _ => String::new(),
        };
        let said = format!("{doing}: HTTP {status} {code} {words}");
        let error = BlobError::new(kind, format!("{}{advice}", said.trim_end()));
        let error = by_status(error, status, wait.as_deref());
        // An answer to HEAD has no code.
        let expired = status == 401 && matches!(code, "expired_auth_token" | "bad_auth_token" | "");
        Err(Refused { error, expired })
    }

    async fn json<T: DeserializeOwned>(&self, answer: Response, doing: &str) -> Result<T, BlobError> {
        let broken = |what: &str| {
            let what = format!("{}: {doing}: {what}", self.place);
            BlobError::new(BlobErrorKind::Unavailable, what)
        };
        let text = self.http.text(answer, MOST).await.map_err(|e| e.while_doing(&self.place))?;
        let text = text.ok_or_else(|| broken("the answer does not end"))?;
        if is_html(&text) {
            return Err(html_instead("B2's answer").while_doing(&format!("{}: {doing}", self.place)));
        }
        // The parser's own message may quote a token.
        serde_json::from_slice(&text).map_err(|e| {
            let what = format!("an answer that cannot be understood (column {})", e.column());
            broken(&what).transient()
        })
    }

    fn url(&self, base: &str, path: &str) -> Result<Url, BlobError> {
        let wrong = |e| {
            let what = format!("{}: not an address", self.place);
            BlobError::new(BlobErrorKind::Settings, what).because(e)
        };
        Url::parse(&format!("{base}{path}")).map_err(wrong)
    }

    fn file_url(&self, session: &Session, below: &str) -> Result<Url, BlobError> {
        let name = format!("{}{below}", self.prefix);
        let path = format!(
            "/file/{}/{}",
            utf8_percent_encode(&self.bucket, PLAIN),
            utf8_percent_encode(&name, PLAIN)
        );
        let url = self.url(&session.download_url, &path)?;
        if url.path().ends_with(&path) {
            return Ok(url);
        }
        let what = format!("{}: a prefix must not hold \".\" or \"..\" folders", self.place);
        Err(BlobError::new(BlobErrorKind::Settings, what))
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
        let mut answer = self.send("getting it", build).await?;
        if range.is_some() {
            answer = self.http.with_range(answer).await.map_err(|e| e.while_doing(&self.place))?;
        }
        let expected = match &range {
            None => answer.content_length(),
            Some(range) => Some(check_range(range, header(&answer, "content-range"))?),
        };
        let sum = header(&answer, "x-bz-content-sha1").filter(|_| range.is_none()).map(str::to_owned);
        let bytes = collect(self.http.body(answer), into, expected).await?;
        match sum {
            Some(sum) if is_other(&sum, &bytes) => {
                let what = format!("{}: getting it: other bytes than its SHA-1 is of", self.place);
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
        let answer = self.send("looking at it", build).await?;
        let header = |name| header(&answer, name);
        let len = header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        let uploaded_ms = header("x-bz-upload-timestamp").and_then(|v| v.parse().ok()).unwrap_or(0);
        let modified_ns = modified_ns(uploaded_ms, header("x-bz-info-kopia-mtime"));
        Ok(BlobInfo { id: id.clone(), len, modified_ns })
    }

    /// All blobs, or at least the first `limit`.
    async fn names(&self, prefix: &str, limit: usize) -> Result<Vec<BlobInfo>, BlobError> {
        self.elsewhere.names(self, prefix, limit).await
    }

    /// The files and folders whose names begin so, up to the next slash; whole names, less the prefix of the repository.
    /// May stop when there are `limit` blobs.
    async fn level(&self, prefix: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        let doing = format!("listing {prefix:?}");
        let whole = format!("{}{prefix}", self.prefix);
        let count = PAGE.min(limit.max(100)).to_string();
        let (mut found, mut blobs) = (Vec::new(), 0);
        let mut next: Option<String> = None;
        loop {
            let build = |session: &Session| {
                let mut url = self.url(&session.api_url, "/b2api/v4/b2_list_file_names")?;
                let mut query = url.query_pairs_mut();
                query.append_pair("bucketId", &session.bucket_id).append_pair("maxFileCount", &count);
                query.append_pair("prefix", &whole).append_pair("delimiter", "/");
                if let Some(next) = &next {
                    query.append_pair("startFileName", next);
                }
                drop(query);
                Ok((Method::GET, url, None))
            };
            let answer = self.send(&doing, build).await?;
            let page: Page = self.json(answer, &doing).await?;
            for file in page.files {
                let Some(name) = file.file_name.strip_prefix(self.prefix.as_str()) else { continue };
                match file.action.as_str() {
                    "upload" => {
                        let modified_ns = modified_ns(file.upload_timestamp.unwrap_or(0), file.copied_time());
                        let len = file.content_length.ok_or_else(|| {
                            let what = format!("{}: {doing}: {name} without its length", self.place);
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
                        let what = format!("{}: {doing}: it does not go on", self.place);
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

/// A server's words, without what would break a line of ours.
fn one_line(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

fn classify(status: u16, code: &str, silent: bool) -> (BlobErrorKind, &'static str) {
    match (status, code) {
        (_, "bad_bucket_id" | "no_such_bucket") => (BlobErrorKind::Settings, "; there is no such bucket"),
        (_, "cap_exceeded" | "download_cap_exceeded" | "transaction_cap_exceeded") => {
            (BlobErrorKind::Denied, "; raise the account's cap or wait for the next day")
        }
        (404, "not_found" | "file_not_present" | "no_such_file") => (BlobErrorKind::NotFound, ""),
        // The answer to HEAD has no body, and so no code.
        (404, "") if silent => (BlobErrorKind::NotFound, ""),
        (404, _) => (BlobErrorKind::Unavailable, "; check the endpoint"),
        (416, _) => (BlobErrorKind::Truncated, ""),
        (401 | 403, _) => (BlobErrorKind::Denied, "; the key must be allowed to list and read files"),
        _ => (BlobErrorKind::Unavailable, ""),
    }
}

impl Bucket for B2Blobs {
    async fn level(&self, begin: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        B2Blobs::level(self, begin, limit).await
    }

    fn place(&self) -> String {
        self.place.clone()
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
        self.http.usage()
    }

    fn traits(&self) -> StorageTraits {
        StorageTraits { in_flight: 32, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.place.clone()
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
