//! Lets AWS's client speak through our own HTTP client: the same deadlines and the same trust as everywhere.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use super::credentials::{S3Credentials, speaks_of_expiry};
use crate::client::http::Http;
use crate::client::whole;
use crate::error::BlobError;

/// Bytes of the longest answer that is not a blob.
const MOST: usize = 64 << 20;
/// Bytes of the longest refusal.
const MOST_OF_A_REFUSAL: usize = 64 << 10;

/// Carries requests of AWS's client.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    http: Http,
    /// The client for the metadata services of the machine: never through a proxy.
    metadata: Http,
    /// The address that requests go to, whatever they say.
    instead: Option<String>,
    /// The keys to tell when they were refused.
    credentials: Arc<Mutex<Vec<Arc<S3Credentials>>>>,
}

impl Carrier {
    pub(super) fn new(http: &Http) -> Result<Self, BlobError> {
        let (http, metadata) = (http.clone(), http.direct()?);
        Ok(Carrier { http, metadata, instead: None, credentials: Arc::default() })
    }

    /// Makes the carrier send everything to `address`.
    pub(super) fn instead(mut self, address: Option<String>) -> Self {
        self.instead = address;
        self
    }

    /// Has these keys renewed when the storage says that they have expired.
    pub(super) fn tell(&self, credentials: &Arc<S3Credentials>) {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(credentials));
    }

    /// Notes that the key of a request was refused.
    fn refused(&self, request: &HttpRequest) {
        let of = |name| request.headers().get(name);
        let id = of("authorization").and_then(|a| a.split_once("Credential=")?.1.split('/').next());
        let Some(id) = id else { return };
        let all = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for credentials in all {
            credentials.refuse(id, of("x-amz-security-token"));
        }
    }

    async fn carry(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let http = if is_metadata(request.uri()) { &self.metadata } else { &self.http };
        let uri = self.instead.as_deref().unwrap_or(request.uri());
        let answer = carry(http, request, uri).await?;
        // The answer to HEAD has no code.
        let code = match answer.status().as_u16() {
            400 | 401 | 403 => answer.body().bytes().and_then(code_in),
            _ => None,
        };
        let unsaid = request.method() == "HEAD" && answer.status().as_u16() == 400;
        if unsaid || code.is_some_and(|code| speaks_of_expiry(&code)) {
            self.refused(request);
        }
        Ok(answer)
    }
}

/// Returns the code of a refusal in XML.
fn code_in(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    Some(text.split_once("<Code>")?.1.split_once("</Code>")?.0.to_owned())
}

fn is_metadata(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.starts_with("169.254.") || rest.starts_with("[fd00:ec2:")
}

impl HttpClient for Carrier {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Carrier {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let carrier = self.clone();
        HttpConnectorFuture::new(async move { carrier.carry(&request).await })
    }
}

async fn carry(http: &Http, request: &HttpRequest, uri: &str) -> Result<HttpResponse, ConnectorError> {
    let method = reqwest::Method::from_bytes(request.method().as_bytes())
        .map_err(|e| ConnectorError::other(e.into(), None))?;
    let mut outgoing = http.request(method, uri);
    for (name, value) in request.headers() {
        outgoing = outgoing.header(name, value);
    }
    if let Some(body) = request.body().bytes().filter(|b| !b.is_empty()) {
        outgoing = outgoing.body(body.to_vec());
    }
    let mut answer = http.send(outgoing).await.map_err(|e| ConnectorError::io(e.into()))?;
    if request.headers().get("range").is_some() {
        answer = http.with_range(answer).await.map_err(|e| ConnectorError::io(e.into()))?;
    }
    let status =
        StatusCode::try_from(answer.status().as_u16()).map_err(|e| ConnectorError::other(e.into(), None))?;
    let headers = answer.headers().clone();
    // Everything but a blob is collected in memory.
    let body = if status.is_success() && is_list(request.uri()) {
        // AWS's client takes a document that ends in the middle for a short one.
        let page = http.text(answer, MOST).await.map_err(|e| ConnectorError::io(e.into()))?;
        let page = page.unwrap_or_default();
        whole::list_page(&page).map_err(|e| ConnectorError::io(e.into()))?;
        SdkBody::from(page.to_vec())
    } else if !status.is_success() {
        // A refusal is brief; what it says is looked at here, too.
        let text = http.text(answer, MOST_OF_A_REFUSAL).await.map_err(|e| ConnectorError::io(e.into()))?;
        SdkBody::from(text.unwrap_or_default().to_vec())
    } else if request.uri().contains("x-id=GetObject") {
        SdkBody::from_body_1_x(reqwest::Body::wrap_stream(http.body(answer)))
    } else {
        SdkBody::from_body_1_x(Limited::new(reqwest::Body::wrap_stream(http.body(answer)), MOST))
    };
    let mut response = HttpResponse::new(status, body);
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
}

/// Whether a page of a listing is asked for: of objects, or of their versions.
fn is_list(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|pair| pair == "list-type=2" || pair.split('=').next() == Some("versions"))
}
