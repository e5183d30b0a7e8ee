//! Makes a client of a bucket from settings.

use std::sync::Arc;

use aws_config::identity::IdentityCache;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::S3Blobs;
use super::credentials::{S3Credentials, Source};
use super::http::Carrier;
use super::objects::Objects;
use super::past::Past;
use super::region::Regional;
use super::role;
use crate::client::http::Http;
use crate::client::trust::Trust;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::FarElsewhere;
use crate::settings::{S3Settings, S3Style, control_character};

impl S3Blobs {
    /// Makes a client; the only request that this may send asks AWS for the bucket's region when none is set.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for fields that contradict each other or cannot be understood.
    pub async fn open(settings: &S3Settings, deadlines: Deadlines) -> Result<Self, BlobError> {
        let root_ca = match settings.root_ca.is_empty() {
            true => Vec::new(),
            false => BASE64_STANDARD
                .decode(settings.root_ca.trim())
                .map_err(|_| wrong("field \"rootCA\" is not base64 of PEM"))?,
        };
        let trust = Trust {
            ca_file: settings.ca_file.as_deref(),
            ca_pem: &root_ca,
            anyone: settings.do_not_verify_tls,
            fingerprint: "",
        };
        let http = Http::new(trust, deadlines)?;
        let carrier = Carrier::new(&http)?;
        let shared = shared(settings, &carrier).await?;
        let (shared, credentials) = signing(settings, deadlines, shared, &carrier).await?;
        let mut config = of_bucket(settings, &shared);
        if is_aws(settings)
            && settings.region.is_empty()
            && let Some(region) =
                bucket_region(&Client::from_conf(config.clone().build()), &settings.bucket).await
        {
            config = config.region(Region::new(region));
        }
        let at = if is_aws(settings) { String::new() } else { format!(" at {}", settings.endpoint) };
        let past = settings.point_in_time.map(Past::new);
        let objects = Objects {
            regional: Regional::new(config),
            http,
            bucket: settings.bucket.clone(),
            prefix: settings.prefix.clone(),
            place: format!("s3://{}/{}{at}", settings.bucket, settings.prefix),
            past,
            credentials,
        };
        Ok(S3Blobs { objects, elsewhere: FarElsewhere::default() })
    }
}

fn is_aws(settings: &S3Settings) -> bool {
    settings.endpoint.is_empty() || settings.endpoint == "s3.amazonaws.com"
}

/// Returns what AWS's own configuration and ours say together, with our HTTP client and without second tries.
async fn shared(settings: &S3Settings, carrier: &Carrier) -> Result<SdkConfig, BlobError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(carrier.clone())
        .identity_cache(IdentityCache::no_cache())
        .no_credentials()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Ok(name) = AppName::new("rekopia") {
        loader = loader.app_name(name);
    }
    if !settings.profile.is_empty() {
        loader = loader.profile_name(&settings.profile);
    }
    if !settings.region.is_empty() {
        loader = loader.region(Region::new(settings.region.clone()));
    } else if !is_aws(settings) {
        loader = loader.region(Region::new("us-east-1"));
    }
    let shared = loader.load().await;
    match shared.region() {
        Some(region) if control_character(region.as_ref()).is_some() => {
            Err(wrong("the region that AWS's configuration names holds a control character"))
        }
        Some(_) => Ok(shared),
        None => Ok(shared.into_builder().region(Region::new("us-east-1")).build()),
    }
}

/// Returns how the bucket is named in requests, and where they go.
fn of_bucket(settings: &S3Settings, shared: &SdkConfig) -> Builder {
    let path_style = match settings.style {
        S3Style::Path => true,
        S3Style::Virtual => false,
        S3Style::Auto => !is_aws(settings) && !settings.endpoint.ends_with(".amazonaws.com"),
    };
    let config = Builder::from(shared)
        .force_path_style(path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if is_aws(settings) && !settings.do_not_use_tls {
        return config;
    }
    let scheme = if settings.do_not_use_tls { "http" } else { "https" };
    let host = if settings.endpoint.is_empty() { "s3.amazonaws.com" } else { &settings.endpoint };
    config.endpoint_url(format!("{scheme}://{host}"))
}

/// Returns the configuration with keys that are renewed as they expire, and those keys.
async fn signing(
    settings: &S3Settings,
    deadlines: Deadlines,
    shared: SdkConfig,
    carrier: &Carrier,
) -> Result<(SdkConfig, Option<Arc<S3Credentials>>), BlobError> {
    let with = |shared: SdkConfig, source| {
        let credentials = Arc::new(S3Credentials::new(source, deadlines));
        carrier.tell(&credentials);
        let provider: Arc<dyn ProvideCredentials> = Arc::<S3Credentials>::clone(&credentials);
        let provider = SharedCredentialsProvider::from(provider);
        (shared.into_builder().credentials_provider(provider).build(), credentials)
    };
    let own = match static_key(settings)? {
        Some(key) => Source::Fixed(key),
        None if settings.anonymous && settings.role_arn.is_empty() => return Ok((shared, None)),
        None => Source::Chain { shared: Box::new(shared.clone()), profile: settings.profile.clone() },
    };
    let (shared, own) = with(shared, own);
    if settings.role_arn.is_empty() {
        return Ok((shared, Some(own)));
    }
    let role = role::assume(settings, (&shared, own), carrier).await?;
    let (shared, role) = with(shared, role);
    Ok((shared, Some(role)))
}

fn static_key(settings: &S3Settings) -> Result<Option<Credentials>, BlobError> {
    match (settings.access_key_id.is_empty(), settings.secret_access_key.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err(wrong("field \"accessKeyID\" is missing")),
        // A key's name in a URL or configuration, its secret wherever AWS's tools look.
        (false, true) => Err(wrong("field \"secretAccessKey\" is missing")),
        (false, false) => {
            let token =
                (!settings.session_token.is_empty()).then(|| settings.session_token.expose().to_owned());
            let secret = settings.secret_access_key.expose();
            Ok(Some(Credentials::new(settings.access_key_id.clone(), secret, token, None, "configuration")))
        }
    }
}

/// Asks AWS for a bucket's region, which it tells anybody, even while refusing.
async fn bucket_region(client: &Client, bucket: &str) -> Option<String> {
    let header = |answer: &HttpResponse| answer.headers().get("x-amz-bucket-region").map(str::to_owned);
    match client.head_bucket().bucket(bucket).send().await {
        Ok(answer) => answer.bucket_region().map(str::to_owned),
        Err(e) => e.raw_response().and_then(header),
    }
}

fn wrong(what: &str) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what)
}
