//! Reads the heads of answers: when to come back, which bytes have come.

#[cfg(any(test, feature = "b2", feature = "s3", feature = "webdav"))]
use std::ops::Range;
use std::time::Duration;

#[cfg(any(feature = "b2", feature = "object", feature = "webdav"))]
use reqwest::Response;

use crate::error::BlobError;
#[cfg(any(test, feature = "b2", feature = "s3", feature = "webdav"))]
use crate::error::BlobErrorKind;

/// Returns the error of a refusal, worth another try when the server is busy or in trouble.
pub(crate) fn by_status(error: BlobError, status: u16, retry_after: Option<&str>) -> BlobError {
    match status {
        429 | 503 => error.retry_after(wait(retry_after)),
        408 | 500 | 502 | 504..=599 => error.transient(),
        _ => error,
    }
}

/// Reads `Retry-After`: seconds, or the time when; never more than two minutes are waited.
pub(crate) fn wait(text: Option<&str>) -> Duration {
    let seconds = text.and_then(|t| t.trim().parse().ok()).map(Duration::from_secs);
    let until = || {
        let then = jiff::fmt::rfc2822::parse(text?.trim()).ok()?.timestamp();
        Duration::try_from(then.duration_since(jiff::Timestamp::now())).ok()
    };
    seconds.or_else(until).unwrap_or_default().min(Duration::from_secs(120))
}

/// Returns a header of an answer, if it is there and text.
#[cfg(any(feature = "b2", feature = "object", feature = "webdav"))]
pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Returns a code from an answer, when it looks like one: others are not shown.
#[cfg(any(feature = "b2", feature = "object"))]
pub(crate) fn plain_code(code: &str) -> &str {
    let plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain { code } else { "" }
}

/// Returns how many bytes the answer to a request for `wanted` has, when its `Content-Range` says that it is the right
/// one.
#[cfg(any(test, feature = "b2", feature = "s3", feature = "webdav"))]
pub(crate) fn check_range(wanted: &Range<u64>, given: Option<&str>) -> Result<u64, BlobError> {
    let odd = |what: &str| Err(BlobError::new(BlobErrorKind::Unavailable, what).transient());
    match given.map(parse_content_range) {
        Some(Some((given, _))) if given == *wanted => Ok(wanted.end - wanted.start),
        // Only the blob's own end makes it short: a server that sends less than there is may do better the next time.
        Some(Some((given, total)))
            if given.start == wanted.start
                && given.end < wanted.end
                && total.is_none_or(|total| total <= given.end) =>
        {
            Err(BlobError::new(BlobErrorKind::Truncated, "it ends too early"))
        }
        Some(_) => odd("the storage answered with another range than it was asked for"),
        None => odd("the storage ignored the range that it was asked for"),
    }
}

/// Reads a `Content-Range`: `bytes 5-9/100` → 5..10 of 100.
#[cfg(any(test, feature = "b2", feature = "s3", feature = "webdav"))]
fn parse_content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) =
        text.strip_prefix("bytes ")?.split_once('/').unwrap_or((&text["bytes ".len()..], "*"));
    let (first, last) = range.split_once('-')?;
    let range = first.trim().parse().ok()?..last.trim().parse::<u64>().ok()?.checked_add(1)?;
    Some((range, total.trim().parse().ok()))
}

/// Makes the error of a listing that was refused: nothing there is an empty listing, one that is "not found" is none at
/// all.
#[cfg(any(feature = "b2", feature = "s3"))]
pub(crate) fn no_list(error: BlobError) -> BlobError {
    match error.kind() {
        BlobErrorKind::NotFound => BlobError::new(BlobErrorKind::Unavailable, error.what()),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/100"), Some((5..10, Some(100))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5..10, None)));
        assert_eq!(parse_content_range("bytes 5-9"), Some((5..10, None)));
        assert_eq!(parse_content_range("bytes */100"), None);
        assert_eq!(parse_content_range("bytes 0-18446744073709551615/1"), None);
    }

    #[test]
    fn an_answer_has_the_range_that_was_asked_for() {
        let kind = |given| check_range(&(5..10), given).map_err(|e| (e.kind(), e.is_transient()));
        assert_eq!(kind(Some("bytes 5-9/100")), Ok(5));
        assert_eq!(kind(Some("bytes 5-8/9")), Err((BlobErrorKind::Truncated, false)));
        assert_eq!(kind(Some("bytes 5-8/*")), Err((BlobErrorKind::Truncated, false)));
        // A short answer of a blob that is longer is the server's fault, not the blob's.
        let odd =
            ["bytes 4-9/100", "bytes 5-10/100", "bytes 5-10/11", "bytes 5-8/100", "bytes 5-8/10", "5-9"];
        for odd in odd.map(Some).into_iter().chain([None]) {
            assert_eq!(kind(odd), Err((BlobErrorKind::Unavailable, true)), "{odd:?}");
        }
    }

    #[test]
    fn reads_when_to_come_back() {
        assert_eq!(wait(Some("7")), Duration::from_secs(7));
        assert_eq!(wait(Some("99999")), Duration::from_secs(120));
        assert_eq!(wait(Some("soon")), Duration::ZERO);
        assert_eq!(wait(None), Duration::ZERO);
        assert_eq!(wait(Some("Thu, 01 Jan 1970 00:00:07 GMT")), Duration::ZERO);
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(20);
        let soon = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&soon).unwrap();
        assert!((Duration::from_secs(15)..=Duration::from_secs(20)).contains(&wait(Some(&soon))));
    }
}
