//! Decides which servers are believed to be who they say.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::{Certificate, ClientBuilder};

use super::fingerprint;
use crate::error::{BlobError, BlobErrorKind};

/// Which certificates of servers a client trusts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trust<'a> {
    /// File with further authorities, PEM.
    pub(crate) ca_file: Option<&'a Path>,
    /// Further authorities, PEM.
    pub(crate) ca_pem: &'a [u8],
    /// Whether any certificate is believed.
    pub(crate) anyone: bool,
    /// The SHA-256 of the one certificate that is believed, and no other; hexadecimal, empty: not so.
    pub(crate) fingerprint: &'a str,
}

/// The setting up of a client, so that it believes the right servers.
pub(super) type Believing = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// Returns what a client has to be told, and the file of authorities that could not be read, if there is one.
///
/// # Errors
/// [`BlobErrorKind::Settings`] for authorities that are not PEM, and for a fingerprint that is none.
pub(super) fn believe(trust: Trust<'_>) -> Result<(Believing, Option<Arc<PathBuf>>), BlobError> {
    if !trust.fingerprint.is_empty() {
        let only = fingerprint::only(trust.fingerprint)?;
        return Ok((Box::new(move |builder| builder.tls_backend_preconfigured(only.clone())), None));
    }
    let mut unread = None;
    let file = trust.ca_file.map(|path| {
        std::fs::read(path).unwrap_or_else(|e| {
            tracing::warn!("cannot read the certificate authorities in {}: {e}", path.display());
            unread = Some(Arc::new(path.to_owned()));
            Vec::new()
        })
    });
    let mut authorities = Vec::new();
    for pem in [file.as_deref().unwrap_or_default(), trust.ca_pem] {
        if pem.is_empty() {
            continue;
        }
        let certificates = Certificate::from_pem_bundle(pem)
            .map_err(|e| wrong("the certificate authorities are not PEM").because(e))?;
        if certificates.is_empty() {
            return Err(wrong("the certificate authorities are not PEM: there is no certificate in them"));
        }
        authorities.extend(certificates);
    }
    let anyone = trust.anyone;
    let believing = move |mut builder: ClientBuilder| {
        for authority in &authorities {
            builder = builder.add_root_certificate(authority.clone());
        }
        if anyone { builder.tls_danger_accept_invalid_certs(true) } else { builder }
    };
    Ok((Box::new(believing), unread))
}

fn wrong(what: impl Display) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what.to_string())
}
