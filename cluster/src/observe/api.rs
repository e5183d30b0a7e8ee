//! Reads from the API: a list in pages, one object.

use std::time::Duration;

use bytes::Bytes;
use futures::AsyncBufReadExt;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::objects::{Kind, Object, Secret};

/// Objects of a page.
const PAGE: usize = 500;
/// Time that an answer is waited for, with all that the client tries again by itself.
const PATIENCE: Duration = Duration::from_secs(45);
/// Number of times that a read is tried when the API is busy or away.
const TRIES: u32 = 4;

/// The API of one cluster.
#[derive(Clone)]
pub struct Api {
    client: Client,
    namespace: String,
}

/// The reason why a list did not come.
#[derive(Debug)]
pub enum ListError {
    /// The right is missing; with the API's sentence.
    Forbidden(String),
    /// The API group or the kind is not installed.
    NoSuchGroup,
    /// Nobody has logged in, or the token has ended.
    Unauthorized,
    /// The version that was asked for is too old: list anew.
    Expired,
    /// No answer came for long.
    Late(String),
    /// Anything else: the API is away, busy, or answers what cannot be read.
    Other(String),
}

impl std::fmt::Display for ListError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListError::Forbidden(why) | ListError::Late(why) | ListError::Other(why) => f.write_str(why),
            ListError::NoSuchGroup => f.write_str("not installed"),
            ListError::Unauthorized => f.write_str("the cluster does not accept the login; log in again"),
            ListError::Expired => f.write_str("too old a version was asked for"),
        }
    }
}

/// A list, and the version from which a watch goes on.
pub(super) struct Listed<T> {
    pub(super) objects: Vec<T>,
    pub(super) version: String,
    /// Objects that are not what their kind says.
    pub(super) unreadable: usize,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl Api {
    /// Makes an API through a client; the namespace is that of the context.
    #[must_use]
    pub fn new(client: Client, namespace: String) -> Self {
        Api { client, namespace }
    }

    /// Returns the namespace of the context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Lists all objects of a kind, of one namespace or of all, page by page. A list that ends in the middle is begun
    /// anew.
    pub(super) async fn list<T: Object>(
        &self,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Listed<T>, ListError> {
        let mut tries = 1;
        loop {
            match self.list_once(namespace, labels).await {
                Err(ListError::Expired | ListError::Other(_)) if tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn list_once<T: Object>(
        &self,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Listed<T>, ListError> {
        let path = T::KIND.path(namespace);
        let mut listed = Listed { objects: Vec::new(), version: String::new(), unreadable: 0 };
        let mut next = String::new();
        loop {
            let mut url = format!("{path}?limit={PAGE}");
            for (name, value) in [("labelSelector", labels), ("continue", next.as_str())] {
                if !value.is_empty() {
                    url.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
                }
            }
            let body = self.body(&url).await?;
            let page: Page<'_> = serde_json::from_slice(&body)
                .map_err(|e| ListError::Other(format!("{path}: no list: {e}")))?;
            for item in page.items.unwrap_or_default() {
                match serde_json::from_str::<T>(item.get()) {
                    Ok(object) if object.is_kept() => listed.objects.push(object),
                    Ok(_) => {}
                    Err(_) => listed.unreadable += 1,
                }
            }
            listed.version = page.metadata.resource_version.unwrap_or_default();
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(more) => next = more,
                None => return Ok(listed),
            }
        }
    }

    /// Reads a body, without a copy of it. It is never logged: it may be a Secret's.
    pub(super) async fn body(&self, url: &str) -> Result<Bytes, ListError> {
        let late = || ListError::Late(format!("no answer within {} s: {url}", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.body_at_last(url)).await.map_err(|_| late())?
    }

    async fn body_at_last(&self, url: &str) -> Result<Bytes, ListError> {
        let answer = self.client.send(request(url)?.map(Body::from)).await.map_err(error)?;
        let code = answer.status();
        let body = answer.into_body().collect().await.map_err(error)?.to_bytes();
        if code.is_success() {
            return Ok(body);
        }
        let refused = serde_json::from_slice::<Status>(&body).ok();
        let refused = refused.unwrap_or_else(|| Status { message: code.to_string(), ..Status::default() });
        Err(error(kube::Error::Api(Box::new(Status { code: code.as_u16(), ..refused }))))
    }

    /// Returns the lines of a body as they come.
    pub(super) async fn lines(
        &self,
        url: &str,
    ) -> Result<impl futures::Stream<Item = std::io::Result<String>> + use<>, ListError> {
        let body = self.client.request_stream(request(url)?).await.map_err(error)?;
        Ok(body.lines())
    }

    /// Reads a Secret.
    ///
    /// # Errors
    /// The Secret is not there, or the right is missing.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, ListError> {
        let url =
            format!("{}/{}", Secret::KIND.path(Some(namespace)), utf8_percent_encode(name, NON_ALPHANUMERIC));
        let body = self.body(&url).await?;
        // What stands in the body must not come into an error.
        serde_json::from_slice(&body)
            .map_err(|_| ListError::Other(format!("the Secret {name} cannot be read")))
    }
}

pub(super) fn request(url: &str) -> Result<http::Request<Vec<u8>>, ListError> {
    http::Request::get(url).body(Vec::new()).map_err(|e| ListError::Other(format!("{url}: {e}")))
}

/// Returns what a refusal means. A missing group answers in plain text, a missing object as a Status (cluster-objects
/// §6.4).
pub(super) fn error(e: kube::Error) -> ListError {
    match e {
        kube::Error::Api(status) => match status.code {
            401 => ListError::Unauthorized,
            403 => ListError::Forbidden(status.message.clone()),
            404 if status.details.is_none() => ListError::NoSuchGroup,
            410 => ListError::Expired,
            _ => ListError::Other(format!("the API answers {}: {}", status.code, status.message)),
        },
        kube::Error::Auth(_) => ListError::Unauthorized,
        other => ListError::Other(chain(&other)),
    }
}

/// Returns an error with what is behind it, on one line.
fn chain(e: &dyn std::error::Error) -> String {
    // Names of the client's own types help nobody.
    let bare = |text: String| {
        let known = ["ServiceError: ", "HyperError: ", "ApiError: "];
        known.iter().find_map(|name| text.strip_prefix(name)).unwrap_or(&text).to_owned()
    };
    let mut text = bare(e.to_string());
    let mut source = e.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = inner.source();
    }
    if text.contains("tcp connect error") || text.contains("dns error") {
        text.push_str("; check the server in the kubeconfig, and the way to it");
    }
    text
}

/// Whether the plugin cannot do without this kind.
pub(super) fn is_essential(kind: Kind) -> bool {
    matches!(kind.plural, "persistentvolumeclaims" | "replicationdestinations" | "pods" | "jobs")
}
