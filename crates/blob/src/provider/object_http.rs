//! `object_store` speaks through our own HTTP client: the same deadlines and the same trust as everywhere. What a server
//! refuses becomes an error with its cause here, where status, headers and text are still at hand.

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::{Method, Response};

use super::http::{Http, by_status, header, plain_code};
use crate::{BlobError, BlobErrorKind};

/// Marks a request for a blob's bytes: its answer is as long as the blob, others are short.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlobBytes;

/// Carries the requests of one store.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    /// To the storage and to the service that gives tokens.
    pub(super) http: Http,
    /// To the metadata service of the machine: never through a proxy.
    pub(super) metadata: Http,
}

/// The longest answer that is not a blob: a page of a listing, a token.
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
        let http = if to_metadata { &self.metadata } else { &self.http };
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
            return Err(refused(http, answer, signing_in).await);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
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

/// Not worth a second try to `object_store`: that is for the layer around us to decide.
fn told(e: BlobError) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, e)
}

fn is_metadata(host: &str) -> bool {
    host.starts_with("169.254.") || host == "metadata.google.internal"
}

/// Nobody there is how it is everywhere but in a cloud; one that refuses for now is how a pod's first seconds are.
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

async fn refused(http: &Http, answer: Response, signing_in: bool) -> BlobError {
    let status = answer.status().as_u16();
    let wait = header(&answer, "retry-after").map(str::to_owned);
    let named = header(&answer, "x-ms-error-code").map(str::to_owned);
    let text = http.refusal(answer).await;
    let code = named.or_else(|| code_in(&text)).unwrap_or_default();
    let code = plain_code(&code);
    let (kind, advice) = if signing_in { classify_sign_in(status) } else { classify(status, code) };
    let doing = if signing_in { "signing in: " } else { "" };
    let said = format!("{doing}HTTP {status} {code}");
    let error = BlobError::new(kind, format!("{}{advice}", said.trim_end()));
    by_status(error, status, wait.as_deref())
}

/// `<Code>BlobNotFound</Code>`, `{"error":"invalid_client"}`, `{"error":{"status":"NOT_FOUND"}}`
fn code_in(text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("<Code>") {
        return rest.split_once("</Code>").map(|(code, _)| code.to_owned());
    }
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let error = json.get("error")?;
    error.as_str().or_else(|| error.get("status")?.as_str()).map(str::to_owned)
}

fn classify(status: u16, code: &str) -> (BlobErrorKind, &'static str) {
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
        (404, _) => (BlobErrorKind::NotFound, ""),
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
        ] {
            assert_eq!(classify(status, code).0, kind, "{status} {code}");
        }
        assert_eq!(classify_sign_in(400).0, BlobErrorKind::Denied);
        assert_eq!(classify_sign_in(503).0, BlobErrorKind::Unavailable);
    }
}
