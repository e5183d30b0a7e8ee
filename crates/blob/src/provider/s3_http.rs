//! AWS's client speaks through our own HTTP client: the same deadlines and the same trust as everywhere.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use super::http::Http;
use super::whole;

/// The longest answer that is not a blob.
const MOST: usize = 64 << 20;

/// Carries requests of AWS's client.
#[derive(Debug, Clone)]
pub(super) struct Carrier(pub(super) Http);

impl HttpClient for Carrier {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Carrier {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.0.clone();
        HttpConnectorFuture::new(async move { carry(&http, &request).await })
    }
}

async fn carry(http: &Http, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let method = reqwest::Method::from_bytes(request.method().as_bytes())
        .map_err(|e| ConnectorError::other(e.into(), None))?;
    let mut outgoing = http.request(method, request.uri());
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
    } else if status.is_success() && request.uri().contains("x-id=GetObject") {
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
