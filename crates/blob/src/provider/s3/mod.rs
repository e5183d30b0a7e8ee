//! A repository in a bucket of AWS S3 or of anything that speaks its protocol (§1.6, §1.10).
//!
//! Needs only permission to list and to get. Relies neither on checksums nor on ETags.

mod credentials;
mod http;
mod list;
mod region;
mod role;

use std::error::Error as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::identity::IdentityCache;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_types::byte_stream::error::Error as ByteStreamError;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use credentials::{S3Credentials, Source, speaks_of_expiry};
use http::Carrier;
use list::{Past, Version};
use region::Regional;
use rekopia_format::BlobId;

use crate::client::collect::collect;
use crate::client::http::{Http, Trust, by_status, check_range, innermost, wait};
use crate::client::whole::is_html;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::{Bucket, FarElsewhere, Member};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageTraits, Usage};
use crate::settings::{S3Settings, S3Style, control_character};

/// Reads blobs from a bucket.
#[derive(Debug)]
pub struct S3Blobs {
    regional: Regional,
    http: Http,
    bucket: String,
    prefix: String,
    /// Where requests go, for messages.
    place: String,
    past: Option<Past>,
    /// `None`: requests are not signed.
    credentials: Option<Arc<S3Credentials>>,
    elsewhere: FarElsewhere,
}

impl S3Blobs {
    /// Makes a client; the only request that this may send asks AWS for the bucket's region when none is set.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for fields that contradict each other or cannot be understood.
    pub async fn open(settings: &S3Settings, deadlines: Deadlines) -> Result<Self, BlobError> {
        let aws = settings.endpoint.is_empty() || settings.endpoint == "s3.amazonaws.com";
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
        } else if !aws {
            loader = loader.region(Region::new("us-east-1"));
        }
        let shared = loader.load().await;
        let shared = match shared.region() {
            Some(region) if control_character(region.as_ref()).is_some() => {
                return Err(wrong("the region that AWS's configuration names holds a control character"));
            }
            Some(_) => shared,
            None => shared.into_builder().region(Region::new("us-east-1")).build(),
        };
        let (shared, credentials) = signing(settings, deadlines, shared, &carrier).await?;

