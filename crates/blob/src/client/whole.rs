//! Finds out whether an answer is what was asked for, and all of it (pure).
//!
//! A listing that was cut short and a page that a proxy answers in the storage's place both come with status 200; taken
//! for listings they hide blobs, and nobody would know.

#[cfg(any(feature = "object", feature = "s3"))]
use quick_xml::Reader;
#[cfg(any(feature = "object", feature = "s3"))]
use quick_xml::events::Event;

use crate::error::{BlobError, BlobErrorKind};

/// Checks a page of a listing in XML, as S3, Azure and Google give it: closed to its end, with as many entries as it
/// announces, and with the way to the next page when there is one. What a dialect leaves out is not missed.
///
/// # Errors
/// [`BlobErrorKind::Unavailable`], worth another try.
#[cfg(any(feature = "object", feature = "s3"))]
pub(crate) fn list_page(text: &[u8]) -> Result<(), BlobError> {
    let page = Page::read(text)?;
    if page.entries < page.announced {
        let what = format!("a listing with {} of {} entries", page.entries, page.announced);
        return Err(incomplete(&what));
    }
    if page.goes_on && !page.says_where {
        return Err(incomplete("a listing that goes on without saying where"));
    }
    Ok(())
}

/// Makes the error of an answer that is an HTML page.
pub(crate) fn html_instead(of: &str) -> BlobError {
    let what = format!(
        "an HTML page came instead of {of}: a proxy or login page answers in the storage's place; check the endpoint \
         and the network"
    );
    BlobError::new(BlobErrorKind::Unavailable, what).transient()
}

/// Whether a text begins as an HTML page does.
pub(crate) fn is_html(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html")
}

/// The facts that a page of a listing tells of itself.
#[cfg(any(feature = "object", feature = "s3"))]
#[derive(Debug, Default)]
struct Page {
    entries: usize,
    announced: usize,
    goes_on: bool,
    says_where: bool,
}

#[cfg(any(feature = "object", feature = "s3"))]
impl Page {
    fn read(text: &[u8]) -> Result<Self, BlobError> {
        if is_html(text) {
            return Err(html_instead("a listing"));
        }
        let mut reader = Reader::from_reader(text);
        let (mut page, mut depth, mut closed) = (Page::default(), 0_usize, false);
        let (mut element, mut value) = (Vec::new(), String::new());
        loop {
            match reader.read_event().map_err(|e| incomplete("a listing that is no whole XML").because(e))? {
                Event::Start(start) => {
                    depth += 1;
                    element = start.local_name().as_ref().to_vec();
                    value.clear();
                    if depth == 2 && matches!(element.as_slice(), b"Contents" | b"CommonPrefixes") {
                        page.entries += 1;
                    }
                }
                Event::Text(part) if depth == 2 => value.push_str(&String::from_utf8_lossy(&part)),
                Event::GeneralRef(_) if depth == 2 => value.push('?'),
                Event::End(_) => {
                    if depth == 2 {
                        page.note(&element, value.trim());
                    }
                    element.clear();
                    depth = depth.saturating_sub(1);
                    closed |= depth == 0;
                }
                Event::Eof if closed && depth == 0 => return Ok(page),
                Event::Eof => return Err(incomplete("a listing that ends in the middle")),
                _ => {}
            }
        }
    }

    fn note(&mut self, element: &[u8], value: &str) {
        match element {
            b"KeyCount" => self.announced = value.parse().unwrap_or(0),
            b"IsTruncated" => self.goes_on = value == "true",
            b"NextContinuationToken" | b"NextMarker" | b"NextKeyMarker" => {
                self.says_where |= !value.is_empty()
            }
            _ => {}
        }
    }
}

#[cfg(any(feature = "object", feature = "s3"))]
fn incomplete(what: &str) -> BlobError {
    BlobError::new(BlobErrorKind::Unavailable, format!("the answer is not whole: {what}")).transient()
}

#[cfg(all(test, any(feature = "object", feature = "s3")))]
mod tests {
    use super::*;

    const PAGE: &str = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>b</Name><KeyCount>3</KeyCount>\
        <IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken>\
        <Contents><Key>p1</Key><Size>1</Size></Contents><Contents><Key>p&#x32;</Key><Size>1</Size></Contents>\
        <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>";

    #[test]
    fn a_page_counts_when_it_is_whole() {
        list_page(PAGE.as_bytes()).unwrap();
        let left_out =
            PAGE.replace("<KeyCount>3</KeyCount>", "").replace("<IsTruncated>true</IsTruncated>", "");
        list_page(left_out.as_bytes()).unwrap();
        // Azure says so with an empty element, or none.
        list_page(b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>\n").unwrap();
        for cut in 0..PAGE.len() {
            let error = list_page(&PAGE.as_bytes()[..cut]).unwrap_err();
            assert!(error.kind() == BlobErrorKind::Unavailable && error.is_transient(), "{cut}: {error}");
        }
        for (from, to) in [
            ("<Contents><Key>p1</Key><Size>1</Size></Contents>", ""),
            ("<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>", ""),
            ("<NextContinuationToken>a&amp;b</NextContinuationToken>", ""),
            ("a&amp;b", ""),
        ] {
            assert!(list_page(PAGE.replace(from, to).as_bytes()).is_err(), "without {from}");
        }
    }

    #[test]
    fn a_page_of_html_is_called_so() {
        for html in ["<html>", "<!DOCTYPE html><title>Sign in</title>", "\n\u{feff}  <HTML lang=en>"] {
            let html = html.trim_start_matches('\n');
            assert!(is_html(html.as_bytes()), "{html}");
            assert!(
                list_page(html.as_bytes())
                    .unwrap_err()
                    .what()
                    .contains("an HTML page came instead of a listing")
            );
        }
        assert!(!is_html(PAGE.as_bytes()) && !is_html(b"<") && !is_html(b"{\"a\":1}"));
    }
}
