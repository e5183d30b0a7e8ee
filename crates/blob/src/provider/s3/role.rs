//! Gets credentials of a role, as Kopia's configuration asks for them (§1.6).

use std::path::PathBuf;
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

use super::credentials::{S3Credentials, Source, provider_config};
use super::http::Carrier;
use crate::error::{BlobError, BlobErrorKind};
use crate::settings::S3Settings;

/// Makes a source of keys of `role_arn`, asked for with the keys `own` that `shared` has.
///
/// # Errors
/// [`BlobErrorKind::Settings`] for a token given inline: only a file can be renewed.
pub(super) async fn assume(
    settings: &S3Settings,
    (shared, own): (&SdkConfig, Arc<S3Credentials>),
    carrier: &Carrier,
) -> Result<Source, BlobError> {
    let session = if settings.session_name.is_empty() { "rekopia" } else { &settings.session_name };
    // The layers around us know nothing of these requests.
    let mut base = shared.to_builder().retry_config(RetryConfig::standard());
    let endpoint = match settings.role_endpoint.as_str() {
        "" => None,
        url if url.contains("://") => Some(url.to_owned()),
        host => Some(format!("https://{host}")),
    };
    if let Some(endpoint) = &endpoint {
        base = base.endpoint_url(endpoint);
    }
    if !settings.role_region.is_empty() {
        base = base.region(Region::new(settings.role_region.clone()));
    }
    let base = base.build();
    let token_file = &settings.web_identity_token_file;
    if !token_file.is_empty() {
        // AWS's provider takes no address; what it sends is not signed, so that it may go elsewhere.
        let config = provider_config(&base).with_http_client(carrier.clone().instead(endpoint));
        let provider = WebIdentityTokenCredentialsProvider::builder()
            .configure(&config)
            .static_configuration(StaticConfiguration {
                web_identity_token_file: PathBuf::from(token_file),
                role_arn: settings.role_arn.clone(),
                session_name: session.to_owned(),
            })
            .build();
        let name = format!("role {} by the token in {token_file}", settings.role_arn);
        return Ok(Source::Role { provider: SharedCredentialsProvider::new(provider), name, base: own });
    }
    if !settings.web_identity_token.is_empty() {
        let what = "field \"webIdentityToken\" is not supported; put the token into a file and name it in \"webIdentityTokenFile\"";
        return Err(BlobError::new(BlobErrorKind::Settings, what));
    }
    let mut builder = AssumeRoleProvider::builder(&settings.role_arn).session_name(session).configure(&base);
    if let Some(duration) = settings.duration {
        builder = builder.session_length(duration);
    }
    let provider = SharedCredentialsProvider::new(builder.build().await);
    Ok(Source::Role { provider, name: format!("role {}", settings.role_arn), base: own })
}
