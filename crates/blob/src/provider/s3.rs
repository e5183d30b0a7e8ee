//! A repository in a bucket of AWS S3 or of anything that speaks its protocol (§1.6, §1.10).
//!
//! Needs only permission to list and to get. Relies neither on checksums nor on ETags.

use std::collections::HashMap;
use std::error::Error as _;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::{AppName, BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use rekopia_format::BlobId;

use super::collect::{MOST_RESERVED, Watch};
use super::http::{Trust, client as http_client, parse_content_range};
use super::s3_http::Carrier;
use crate::connect::{S3Settings, S3Style};
use crate::{BlobError, BlobErrorKind, BlobInfo, BlobReader, BoxFuture, StorageTraits};

/// Reads blobs from a bucket.
#[derive(Debug)]
pub struct S3Blobs {
    client: Client,
    bucket: String,
    prefix: String,
    /// Where requests go, for messages.
    place: String,
    past: Option<Past>,
}

/// The bucket as it was (§1.10).
#[derive(Debug)]
struct Past {
    at: Timestamp,
    /// Versions found so far, by key; `None`: it did not exist then.
    versions: Mutex<HashMap<String, Option<Version>>>,
}

#[derive(Debug, Clone)]
struct Version {
    id: String,
    info: BlobInfo,
}

impl S3Blobs {
    /// Makes a client; the only request that this may send asks AWS for the bucket's region when none is set.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for fields that contradict each other or cannot be understood.
    pub async fn open(settings: &S3Settings) -> Result<Self, BlobError> {
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
        };
        let carrier = Carrier(http_client(trust)?);

        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(carrier)
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
        loader = match static_key(settings)? {
            Some(key) => loader.credentials_provider(key),
            None if settings.anonymous => loader.no_credentials(),
            None => loader,
        };
        let shared = loader.load().await;
        let shared = match shared.region() {
            Some(_) => shared,
            None => shared.into_builder().region(Region::new("us-east-1")).build(),
        };
        let shared = if settings.role_arn.is_empty() {
            shared
        } else {
            super::s3_role::assume(settings, shared).await?
        };

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
        let mut client = Client::from_conf(config.clone().build());
        if aws
            && settings.region.is_empty()
            && let Some(region) = bucket_region(&client, &settings.bucket).await
        {
            client = Client::from_conf(config.region(Region::new(region)).build());
        }
        let at = if aws { String::new() } else { format!(" at {}", settings.endpoint) };
        let past = settings.point_in_time.map(|at| Past { at, versions: Mutex::default() });
        Ok(S3Blobs {
            client,
            bucket: settings.bucket.clone(),
            prefix: settings.prefix.clone(),
            place: format!("s3://{}/{}{at}", settings.bucket, settings.prefix),
            past,
        })
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

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
        let version = match &self.past {
            Some(past) => Some(self.version(past, id).await?.id),
            None => None,
        };
        let header = range.as_ref().map(|r| format!("bytes={}-{}", r.start, r.end - 1));
        let request = self.client.get_object().bucket(&self.bucket).key(self.key(id.as_str()));
        let answer = request.set_range(header).set_version_id(version).send().await;
        let mut answer = answer.map_err(|e| self.failed(e, "getting it").of(id))?;
        let expected = match (&range, answer.content_range()) {
            (None, _) => answer.content_length().and_then(|n| u64::try_from(n).ok()),
            (Some(range), Some(given)) => {
                let given =
                    parse_content_range(given).filter(|g| g.start == range.start && g.end <= range.end);
                let Some(given) = given else {
                    let what = "the storage answered with another range than it was asked for";
                    return Err(BlobError::new(BlobErrorKind::Unavailable, what).of(id).transient());
                };
                if given.end < range.end {
                    return Err(BlobError::new(BlobErrorKind::Truncated, "it ends too early").of(id));
                }
                Some(range.end - range.start)
            }
            (Some(_), None) => {
                let what = "the storage ignored the range that it was asked for";
                return Err(BlobError::new(BlobErrorKind::Unavailable, what).of(id).transient());
            }
        };
        let broke = |e: Box<dyn std::error::Error + Send + Sync>| {
            BlobError::new(BlobErrorKind::Unavailable, "the answer broke off").of(id).because(e).transient()
        };
        if let Some(expected) = expected {
            let len = usize::try_from(expected).unwrap_or(usize::MAX);
            into.try_reserve_exact(len.min(MOST_RESERVED)).map_err(|e| broke(e.into()))?;
        }
        let mut watch = Watch::new();
        while let Some(part) = answer.body.next().await {
            let part = part.map_err(|e| broke(e.into()))?;
            watch.received(part.len()).map_err(|e| e.of(id))?;
            into.extend_from_slice(&part);
            if expected.is_some_and(|n| into.len() as u64 > n) {
                return Err(broke("more bytes than announced".into()));
            }
        }
        match expected {
            Some(n) if n != into.len() as u64 => Err(broke(format!("{} of {n} bytes", into.len()).into())),
            _ => Ok(into),
        }
    }

    async fn list_now(&self, prefix: &str, limit: usize) -> Result<Vec<BlobInfo>, BlobError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let request =
                self.client.list_objects_v2().bucket(&self.bucket).prefix(self.key(prefix)).delimiter("/");
            let request = if limit < 1000 { request.max_keys(1) } else { request };
            let page = request.set_continuation_token(next.clone()).send().await;
            let page = page.map_err(|e| self.failed(e, &format!("listing {prefix:?}")))?;
            for object in page.contents() {
                let Some(id) = self.blob_id(object.key()) else { continue };
                let len = object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                found.push(BlobInfo { id, len, modified_ns: nanos(object.last_modified()) });
            }
            if found.len() >= limit || page.is_truncated() != Some(true) {
                return Ok(found);
            }
            // A storage that says "more" without saying where would be asked for ever.
            let token = page.next_continuation_token().filter(|t| next.as_deref() != Some(*t));
            next = Some(token.ok_or_else(|| self.broken_list(prefix))?.to_owned());
        }
    }

    async fn list_past(&self, past: &Past, key_prefix: &str) -> Result<Vec<BlobInfo>, BlobError> {
        let mut newest: HashMap<String, (i64, Option<Version>)> = HashMap::new();
        let (mut key_marker, mut version_marker) = (None, None);
        let at_ns = i64::try_from(past.at.as_nanosecond()).unwrap_or(i64::MAX);
        // Newest wins; of two at the same instant the first, because versions come newest first.
        let mut offer = |key: &str, time: i64, version: Option<Version>| {
            if time <= at_ns && newest.get(key).is_none_or(|(known, _)| *known < time) {
                newest.insert(key.to_owned(), (time, version));
            }
        };
        loop {
            let request =
                self.client.list_object_versions().bucket(&self.bucket).prefix(key_prefix).delimiter("/");
            let request =
                request.set_key_marker(key_marker.clone()).set_version_id_marker(version_marker.clone());
            let page = request.send().await.map_err(|e| self.failed(e, "listing versions"))?;
            for version in page.versions() {
                let (Some(key), Some(id)) = (version.key(), self.blob_id(version.key())) else { continue };
                let len = version.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                let info = BlobInfo { id, len, modified_ns: nanos(version.last_modified()) };
                let time = info.modified_ns;
                let id = version.version_id().unwrap_or("null").to_owned();
                offer(key, time, Some(Version { id, info }));
            }
            for marker in page.delete_markers() {
                if let Some(key) = marker.key() {
                    offer(key, nanos(marker.last_modified()), None);
                }
            }
            if page.is_truncated() != Some(true) {
                break;
            }
            let next =
                (page.next_key_marker().map(str::to_owned), page.next_version_id_marker().map(str::to_owned));
            if next.0.is_none() || next == (key_marker.clone(), version_marker.clone()) {
                return Err(self.broken_list(key_prefix));
            }
            (key_marker, version_marker) = next;
        }
        let found = newest.values().filter_map(|(_, v)| v.as_ref().map(|v| v.info.clone())).collect();
        let mut known = past.versions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.extend(newest.into_iter().map(|(key, (_, version))| (key, version)));
        Ok(found)
    }

    /// The version that was current then; asks only when no listing has told.
    async fn version(&self, past: &Past, id: &BlobId) -> Result<Version, BlobError> {
        let key = self.key(id.as_str());
        let known =
            || past.versions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).cloned();
        if known().is_none() {
            self.list_past(past, &key).await?;
        }
        let missing =
            || BlobError::new(BlobErrorKind::NotFound, format!("it did not exist at {}", past.at)).of(id);
        known().flatten().ok_or_else(missing)
    }

    async fn info(&self, id: &BlobId) -> Result<BlobInfo, BlobError> {
        if let Some(past) = &self.past {
            return Ok(self.version(past, id).await?.info);
        }
        let answer = self.client.head_object().bucket(&self.bucket).key(self.key(id.as_str())).send().await;
        let answer = answer.map_err(|e| self.failed(e, "looking at it").of(id))?;
        let len = answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(BlobInfo { id: id.clone(), len, modified_ns: nanos(answer.last_modified()) })
    }

    fn blob_id(&self, key: Option<&str>) -> Option<BlobId> {
        let name = key?.strip_prefix(self.prefix.as_str())?;
        if name == ".storageconfig" { None } else { BlobId::parse(name).ok() }
    }

    fn broken_list(&self, prefix: &str) -> BlobError {
        let what = format!("{}: the list of {prefix:?} does not go on", self.place);
        BlobError::new(BlobErrorKind::Unavailable, what).transient()
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
                let what = format!(
                    "{place}: {doing}: an answer that cannot be understood (HTTP {})",
                    e.raw().status()
                );
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
        let status = answer.raw().status().as_u16();
        let wait =
            answer.raw().headers().get("retry-after").and_then(|t| t.parse().ok()).map(Duration::from_secs);
        let code = answer.err().code().unwrap_or_default();
        let message = answer.err().message().unwrap_or_default();
        let (kind, advice) = classify(status, code);
        let said = format!("HTTP {status} {code} {message}");
        let what =
            format!("{place}: {doing}: {}{advice}", said.split_whitespace().collect::<Vec<_>>().join(" "));
        let error = BlobError::new(kind, what);
        match (status, code) {
            (429 | 503, _) | (_, "SlowDown" | "RequestLimitExceeded" | "TooManyRequests") => {
                error.retry_after(wait.unwrap_or_default().min(Duration::from_secs(30)))
            }
            (408 | 500 | 502 | 504, _) | (_, "RequestTimeout" | "InternalError") => error.transient(),
            _ => error,
        }
    }
}

