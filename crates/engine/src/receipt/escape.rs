//! Writes paths into a document of JSON, whatever bytes they have: reversible (pure, docs/receipt.md).
//!
//! What is UTF-8 stands as it is, but for the backslash, which is doubled. Any other byte is `\x` and two lower-case
//! hexadecimal digits.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Returns a path as text.
pub(super) fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!(r"\x{byte:02x}"));
        }
    }
    text
}

/// Returns the path that the text stands for; `None`: the text was not written by [`escaped`].
pub(super) fn unescaped(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        if let Some(after) = after.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            let digits = after.strip_prefix('x')?.get(..2)?;
            // `from_str_radix` takes a sign, too.
            if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(3..)?;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"a/b c", "a/b c"),
            (b"a\\x41", r"a\\x41"),
            (b"\xff\xfea\x80", r"\xff\xfea\x80"),
            ("ä\n\u{202e}".as_bytes(), "ä\n\u{202e}"),
            (b"\xc3", r"\xc3"),
        ] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            assert_eq!(escaped(&path), text);
            assert_eq!(unescaped(text), Some(path));
        }
        for wrong in [r"\", r"a\b", r"\x", r"\x4", r"\xZZ", r"\x+4", r"\xFF", r"\xä"] {
            assert_eq!(unescaped(wrong), None, "{wrong}");
        }
    }
}
