//! Holds what a real API server answered, word for word, and answers of the same shape.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::packed;

/// A whole answer.
pub(super) type Answer = Response<Bytes>;
/// A refusal: the answer in place of the one that was asked for.
pub(super) type Refusal = Box<Answer>;

static API: LazyLock<Map<String, Value>> = LazyLock::new(|| packed::unpack("api"));

/// Returns the answers of a real API server that a client must cope with: name → `request`, `status`, `headers`,
/// `body`.
///
/// # Panics
/// When the recording cannot be read.
pub fn answers() -> &'static Value {
    &API["answers.json"]
}

/// Returns what a real API server said about itself: path (`/version`, `/apis/batch/v1`) → document.
///
/// # Panics
/// When the recording cannot be read.
pub fn discovery() -> &'static Value {
    &API["discovery.json"]
}

/// Returns what the API server says about itself in the aggregated form: `/api` and `/apis` → `body`.
pub(super) fn aggregated() -> &'static Value {
    &API["discovery-aggregated.json"]
}

/// Returns the recorded answer of this name.
pub(super) fn recorded(name: &str) -> Answer {
    let recorded = &answers()[name];
    let status = recorded["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    json_answer(status.unwrap_or_else(|| panic!("no answer {name:?} is recorded")), &recorded["body"])
}

/// Returns the body of the recorded answer of this name, as one line.
pub(super) fn recorded_line(name: &str) -> String {
    format!("{}\n", answers()[name]["body"])
}

/// Returns what a server answers that does not know the path at all: plain text, no Status.
pub(super) fn unknown_path() -> Answer {
    text(404, "text/plain; charset=utf-8", "404 page not found\n")
}

/// Returns an answer of text.
pub(super) fn text(status: u16, kind: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == 429 {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// Returns an answer of JSON.
pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    text(status, "application/json", body.to_string())
}

/// Makes an error as the API server gives it; `details` may be null.
pub(super) fn status(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    let mut body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if !details.is_null() {
        body["details"] = details;
    }
    json_answer(code, &body)
}

/// Makes the answer that the request is wrong.
pub(super) fn bad_request(message: impl AsRef<str>) -> Answer {
    status(400, "BadRequest", message.as_ref(), Value::Null)
}

/// Makes the answer that the version that was asked for is no longer held.
pub(super) fn expired(message: &str) -> Answer {
    status(410, "Expired", message, Value::Null)
}