        let path_style = match settings.style {
            S3Style::Path => true,
            S3Style::Virtual => false,
            S3Style::Auto => !aws && !settings.endpoint.ends_with(".amazonaws.com"),
        };
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let scheme = if settings.do_not_use_tls { "http" } else { "https" };
        if !aws || settings.do_not_use_tls {
            let host = if settings.endpoint.is_empty() { "s3.amazonaws.com" } else { &settings.endpoint };
            config = config.endpoint_url(format!("{scheme}://{host}"));
        }
        let client = Client::from_conf(config.clone().build());
        if aws
            && settings.region.is_empty()
            && let Some(region) = bucket_region(&client, &settings.bucket).await
        {
            config = config.region(Region::new(region));
        }
        let at = if aws { String::new() } else { format!(" at {}", settings.endpoint) };
        let past = settings.point_in_time.map(Past::new);
        Ok(S3Blobs {
            regional: Regional::new(config),
            http,
            bucket: settings.bucket.clone(),
            prefix: settings.prefix.clone(),
            place: format!("s3://{}/{}{at}", settings.bucket, settings.prefix),
            past,
            credentials,
            elsewhere: FarElsewhere::default(),
        })
    }

    /// The same bucket under another prefix, as it is now.
    pub(crate) fn at(&self, prefix: &str) -> Self {
        let (regional, http, bucket) = (self.regional.clone(), self.http.clone(), self.bucket.clone());
        let (prefix, place, elsewhere) = (prefix.to_owned(), self.place.clone(), FarElsewhere::default());
        let credentials = self.credentials.clone();
        S3Blobs { regional, http, bucket, prefix, place, past: None, credentials, elsewhere }
    }

    /// The folders directly below this prefix of the bucket, each with its slash: one page of a listing.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, BlobError> {
        let request = self.client().list_objects_v2().bucket(&self.bucket).prefix(prefix).delimiter("/");
        let page = request.send().await.map_err(|e| self.failed(e, "listing folders"))?;
        Ok(page.common_prefixes().iter().filter_map(|p| p.prefix().map(str::to_owned)).collect())
    }

    /// Whether a format blob lies here; no when that cannot be told.
    pub(crate) async fn holds_repository(&self) -> bool {
        let key = self.key("kopia.repository");
        self.client().head_object().bucket(&self.bucket).key(key).send().await.is_ok()
    }

    fn client(&self) -> Client {
        self.regional.client()
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// A blob, in whatever layout it lies.
    async fn get(
        &self,
        id: &BlobId,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        into.clear();
        if range.as_ref().is_some_and(Range::is_empty) {
            self.info(id).await?;
            return Ok(into);
        }
        let got = self.get_at(id, id.as_str(), range.clone(), into).await;
        let ask = |path: String| {
            let range = range.clone();
            async move { self.get_at(id, &path, range, Vec::new()).await }
        };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn get_at(
        &self,
        id: &BlobId,
        path: &str,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let version = match &self.past {
            Some(past) => Some(self.version(past, id, path).await?.id),
            None => None,
        };
        let header = range.as_ref().map(|r| format!("bytes={}-{}", r.start, r.end - 1));
        let request = self.client().get_object().bucket(&self.bucket).key(self.key(path));
        let answer = request.set_range(header).set_version_id(version).send().await;
        let answer = answer.map_err(|e| self.failed(e, "getting it").of(id))?;
        let expected = match &range {
            None => answer.content_length().and_then(|n| u64::try_from(n).ok()),
            Some(range) => Some(check_range(range, answer.content_range()).map_err(|e| e.of(id))?),
        };
        let parts = futures::stream::try_unfold(answer.body, async |mut body| {
            Ok(body.try_next().await.map_err(broke_off)?.map(|part| (part, body)))
        });
        collect(parts, into, expected).await.map_err(|e| e.of(id))
    }

    async fn info(&self, id: &BlobId) -> Result<BlobInfo, BlobError> {
        let got = self.info_at(id, id.as_str()).await;
        let ask = |path: String| async move { self.info_at(id, &path).await };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn info_at(&self, id: &BlobId, path: &str) -> Result<BlobInfo, BlobError> {
        if let Some(past) = &self.past {
            let Version { len, modified_ns, .. } = self.version(past, id, path).await?;
            return Ok(BlobInfo { id: id.clone(), len, modified_ns });
        }
        let answer = self.client().head_object().bucket(&self.bucket).key(self.key(path)).send().await;
        let answer = answer.map_err(|e| self.failed(e, "looking at it").of(id))?;
        let len = answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(BlobInfo { id: id.clone(), len, modified_ns: nanos(answer.last_modified()) })
    }

    fn failed<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        error: SdkError<E, HttpResponse>,
        doing: &str,
    ) -> BlobError {
        let place = &self.place;
        let answer = match error {
            SdkError::ServiceError(answer) => answer,
            SdkError::DispatchFailure(e) => return undispatched(&e, &format!("{place}: {doing}")),
            SdkError::ResponseError(e) => {
                let (status, why) =
                    (e.raw().status().as_u16(), innermost(&SdkError::<E, _>::ResponseError(e)));
                let what =
                    format!("{place}: {doing}: an answer that cannot be understood (HTTP {status}): {why}");
                return BlobError::new(BlobErrorKind::Unavailable, what).transient();
            }
            SdkError::TimeoutError(_) => {
                let what = format!("{place}: {doing}: no answer in time");
                return BlobError::new(BlobErrorKind::Unavailable, what).transient();
            }
            other => {
                let what = format!("{place}: {doing}: {}", innermost(&other));
                return BlobError::new(BlobErrorKind::Settings, what);
            }
        };
        let raw = answer.raw();
        let status = raw.status().as_u16();
        let asked = raw.headers().get("retry-after");
        let code = answer.err().code().unwrap_or_default();
        let message = answer.err().message().unwrap_or_default().chars().filter(|c| !c.is_control());
        let message: String = message.take(300).collect();
        let unsaid = code.is_empty() && status == 400;
        let renewable = self.credentials.as_ref().filter(|_| unsaid || speaks_of_expiry(code));
        let (kind, advice) = classify(status, code);
        let advice = match renewable.map(|credentials| credentials.fixed()) {
            Some(Some(fixed)) if code.starts_with("ExpiredToken") => {
                format!("; the session token has expired: it comes from {fixed}, set a new one there")
            }
            _ => advice.to_owned(),
        };
        // What a proxy says in HTML is no word of the storage's.
        let page = raw.body().bytes().is_some_and(is_html);
        let page =
            if page { "(an HTML page: a proxy or login page answers in the storage's place)" } else { "" };
        let said = format!("HTTP {status} {code} {message} {page}");
        let what =
            format!("{place}: {doing}: {}{advice}", said.split_whitespace().collect::<Vec<_>>().join(" "));
        let error = BlobError::new(kind, what);
        if renewable.is_some_and(|credentials| credentials.fixed().is_none()) {
            return error.expired("the credentials were renewed");
        }
        if self.regional.learn(raw) {
            return error.expired("the region that it names was taken");
        }
        match code {
            "SlowDown" | "RequestLimitExceeded" | "TooManyRequests" => error.retry_after(wait(asked)),
            "RequestTimeout" | "InternalError" => error.transient(),
            _ => by_status(error, status, asked),
        }
    }
}

fn broke_off(e: ByteStreamError) -> BlobError {
    if let Some(ours) = cause(&e) {
        return ours;
    }
    BlobError::new(BlobErrorKind::Unavailable, "the answer broke off").because(e).transient()
}

/// A request that was not answered: the network's fault, or there was nothing to sign it with.
fn undispatched(failure: &DispatchFailure, doing: &str) -> BlobError {
    let Some(cause) = failure.as_connector_error() else {
        return BlobError::new(BlobErrorKind::Unavailable, format!("{doing}: not sent")).transient();
    };
    let mut next = cause.source();
    while let Some(e) = next {
        if let Some(network) = e.downcast_ref::<BlobError>() {
            return network.clone().while_doing(doing);
        }
        if let Some(CredentialsError::ProviderTimedOut(_)) = e.downcast_ref() {
            return BlobError::new(BlobErrorKind::Unavailable, format!("{doing}: {}", innermost(e)))
                .transient();
        }
        next = e.source();
    }
    let why = innermost(cause);
    if cause.is_io() || cause.is_timeout() {
        return BlobError::new(BlobErrorKind::Unavailable, format!("{doing}: {why}")).transient();
    }
    BlobError::new(BlobErrorKind::Denied, format!("{doing}: no usable credentials: {why}"))
}

fn classify(status: u16, code: &str) -> (BlobErrorKind, &'static str) {
    match (status, code) {
        (_, "NoSuchBucket") => (BlobErrorKind::Settings, ""),
        (_, "InvalidObjectState") => {
            (BlobErrorKind::Archived, "; restore the objects from the archive first")
        }
        (_, "RequestTimeTooSkewed") => (BlobErrorKind::Denied, "; set this machine's clock"),
        (_, "ExpiredToken" | "ExpiredTokenException") => (BlobErrorKind::Denied, "; renew the credentials"),
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken") => {
            (BlobErrorKind::Denied, "; check the key and its secret")
        }
        (_, "AuthorizationHeaderMalformed" | "PermanentRedirect") => {
            (BlobErrorKind::Settings, "; set the bucket's region")
        }
        // Other codes may be about the key, the account or the gateway itself: they do not say that a blob is missing.
        (404, "NoSuchKey" | "NoSuchVersion" | "NoSuchObject" | "NotFound") => (BlobErrorKind::NotFound, ""),
        (404, _) => (BlobErrorKind::Unavailable, "; check the endpoint and the key"),
        (416, _) => (BlobErrorKind::Truncated, ""),
        (401 | 403, _) => (BlobErrorKind::Denied, "; listing and getting must be allowed"),
        _ => (BlobErrorKind::Unavailable, ""),
    }
}

