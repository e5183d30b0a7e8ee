//! Runs a storage that takes only requests that are signed for its own region, before an S3 server.

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use super::front::{Answer, Front, Onward, refuse_in_xml, text};

/// The way in which the storage says which region it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The region is in the error's body, as Garage and MinIO do.
    Body,
    /// The region is in a header, as AWS does.
    Header,
    /// The region is not told at all.
    Nothing,
}

/// Serves the S3 server at `s3`, in the region `name`.
///
/// # Panics
/// When no port can be had.
pub async fn in_region(s3: &str, name: &'static str, says: Says) -> Front {
    let onward = Onward::to(s3.rsplit_once(':').unwrap().1.parse().unwrap());
    let handler = move |head: Parts, body: Bytes| {
        let onward = onward.clone();
        async move {
            let scope = head.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
            if !scope.contains(&format!("/{name}/s3/aws4_request")) {
                return refused(name, says);
            }
            let path = head.uri.path_and_query().unwrap().to_string();
            onward.pass(head, body, &path).await
        }
    };
    Front::start(handler, refuse_in_xml).await
}

fn refused(name: &'static str, says: Says) -> Answer {
    let region = if says == Says::Body { format!("<Region>{name}</Region>") } else { String::new() };
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>AuthorizationHeaderMalformed</Code>\
         <Message>Authorization header malformed, unexpected scope</Message>{region}</Error>"
    );
    let mut answer = text(400, "application/xml", body);
    if says == Says::Header {
        answer.headers_mut().insert("x-amz-bucket-region", HeaderValue::from_static(name));
    }
    answer
}
