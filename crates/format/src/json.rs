//! Reads JSON as Go's encoder means it (§0): one value and no more, `null` is the zero value, names in any case.
//!
//! The usual path is plain `serde_json`. What it refuses, or what lacks a field that Kopia always writes, is
//! rewritten once by [`repaired`] and tried again: names get their usual spelling, a lone surrogate and bytes
//! that are not UTF-8 become U+FFFD.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// A text that borrows from the JSON where it holds no escapes; `null` is the empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// Reads a value for `#[serde(deserialize_with)]`: `null` leaves the zero value.
pub(crate) fn null_is_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads standard base64 with padding for `#[serde(deserialize_with)]` (§0); `null` is empty.
pub(crate) fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    use base64::Engine as _;
    let text = Text::deserialize(deserializer)?;
    base64::engine::general_purpose::STANDARD
        .decode(text.as_str())
        .map_err(|_| serde::de::Error::custom("expected standard base64"))
}

/// Parses the object at the start of `data`; what follows it is ignored.
pub(crate) fn parse_first<'de, T: Deserialize<'de>>(data: &'de [u8]) -> Result<T, serde_json::Error> {
    // derived parsers would also take a list of the fields' values
    if data.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde::de::Error::custom("expected an object"));
    }
    T::deserialize(&mut serde_json::Deserializer::from_slice(data))
}

/// Returns a copy of `json` where object names that equal one of `names` but for their case are spelled like it, and
/// where strings hold no lone surrogates and no bytes that are not UTF-8.
pub(crate) fn repaired(json: &[u8], names: &[&str]) -> Vec<u8> {
    let json = String::from_utf8_lossy(json);
    let mut out = String::with_capacity(json.len());
    let mut rest: &str = &json;
    while let Some((before, quoted)) = rest.split_once('"') {
        out.push_str(before);
        let (body, after) = split_string(quoted);
        let is_name = after.strip_prefix('"').is_some_and(|a| a.trim_start().starts_with(':'));
        let known = names.iter().find(|n| is_name && n.eq_ignore_ascii_case(body));
        out.push('"');
        match known {
            Some(name) => out.push_str(name),
            None => push_without_lone_surrogates(&mut out, body),
        }
        if let Some(after) = after.strip_prefix('"') {
            out.push('"');
            rest = after;
        } else {
            rest = "";
        }
    }
    out.push_str(rest);
    out.into_bytes()
}

/// Splits a text into the inside of a string, and the text from its closing quote on.
fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return text.split_at_checked(i).unwrap_or((text, "")),
            _ => {}
        }
    }
    (text, "")
}

fn push_without_lone_surrogates(out: &mut String, mut body: &str) {
    while let Some((before, escape)) = body.split_once('\\') {
        out.push_str(before);
        out.push('\\');
        let Some(unit) = code_unit(escape) else {
            // any other escape: copy the escaped character, so that `\\u` is not taken for one
            let mut chars = escape.chars();
            out.extend(chars.next());
            body = chars.as_str();
            continue;
        };
        let (this, after) = escape.split_at_checked(5).unwrap_or((escape, ""));
        let low = after.strip_prefix('\\').filter(|a| matches!(code_unit(a), Some(0xdc00..=0xdfff)));
        match (unit, low) {
            (0xd800..=0xdbff, Some(low)) => {
                let (second, after) = low.split_at_checked(5).unwrap_or((low, ""));
                out.push_str(this);
                out.push('\\');
                out.push_str(second);
                body = after;
            }
            (0xd800..=0xdfff, _) => {
                out.push_str("ufffd");
                body = after;
            }
            _ => {
                out.push_str(this);
                body = after;
            }
        }
    }
    out.push_str(body);
}

/// Reads the value of `uXXXX` at the start of `text`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repair(json: &str) -> String {
        String::from_utf8(repaired(json.as_bytes(), &["name", "maxTime"])).unwrap()
    }

    #[test]
    fn names_get_their_usual_spelling_and_values_keep_theirs() {
        assert_eq!(
            repair(r#"{"NAME":"NAME","MaxTime" : 1,"Other":"x"}"#),
            r#"{"name":"NAME","maxTime" : 1,"Other":"x"}"#
        );
        assert_eq!(repair(r#"{"a\"name":1,"b":["Name"]}"#), r#"{"a\"name":1,"b":["Name"]}"#);
    }

    #[test]
    fn lone_surrogates_become_the_replacement_character() {
        assert_eq!(repair(r#""a\ud800b""#), r#""a\ufffdb""#);
        assert_eq!(repair(r#""\ud800\ud800\udc00\udfff""#), r#""\ufffd\ud800\udc00\ufffd""#);
        assert_eq!(repair(r#""\\ud800\n\"x""#), r#""\\ud800\n\"x""#);
        assert_eq!(repaired(b"\"a\xffb\"", &[]), "\"a\u{fffd}b\"".as_bytes());
    }

    #[test]
    fn broken_json_does_not_panic() {
        for broken in ["", "\"", "\"\\", "\"\\u", "\"\\ud8", "{\"a", "\"\\ud800\\", "\"\\ud800\\ué"] {
            let _ = repair(broken);
        }
    }

    #[test]
    fn what_follows_the_object_is_ignored() {
        #[derive(Deserialize)]
        struct Seven {
            n: u32,
        }
        assert_eq!(parse_first::<Seven>(b" {\"n\":7}\nrubbish").unwrap().n, 7);
        assert!(parse_first::<Seven>(b"[7]").is_err());
    }
}
