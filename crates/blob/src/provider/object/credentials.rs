//! Gets tokens for a store of `object_store`, and other ones when they are refused.
//!
//! `object_store` renews by the time that a token states, and does not learn of a refusal: then its source of tokens is
//! made anew here, out of what the settings' files hold now.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use object_store::CredentialProvider;
#[cfg(feature = "azure")]
use object_store::azure::AzureCredential;
#[cfg(feature = "gcp")]
use object_store::gcp::GcpCredential;

use crate::client::credentials::{Freshness, Held};
use crate::client::http::innermost;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};

/// A token, or anything else that is put into requests.
pub(super) trait Token: fmt::Debug + Send + Sync + 'static {
    /// Whether a request with this `Authorization` has the token.
    fn is_in(&self, authorization: &str) -> bool;
}

#[cfg(feature = "azure")]
impl Token for AzureCredential {
    fn is_in(&self, authorization: &str) -> bool {
        let bearer = authorization.strip_prefix("Bearer ");
        matches!(self, AzureCredential::BearerToken(token) if bearer == Some(token.as_str()))
    }
}

#[cfg(feature = "gcp")]
impl Token for GcpCredential {
    fn is_in(&self, authorization: &str) -> bool {
        authorization.strip_prefix("Bearer ") == Some(self.bearer.as_str())
    }
}

/// The source of tokens.
pub(super) type Provider<T> = Arc<dyn CredentialProvider<Credential = T>>;

/// Tokens that are renewed when they are refused.
pub(super) struct Tokens<T> {
    held: Held<Arc<T>>,
    /// The source that gives tokens; knows when they are due.
    provider: Mutex<Option<Provider<T>>>,
    make: Box<dyn Fn() -> Result<Provider<T>, BlobError> + Send + Sync>,
    /// The name of the source, for messages.
    name: String,
}

/// A source that can be told that a token was refused.
pub(super) trait Renewable: fmt::Debug + Send + Sync {
    /// Takes note that the storage refused a request with this `Authorization`.
    fn refuse(&self, authorization: &str);
}

impl<T: Token> Tokens<T> {
    /// Makes a source of tokens by this name; `make` reads the settings' files and makes what gives tokens.
    pub(super) fn new(
        name: String,
        deadlines: Deadlines,
        make: impl Fn() -> Result<Provider<T>, BlobError> + Send + Sync + 'static,
    ) -> Self {
        let held = Held::new(deadlines.patience);
        Tokens { held, provider: Mutex::default(), make: Box::new(make), name }
    }

    fn provider(&self) -> Result<Provider<T>, BlobError> {
        let mut provider = self.provider.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = provider.as_ref() {
            return Ok(Arc::clone(known));
        }
        // The settings were right when the storage was opened: it is their files that have changed.
        let denied = |e: BlobError| BlobError::new(BlobErrorKind::Denied, e.what());
        let fresh = (self.make)().map_err(denied)?;
        *provider = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    async fn token(&self) -> Result<Arc<T>, BlobError> {
        let fetch = |_| async {
            let provider = self.provider().map_err(|e| e.while_doing(&self.name))?;
            provider.get_credential().await.map_err(|e| own(&e).while_doing(&self.name))
        };
        // The provider holds what is good, so that it is asked each time.
        self.held.get(|_| Freshness::Due, fetch).await
    }
}

impl<T: Token> Renewable for Tokens<T> {
    fn refuse(&self, authorization: &str) {
        let refused = self.held.refuse(|token| token.is_in(authorization));
        if refused {
            *self.provider.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[async_trait]
impl<T: Token> CredentialProvider for Tokens<T> {
    type Credential = T;

    async fn get_credential(&self) -> object_store::Result<Arc<T>> {
        let told = |e: BlobError| object_store::Error::Generic { store: "credentials", source: e.into() };
        self.token().await.map_err(told)
    }
}

/// Returns the error of our own client behind one of `object_store`'s.
fn own(error: &object_store::Error) -> BlobError {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(ours) = cause.downcast_ref::<BlobError>() {
            return ours.clone();
        }
        next = cause.source();
    }
    BlobError::new(BlobErrorKind::Denied, innermost(error))
}

impl<T> fmt::Debug for Tokens<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("name", &self.name).finish_non_exhaustive()
    }
}
