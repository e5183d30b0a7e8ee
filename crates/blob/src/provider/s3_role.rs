//! Credentials of a role, as Kopia's configuration asks for them (§1.6).

use std::path::PathBuf;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{Region, SdkConfig};

use crate::connect::S3Settings;
use crate::{BlobError, BlobErrorKind};

/// The same configuration with credentials of `role_arn`, renewed as they expire.
///
/// # Errors
/// [`BlobErrorKind::Settings`] for a token given inline: only a file can be renewed.
pub(super) async fn assume(settings: &S3Settings, shared: SdkConfig) -> Result<SdkConfig, BlobError> {
    let session = if settings.session_name.is_empty() { "rekopia" } else { &settings.session_name };
    // The layers around us know nothing of these requests.
    let mut base = shared.to_builder().retry_config(RetryConfig::standard());
    if !settings.role_endpoint.is_empty() {
        let endpoint = &settings.role_endpoint;
        let url = if endpoint.contains("://") { endpoint.clone() } else { format!("https://{endpoint}") };
        base = base.endpoint_url(url);
    }
    if !settings.role_region.is_empty() {
        base = base.region(Region::new(settings.role_region.clone()));
    }
    let base = base.build();
    if !settings.web_identity_token_file.is_empty() {
        use aws_config::provider_config::ProviderConfig;
        use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
        let mut provider = ProviderConfig::default().with_region(base.region().cloned());
        if let Some(http) = base.http_client() {
            provider = provider.with_http_client(http);
        }
        let provider = WebIdentityTokenCredentialsProvider::builder()
            .configure(&provider)
            .static_configuration(StaticConfiguration {
                web_identity_token_file: PathBuf::from(&settings.web_identity_token_file),
                role_arn: settings.role_arn.clone(),
                session_name: session.to_owned(),
            })
            .build();
        return Ok(with(shared, provider));
    }
    if !settings.web_identity_token.is_empty() {
        let what = "field \"webIdentityToken\" is not supported; put the token into a file and name it in \"webIdentityTokenFile\"";
        return Err(BlobError::new(BlobErrorKind::Settings, what));
    }
    let mut builder = AssumeRoleProvider::builder(&settings.role_arn).session_name(session).configure(&base);
    if let Some(duration) = settings.duration {
        builder = builder.session_length(duration);
    }
    Ok(with(shared, builder.build().await))
}

fn with(
    shared: SdkConfig,
    provider: impl aws_credential_types::provider::ProvideCredentials + 'static,
) -> SdkConfig {
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(provider);
    shared.into_builder().credentials_provider(provider).build()
}
