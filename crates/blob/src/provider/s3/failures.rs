//! Explains an answer of S3 that is no success, and a request that was not answered.

use std::error::Error as _;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_types::byte_stream::error::Error as ByteStreamError;

use super::credentials::speaks_of_expiry;
use super::objects::Objects;
use crate::client::answers::{by_status, wait};
use crate::client::http::innermost;
use crate::client::whole::is_html;
use crate::error::{BlobError, BlobErrorKind};

impl Objects {
    /// Makes the error of a failed request; `doing` is a clause such as "getting it".
    pub(super) fn failed<E: ProvideErrorMetadata + std::error::Error + 'static>(
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

/// Makes the error of an answer whose body did not arrive as a whole.
pub(super) fn broke_off(e: ByteStreamError) -> BlobError {
    if let Some(ours) = cause(&e) {
        return ours;
    }
    BlobError::new(BlobErrorKind::Unavailable, "the answer broke off").because(e).transient()
}

/// Makes the error of a request that was not answered: the network's fault, or there was nothing to sign it with.
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

/// Returns the error of our own HTTP client that is behind another one.
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