/// A request that was not answered: the network's fault, or there was nothing to sign it with.
fn undispatched(failure: &DispatchFailure, doing: &str) -> BlobError {
    let Some(cause) = failure.as_connector_error() else {
        return BlobError::new(BlobErrorKind::Unavailable, format!("{doing}: not sent")).transient();
    };
    if let Some(network) = cause.source().and_then(|e| e.downcast_ref::<BlobError>()) {
        let error = BlobError::new(network.kind(), format!("{doing}: {}", network.what()));
        return if network.is_transient() { error.transient() } else { error };
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
        (_, "AuthorizationHeaderMalformed" | "PermanentRedirect") => {
            (BlobErrorKind::Settings, "; set the bucket's region")
        }
        (404, _) => (BlobErrorKind::NotFound, ""),
        (416, _) => (BlobErrorKind::Truncated, ""),
        (401 | 403, _) => (BlobErrorKind::Denied, "; listing and getting must be allowed"),
        _ => (BlobErrorKind::Unavailable, ""),
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
        Box::pin(async move {
            match &self.past {
                Some(past) => self.list_past(past, &self.key(prefix)).await,
                None => self.list_now(prefix, usize::MAX).await,
            }
        })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(self.info(id))
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move {
            match &self.past {
                Some(past) => Ok(!self.list_past(past, &self.key(prefix)).await?.is_empty()),
                None => Ok(!self.list_now(prefix, 1).await?.is_empty()),
            }
        })
    }

    fn traits(&self) -> StorageTraits {
        StorageTraits { in_flight: 32, gap: 128 * 1024, local: false }
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
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

fn innermost(e: &(dyn std::error::Error + 'static)) -> String {
    let mut last = e;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn wrong(what: &str) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/100"), Some(5..10));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some(5..10));
        assert_eq!(parse_content_range("bytes */100"), None);
        assert_eq!(parse_content_range("bytes 0-18446744073709551615/1"), None);
    }
}
