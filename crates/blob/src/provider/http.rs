//! The HTTP client that the providers share: one TLS stack, one set of deadlines.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client};

use crate::{BlobError, BlobErrorKind};

/// Whom to believe.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trust<'a> {
    /// File with further authorities, PEM.
    pub(crate) ca_file: Option<&'a Path>,
    /// Further authorities, PEM.
    pub(crate) ca_pem: &'a [u8],
    /// Believe any certificate.
    pub(crate) anyone: bool,
}

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Until the first byte of an answer, and from each part of it to the next.
const SILENCE: Duration = Duration::from_secs(15);

/// A client with deadlines for connecting and for silence. A configured authority file that is missing is only warned
/// of: the TLS error, if there is one, names it.
pub(crate) fn client(trust: Trust<'_>) -> Result<Client, BlobError> {
    let wrong = |what: String| BlobError::new(BlobErrorKind::Settings, what);
    let mut builder = Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .pool_max_idle_per_host(128)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("rekopia/", env!("CARGO_PKG_VERSION")));
    let file = match trust.ca_file {
        Some(path) => std::fs::read(path).unwrap_or_else(|e| {
            tracing::warn!("cannot read the certificate authorities in {}: {e}", path.display());
            Vec::new()
        }),
        None => Vec::new(),
    };
    for pem in [file.as_slice(), trust.ca_pem] {
        if pem.is_empty() {
            continue;
        }
        let certificates = Certificate::from_pem_bundle(pem)
            .map_err(|e| wrong("the certificate authorities are not PEM".into()).because(e))?;
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if trust.anyone {
        builder = builder.danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|e| wrong("the HTTP client cannot start".into()).because(e))
}

/// A client for the metadata service of the machine: close by or not there at all, and never behind a proxy.
#[cfg(feature = "object")]
pub(crate) fn direct_client() -> Result<Client, BlobError> {
    let wrong = |e| BlobError::new(BlobErrorKind::Settings, "the HTTP client cannot start").because(e);
    let builder = Client::builder().connect_timeout(Duration::from_secs(3)).read_timeout(SILENCE).no_proxy();
    builder.redirect(reqwest::redirect::Policy::none()).build().map_err(wrong)
}

/// A request that got no answer: why, in the words of its innermost cause.
pub(crate) fn no_answer(e: reqwest::Error) -> BlobError {
    let e = e.without_url();
    let cause = innermost(&e);
    let certificate = cause.contains("certificate") || cause.contains("UnknownIssuer");
    let what = if certificate {
        format!("the server's certificate is not trusted: {cause}")
    } else if e.is_timeout() {
        format!("no answer in time: {cause}")
    } else if e.is_connect() {
        format!("cannot connect: {cause}")
    } else {
        format!("the connection broke: {cause}")
    };
    let error = BlobError::new(BlobErrorKind::Unavailable, what);
    if certificate { error } else { error.transient() }
}

/// How long the server asks us to wait; never longer than makes sense for a restore that somebody waits for.
#[cfg(any(feature = "b2", feature = "object"))]
pub(crate) fn retry_after(headers: &reqwest::header::HeaderMap) -> Duration {
    let seconds = headers.get("retry-after").and_then(|t| t.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0).min(30))
}

/// The beginning of a refusal's text: errors are short, and nobody has to be believed about that.
#[cfg(any(feature = "b2", feature = "object"))]
pub(crate) async fn refusal_text(answer: &mut reqwest::Response) -> String {
    const MOST: usize = 64 * 1024;
    let mut text = Vec::new();
    while let Ok(Some(part)) = answer.chunk().await {
        text.extend_from_slice(&part);
        if text.len() > MOST {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A code from an answer is shown only when it looks like one.
#[cfg(any(feature = "b2", feature = "object"))]
pub(crate) fn plain_code(code: &str) -> &str {
    let plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain { code } else { "" }
}

/// `bytes 5-9/100` → 5..10
pub(crate) fn parse_content_range(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes ")?.split('/').next()?.split_once('-')?;
    Some(first.trim().parse().ok()?..last.trim().parse::<u64>().ok()?.checked_add(1)?)
}

pub(crate) fn innermost(e: &dyn std::error::Error) -> String {
    let mut last = e;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
