//! Reads the members of a collection from the answer to PROPFIND (RFC 4918 §9.1, pure).

use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::Event;

/// A file or collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Member {
    /// Absolute path on the server, decoded.
    pub(super) path: String,
    /// The length of a file, in bytes.
    pub(super) len: u64,
    /// The modification time in nanoseconds since 1970; 0 when the server does not say.
    pub(super) modified_ns: i64,
    /// Whether the member has members itself.
    pub(super) is_collection: bool,
}

/// The reason why a text is not the XML that it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("broken XML")]
    Xml(#[from] quick_xml::Error),
    #[error("it ends too early")]
    Ends,
    #[error("a name that is not UTF-8")]
    Name,
    #[error("the server could not look at one of its members (HTTP {0})")]
    Member(u16),
}

/// Reads a multistatus document, whatever prefix its namespace has.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Member>, Error> {
    let mut reader = Reader::from_reader(text);
    let (mut members, mut member, mut element) = (Vec::new(), Member::default(), Vec::new());
    let mut value = String::new();
    let (mut whole, mut in_propstat, mut is_gone) = (false, false, false);
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                element = start.local_name().as_ref().to_ascii_lowercase();
                value.clear();
                match element.as_slice() {
                    b"response" => (member, is_gone) = (Member::default(), false),
                    b"propstat" => in_propstat = true,
                    b"collection" => member.is_collection = true,
                    _ => {}
                }
            }
            Event::Empty(empty) if empty.local_name().as_ref().eq_ignore_ascii_case(b"collection") => {
                member.is_collection = true;
            }
            Event::Text(part) => value.push_str(&String::from_utf8_lossy(&part)),
            Event::GeneralRef(name) => value.push(entity(&name)),
            Event::End(end) => {
                let ended = end.local_name().as_ref().to_ascii_lowercase();
                if ended == element {
                    match ended.as_slice() {
                        b"href" => member.path = path(value.trim())?,
                        b"getcontentlength" => member.len = value.trim().parse().unwrap_or(0),
                        b"getlastmodified" => member.modified_ns = http_date(value.trim()),
                        // A property's status says that there is no such property; a member's, that there is no such
                        // member.
                        b"status" if !in_propstat => match status(value.trim()) {
                            404 | 410 => is_gone = true,
                            failed @ 400.. => return Err(Error::Member(failed)),
                            _ => {}
                        },
                        _ => {}
                    }
                }
                match ended.as_slice() {
                    b"response" if is_gone => {}
                    b"response" => members.push(std::mem::take(&mut member)),
                    b"propstat" => in_propstat = false,
                    b"multistatus" => whole = true,
                    _ => {}
                }
                element.clear();
            }
            Event::Eof if whole => return Ok(members),
            Event::Eof => return Err(Error::Ends),
            _ => {}
        }
    }
}

/// Returns the character that XML calls so.
fn entity(name: &[u8]) -> char {
    match name {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        _ => '\u{fffd}',
    }
}

/// Returns the path of the collection that was listed, among its members: as it was asked for, or as a server behind a
/// proxy calls it, which is then the shortest.
pub(super) fn own_path<'a>(members: &'a [Member], asked: &str) -> Option<&'a str> {
    let collections = members.iter().filter(|m| m.is_collection).map(|m| m.path.trim_end_matches('/'));
    let asked = asked.trim_end_matches('/');
    collections.clone().find(|path| *path == asked).or_else(|| collections.min_by_key(|path| path.len()))
}

/// Returns the code of a status line, `HTTP/1.1 403 Forbidden` → 403; 0 when it is none.
fn status(line: &str) -> u16 {
    line.split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Returns the path of a URL, decoded as those of members are.
pub(super) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// Returns the path of a reference, which is a path, or a whole URL.
fn path(href: &str) -> Result<String, Error> {
    let path = match href.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => href,
    };
    percent_decode_str(path).decode_utf8().map(String::from).map_err(|_| Error::Name)
}

/// Returns the nanoseconds since 1970 of `Tue, 24 Nov 2026 10:00:00 GMT`; 0 when it is none.
pub(super) fn http_date(text: &str) -> i64 {
    let parsed = jiff::fmt::rfc2822::parse(text).map(|zoned| zoned.timestamp().as_nanosecond());
    parsed.ok().and_then(|ns| i64::try_from(ns).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_collection_itself() {
        let member =
            |path: &str, is_collection| Member { path: path.into(), is_collection, ..Member::default() };
        let members = [member("/dav/a b/x/", true), member("/dav/a b/", true), member("/dav/a b/f", false)];
        assert_eq!(own_path(&members, &decoded("/dav/a%20b/")), Some("/dav/a b"));
        assert_eq!(own_path(&members, "/other/"), Some("/dav/a b"));
        assert_eq!(own_path(&members[2..], "/other/"), None);
    }

    #[test]
    fn reads_a_multistatus() {
        let text = br#"<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">
            <D:response><D:href>/a%20b/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>
            </D:prop></D:propstat></D:response>
            <D:response><D:href>http://host/a%20b/x&amp;y.f</D:href><D:propstat><D:prop><D:resourcetype/>
            <D:getcontentlength>12</D:getcontentlength>
            <D:getlastmodified>Thu, 01 Jan 1970 00:00:07 GMT</D:getlastmodified></D:prop></D:propstat></D:response>
            </D:multistatus>"#;
        let folder = Member { path: "/a b/".into(), is_collection: true, ..Member::default() };
        let file =
            Member { path: "/a b/x&y.f".into(), len: 12, modified_ns: 7_000_000_000, is_collection: false };
        assert_eq!(parse(text).unwrap(), [folder, file]);
        let end = text.len() - b"</D:multistatus>".len();
        for cut in 0..=end {
            assert!(parse(&text[..cut]).is_err(), "{cut}");
        }
        assert!(parse(b"<html>no</html>").is_err());
    }

    #[test]
    fn a_member_that_could_not_be_looked_at_is_not_passed_over() {
        let with = |status: &str| {
            let text = format!(
                "<multistatus><response><href>/a/</href></response><response><href>/a/x.f</href>\
                 <status>HTTP/1.1 {status}</status></response></multistatus>"
            );
            parse(text.as_bytes()).map(|members| members.len()).map_err(|e| e.to_string())
        };
        assert_eq!((with("200 OK"), with("404 Not Found")), (Ok(2), Ok(1)));
        assert!(with("403 Forbidden").unwrap_err().contains("HTTP 403"));
        assert!(with("500 Internal Server Error").is_err());
        let property =
            b"<multistatus><response><href>/a/</href><propstat><status>HTTP/1.1 404 Not Found</status>\
            </propstat></response></multistatus>";
        assert_eq!(parse(property).unwrap().len(), 1);
    }
}
