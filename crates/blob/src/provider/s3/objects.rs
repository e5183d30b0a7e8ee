//! Makes requests to a bucket.

use std::sync::Arc;

use aws_sdk_s3::Client;

use super::credentials::S3Credentials;
use super::past::Past;
use super::region::Regional;
use crate::client::http::Http;

/// The objects of a bucket under a prefix.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) regional: Regional,
    pub(super) http: Http,
    pub(super) bucket: String,
    pub(super) prefix: String,
    /// The place that requests go to, for messages.
    pub(super) place: String,
    pub(super) past: Option<Past>,
    /// The keys that sign requests; `None`: requests are not signed.
    pub(super) credentials: Option<Arc<S3Credentials>>,
}

impl Objects {
    pub(super) fn client(&self) -> Client {
        self.regional.client()
    }

    pub(super) fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }
}

/// Returns a time in nanoseconds since 1970; 0: not said.
pub(super) fn nanos(time: Option<&aws_smithy_types::DateTime>) -> i64 {
    time.map_or(0, |t| i64::try_from(t.as_nanos()).unwrap_or(0))
}
