//! Lets `object_store` speak through our own HTTP client: the same deadlines and the same trust as everywhere. What a
//! server refuses becomes an error with its cause here, where status, headers and text are still at hand.

use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::{Method, Response};

use super::credentials::Renewable;
use crate::client::answers::{by_status, header, plain_code};
use crate::client::http::Http;
use crate::client::whole::{self, is_html};
use crate::error::{BlobError, BlobErrorKind};

/// Marks a request for a blob's bytes: its answer is as long as the blob, others are short.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlobBytes;

/// Carries the requests of one store.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    /// The client for the storage and the service that gives tokens.
    pub(super) http: Http,
    /// The client for the metadata service of the machine: never through a proxy.
    pub(super) metadata: Http,
    /// The kind of signature that requests to the storage have.
    pub(super) signed: Signed,
}

/// The remedies when the storage says that a request is not signed as it should be.
#[derive(Debug, Clone, Default)]
pub(super) enum Signed {
    /// Nothing can be done.
    #[default]
    ForEver,
    /// There may be another token.
    Renewable(Arc<dyn Renewable>),
    /// The person has to bring another signature, to this place.
    #[cfg_attr(not(feature = "azure"), allow(dead_code, reason = "only Azure has them"))]
    Signature(&'static str),
}

/// Bytes of the longest answer that is not a blob: a page of a listing, a token.
const MOST: usize = 64 << 20;

impl HttpConnector for Carrier {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Carrier {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.carry(request).await.map_err(told)
    }
}

impl Carrier {
    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, BlobError> {
        let (head, body) = request.into_parts();
        let to_metadata = head.uri.host().is_some_and(is_metadata);
        let signing_in = to_metadata || head.method == Method::POST;
        let (to_head, to_get) = (head.method == Method::HEAD, head.method == Method::GET);
        let http = if to_metadata { &self.metadata } else { &self.http };
        let of_range = head.headers.contains_key("range");
        let authorization = head.headers.get("authorization").cloned();
        let mut outgoing = http.request(head.method, head.uri.to_string()).headers(head.headers);
        if let Some(bytes) = body.as_bytes().filter(|b| !b.is_empty()) {
            outgoing = outgoing.body(bytes.clone());
        }
        let answer = if to_metadata {
            http.try_send(outgoing).await.map_err(no_metadata)?
        } else {
            http.send(outgoing).await?
        };
        if !answer.status().is_success() {
            let (error, speaks) = refused(http, answer, signing_in, to_head).await;
            let authorization = authorization.as_ref().and_then(|a| a.to_str().ok()).unwrap_or_default();
            let query = head.uri.query().unwrap_or_default();
            if signing_in {
                return Err(error);
            }
            return Err(self.signed.refused(error, speaks, authorization, query));
        }
        let answer = if of_range { http.with_range(answer).await? } else { answer };
        let (status, headers) = (answer.status(), answer.headers().clone());
        if to_get && is_list(head.uri.query().unwrap_or_default()) {
            // Azure's marker and Google's `IsTruncated` are looked at by nobody else.
            let page = http.text(answer, MOST).await?.unwrap_or_default();
            whole::list_page(&page)?;
            let mut response = HttpResponse::new(HttpResponseBody::from(page.to_vec()));
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            return Ok(response);
        }
        let body = reqwest::Body::wrap_stream(http.body(answer));
        let body = body.map_err(|e| HttpError::new(HttpErrorKind::Unknown, e));
        let body = if head.extensions.get::<BlobBytes>().is_some() {
            HttpResponseBody::new(body)
        } else {
            let limited = Limited::new(body, MOST);
            HttpResponseBody::new(limited.map_err(|e| HttpError::new_boxed(HttpErrorKind::Unknown, e)))
        };
        let mut response = HttpResponse::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Whether a page of a listing is asked for: by Azure's query, or by S3's, which Google speaks.
fn is_list(query: &str) -> bool {
    query.split('&').any(|pair| pair == "comp=list" || pair == "list-type=2")
}

/// Makes an error that is not worth a second try to `object_store`: that is for the layer around us to decide.
fn told(e: BlobError) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, e)
}

fn is_metadata(host: &str) -> bool {
    host.starts_with("169.254.") || host == "metadata.google.internal"
}

/// Makes the error of a metadata service that does not answer: everywhere but in a cloud there is none; in a pod's
/// first seconds it may refuse.
fn no_metadata(e: reqwest::Error) -> BlobError {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&e);
    let mut refused = false;
    while let Some(cause) = next {
        let io = cause.downcast_ref::<std::io::Error>();
        refused |= io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
        next = cause.source();
    }
    let what =
        "no credentials: none are set, and there is no metadata service of a cloud that could give some";
    let error = BlobError::new(BlobErrorKind::Denied, what);
    if refused { error.transient() } else { error }
}