/// The error of our own HTTP client that is behind another one.
fn cause(error: &(dyn std::error::Error + 'static)) -> Option<BlobError> {
    let mut next = Some(error);
    while let Some(e) = next {
        if let Some(ours) = e.downcast_ref::<BlobError>() {
            return Some(ours.clone());
        }
        next = e.source();
    }
    None
}

impl Bucket for S3Blobs {
    async fn level(&self, begin: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        S3Blobs::level(self, begin, limit).await
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

impl BlobReader for S3Blobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(self.get(id, range, into))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.blobs(prefix, usize::MAX))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(self.info(id))
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.blobs(prefix, 1).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.elsewhere.look(self))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        self.http.usage()
    }

    fn traits(&self) -> StorageTraits {
        StorageTraits { in_flight: 32, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
}

/// The same configuration with keys that are renewed as they expire, and those keys.
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

/// AWS tells a bucket's region to whoever asks, even while refusing.
async fn bucket_region(client: &Client, bucket: &str) -> Option<String> {
    let header = |answer: &HttpResponse| answer.headers().get("x-amz-bucket-region").map(str::to_owned);
    match client.head_bucket().bucket(bucket).send().await {
        Ok(answer) => answer.bucket_region().map(str::to_owned),
        Err(e) => e.raw_response().and_then(header),
    }
}

fn nanos(time: Option<&aws_smithy_types::DateTime>) -> i64 {
    time.map_or(0, |t| i64::try_from(t.as_nanos()).unwrap_or(0))
}

fn wrong(what: &str) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what)
}
