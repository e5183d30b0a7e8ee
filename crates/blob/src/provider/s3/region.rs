//! Learns the region that requests are signed for: that of the settings, until the server names another one while it
//! refuses.

use std::sync::{Arc, PoisonError, RwLock};

use aws_config::Region;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// A client, and how to make an equal one for another region. Cheap to share.
#[derive(Debug, Clone)]
pub(super) struct Regional(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Builder,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    client: Client,
    /// The region that the server has named.
    named: Option<String>,
}

impl Regional {
    pub(super) fn new(config: Builder) -> Self {
        let client = Client::from_conf(config.clone().build());
        Regional(Arc::new(Inner { config, current: RwLock::new(Current { client, named: None }) }))
    }

    pub(super) fn client(&self) -> Client {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).client.clone()
    }

    /// Takes the region that a refusal names; returns whether the request is worth asking again.
    pub(super) fn learn(&self, refusal: &HttpResponse) -> bool {
        let Some(named) = region_of(refusal) else { return false };
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        let used = current.client.config().region().map(Region::as_ref).unwrap_or_default();
        if used == named {
            // Somebody else's refusal named it while this one was on its way.
            return current.named.as_deref() == Some(named.as_str());
        }
        tracing::info!("the storage is in region {named:?}, not {used:?}: asking once more with that one");
        let config = self.0.config.clone().region(Region::new(named.clone()));
        *current = Current { client: Client::from_conf(config.build()), named: Some(named) };
        true
    }
}

/// Returns the region that a refusal names: AWS does so in a header, others in the error's body.
fn region_of(refusal: &HttpResponse) -> Option<String> {
    let in_header = refusal.headers().get("x-amz-bucket-region").map(str::to_owned);
    let named = in_header.or_else(|| {
        let body = std::str::from_utf8(refusal.body().bytes()?).ok()?;
        let (_, after) = body.split_once("<Region>")?;
        Some(after.split_once("</Region>")?.0.to_owned())
    })?;
    let is_name = (1..=64).contains(&named.len())
        && named.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    is_name.then_some(named)
}
