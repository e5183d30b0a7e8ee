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
    let answer = http.send(outgoing).await.map_err(|e| ConnectorError::io(e.into()))?;
    let status =
        StatusCode::try_from(answer.status().as_u16()).map_err(|e| ConnectorError::other(e.into(), None))?;
    let headers = answer.headers().clone();
    let body = reqwest::Body::wrap_stream(http.body(answer));
    // Everything but a blob is collected in memory.
    let body = if status.is_success() && request.uri().contains("x-id=GetObject") {
        SdkBody::from_body_1_x(body)
    } else {
        SdkBody::from_body_1_x(Limited::new(body, MOST))
    };
    let mut response = HttpResponse::new(status, body);
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
}