impl Signed {
    /// Makes the error of a request that was refused, when that `speaks` of how it was signed.
    fn refused(&self, error: BlobError, speaks: bool, authorization: &str, query: &str) -> BlobError {
        match self {
            Signed::Renewable(tokens) if speaks => {
                tokens.refuse(authorization);
                error.expired("the credentials were renewed")
            }
            Signed::Signature(place) if error.kind() == BlobErrorKind::Denied => {
                match end_of_signature(query) {
                    Some(end) if end <= Timestamp::now() => {
                        let what = format!(
                            "{}; the shared access signature has expired at {end}: it comes from {place}, set a new one there",
                            error.what()
                        );
                        BlobError::new(BlobErrorKind::Denied, what)
                    }
                    _ => error,
                }
            }
            _ => error,
        }
    }
}

/// Returns when the shared access signature in a query ends: a time, or a day.
fn end_of_signature(query: &str) -> Option<Timestamp> {
    let end = query.split('&').find_map(|pair| pair.strip_prefix("se="))?;
    let end = percent_encoding::percent_decode_str(end).decode_utf8().ok()?;
    let day = || format!("{end}T00:00:00Z").parse().ok();
    end.parse().ok().or_else(day)
}

/// Returns what a refusal means, and whether it speaks of how the request was signed.
async fn refused(http: &Http, answer: Response, signing_in: bool, to_head: bool) -> (BlobError, bool) {
    let status = answer.status().as_u16();
    let wait = header(&answer, "retry-after").map(str::to_owned);
    let named = header(&answer, "x-ms-error-code").map(str::to_owned);
    let text = http.refusal(answer).await;
    let code = named.or_else(|| code_in(&text)).unwrap_or_default();
    let code = plain_code(&code);
    let (kind, advice) = if signing_in { classify_sign_in(status) } else { classify(status, code, to_head) };
    let doing = if signing_in { "signing in: " } else { "" };
    let words = if kind == BlobErrorKind::Unavailable { words(&text) } else { String::new() };
    let said = format!("{doing}HTTP {status} {code}{words}");
    let error = BlobError::new(kind, format!("{}{advice}", said.trim_end()));
    (by_status(error, status, wait.as_deref()), speaks_of_credentials(status, code))
}

/// Whether a refusal may be about a token that is no longer good: Azure and Google answer 401 to every such one.
fn speaks_of_credentials(status: u16, code: &str) -> bool {
    let named =
        ["AuthenticationFailed", "InvalidAuthenticationInfo", "ExpiredToken", "InvalidToken", "TokenExpired"];
    status == 401 || matches!(status, 400 | 403) && named.contains(&code)
}

/// Returns what a server says of an error that we have no word for, in one line.
fn words(text: &str) -> String {
    if is_html(text.as_bytes()) {
        return " (an HTML page: a proxy or login page answers in the storage's place)".into();
    }
    let in_xml = || Some(text.split_once("<Message>")?.1.split_once("</Message>")?.0.to_owned());
    let in_json = || {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        Some(json.get("error")?.get("message")?.as_str()?.to_owned())
    };
    let said: String = in_xml().or_else(in_json).unwrap_or_default();
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if said.trim().is_empty() { said } else { format!(" {}", said.trim()) }
}

/// Returns the code in `<Code>BlobNotFound</Code>`, `{"error":"invalid_client"}` or `{"error":{"status":"NOT_FOUND"}}`.
fn code_in(text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("<Code>") {
        return rest.split_once("</Code>").map(|(code, _)| code.to_owned());
    }
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let error = json.get("error")?;
    error.as_str().or_else(|| error.get("status")?.as_str()).map(str::to_owned)
}

