//! Makes answers that arrive whole, with a success, and are not what was asked for.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use hyper::http::response::Parts;

/// The lie of an answer: what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Only the first part of the text is there, in percent; its length says that this is all.
    Half(usize),
    /// Nothing is there.
    Nothing,
    /// A login page.
    Html,
    /// An entry of a listing is left out; a count that it announces stays.
    LessThanAnnounced,
    /// A listing goes on, but does not say where.
    NoWayOn,
    /// A part of a blob is shorter than it was asked for, and says so itself.
    ShortPart,
}

const LOGIN: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Welcome to the Wi-Fi</body></html>\n";

/// Returns what is sent instead of `body`.
pub fn tell(lie: Lie, head: &mut Parts, body: Bytes) -> Bytes {
    let text = || String::from_utf8_lossy(&body).into_owned();
    let told: Bytes = match lie {
        Lie::Half(percent) => body.slice(..body.len() * percent / 100),
        Lie::Nothing => Bytes::new(),
        Lie::Html => {
            head.status = StatusCode::OK;
            head.headers.remove(CONTENT_RANGE);
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            Bytes::from_static(LOGIN.as_bytes())
        }
        Lie::LessThanAnnounced => without(&text(), "<Contents>", "</Contents>").into(),
        Lie::NoWayOn => {
            let text = text().replace("<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>");
            without(&text, "<NextContinuationToken>", "</NextContinuationToken>").into()
        }
        Lie::ShortPart => return short_part(head, body),
    };
    head.headers.insert(CONTENT_LENGTH, told.len().into());
    told
}

fn without(text: &str, from: &str, to: &str) -> String {
    let Some((before, rest)) = text.split_once(from) else { return text.to_owned() };
    let after = rest.split_once(to).map_or("", |(_, after)| after);
    format!("{before}{after}")
}

/// Makes a part shorter: `bytes 0-99/1000` with a hundred bytes → `bytes 0-49/1000` with fifty.
fn short_part(head: &mut Parts, body: Bytes) -> Bytes {
    let range = head.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let first = range.strip_prefix("bytes ").and_then(|r| r.split_once('-')?.0.parse::<usize>().ok());
    let (Some(first), Some((_, total)), true) = (first, range.split_once('/'), body.len() > 1) else {
        return body;
    };
    let half = body.slice(..body.len() / 2);
    let range = format!("bytes {first}-{}/{total}", first + half.len() - 1);
    head.headers.insert(CONTENT_RANGE, HeaderValue::from_str(&range).unwrap());
    head.headers.insert(CONTENT_LENGTH, half.len().into());
    half
}