fn classify(status: u16, code: &str, to_head: bool) -> (BlobErrorKind, &'static str) {
    match (status, code) {
        (_, "ContainerNotFound" | "ContainerBeingDeleted" | "NoSuchBucket") => {
            (BlobErrorKind::Settings, "; there is no such container or bucket")
        }
        (_, "BlobArchived" | "BlobBeingRehydrated") => {
            (BlobErrorKind::Archived, "; bring the blobs back from the archive tier first")
        }
        (_, "AuthenticationFailed" | "InvalidAuthenticationInfo") => {
            (BlobErrorKind::Denied, "; check the key or token, and this machine's clock")
        }
        (_, "InvalidResourceName" | "InvalidBucketName" | "InvalidUri" | "OutOfRangeInput") => {
            (BlobErrorKind::Settings, "; the storage does not allow such a name")
        }
        (300..=399, _) => (BlobErrorKind::Settings, "; the server sends us elsewhere: check the endpoint"),
        // An answer to HEAD has no code, unless it is in a header.
        (404, "BlobNotFound" | "NoSuchKey" | "NOT_FOUND" | "notFound") => (BlobErrorKind::NotFound, ""),
        (404, "") if to_head => (BlobErrorKind::NotFound, ""),
        // Other codes are about the account, the address or whatever answers there: not about a blob.
        (404, _) => (BlobErrorKind::Unavailable, "; check the endpoint"),
        (416, _) => (BlobErrorKind::Truncated, ""),
        (401 | 403, _) => (BlobErrorKind::Denied, "; listing and getting must be allowed"),
        _ => (BlobErrorKind::Unavailable, ""),
    }
}

fn classify_sign_in(status: u16) -> (BlobErrorKind, &'static str) {
    match status {
        408 | 429 | 500..=599 => (BlobErrorKind::Unavailable, ""),
        _ => (BlobErrorKind::Denied, "; the identity is not accepted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_says_when_it_ends() {
        let end = |query| end_of_signature(query).map(|end| end.to_string());
        assert_eq!(end("sv=1&se=2026-01-02T03%3A04%3A05Z&sig=x").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(end("se=2026-01-02").as_deref(), Some("2026-01-02T00:00:00Z"));
        assert_eq!((end("sv=1"), end("se=soon")), (None, None));
    }

    #[test]
    fn finds_the_code_of_a_refusal() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>BlobArchived</Code><Message>no</Message></Error>";
        assert_eq!(code_in(xml).as_deref(), Some("BlobArchived"));
        assert_eq!(code_in(r#"{"error":"invalid_client","x":1}"#).as_deref(), Some("invalid_client"));
        assert_eq!(code_in(r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#).as_deref(), Some("NOT_FOUND"));
        assert_eq!(code_in("<html>no</html>"), None);
        assert_eq!((plain_code("Bad.Code_1"), plain_code("sig=secret&")), ("Bad.Code_1", ""));
    }

    #[test]
    fn refusals_have_their_kinds() {
        for (status, code, kind) in [
            (409, "BlobArchived", BlobErrorKind::Archived),
            (404, "ContainerNotFound", BlobErrorKind::Settings),
            (404, "BlobNotFound", BlobErrorKind::NotFound),
            (403, "AuthenticationFailed", BlobErrorKind::Denied),
            (416, "InvalidRange", BlobErrorKind::Truncated),
            (503, "ServerBusy", BlobErrorKind::Unavailable),
            (404, "NoSuchKey", BlobErrorKind::NotFound),
            (404, "", BlobErrorKind::Unavailable),
            (404, "ResourceNotFound", BlobErrorKind::Unavailable),
            (404, "XAdminUserNotFound", BlobErrorKind::Unavailable),
        ] {
            assert_eq!(classify(status, code, false).0, kind, "{status} {code}");
        }
        assert_eq!(classify(404, "", true).0, BlobErrorKind::NotFound, "HEAD has no body");
        assert_eq!(words("<Error><Message>no\nsuch user</Message></Error>"), " no such user");
        assert_eq!(words(r#"{"error":{"message":"who?"}}"#), " who?");
        assert!(words("<html>sign in</html>").contains("login page"));
        assert_eq!(classify_sign_in(400).0, BlobErrorKind::Denied);
        assert_eq!(classify_sign_in(503).0, BlobErrorKind::Unavailable);
    }
}
