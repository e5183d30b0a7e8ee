//! Changes of documents that keep most of their structure, decided by an input.

use std::ops::Range;

use crate::input::Input;

/// Texts that stand where a name, a kind or a time was.
const STRINGS: [&str; 24] = [
    "",
    ".",
    "..",
    "a",
    "sub",
    "link",
    "target",
    "a/b",
    "../outside/kept",
    "/etc",
    "a\\u0000b",
    "a\\u202eb",
    "A",
    "\\ud800",
    "d",
    "f",
    "s",
    "x",
    "kopia:directory",
    "kopia:indirect",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "checkpoint",
    "snapshot",
];
/// Values that stand where a number was.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "2",
    "7",
    "511",
    "4095",
    "65536",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e300",
    "null",
];

/// One change of a document; `ids` are objects that there are.
pub(crate) fn change(document: &mut Vec<u8>, input: &mut Input<'_>, ids: &[String]) {
    let (kind, at, len) = (input.byte() % 7, usize::from(input.u16()), usize::from(input.byte() % 64));
    let start = at % (document.len() + 1);
    let range = start..(start + len).min(document.len());
    match kind {
        0 => replace(document, range, input.take(len)),
        1 => replace(document, range, b""),
        2 => {
            let copy = document[range.clone()].to_vec();
            replace(document, range.end..range.end, &copy);
        }
        3 => {
            if let Some(string) = nth(&strings(document), at) {
                replace(document, string, input.pick(&STRINGS).as_bytes());
            }
        }
        4 => {
            if let Some(number) = nth(&numbers(document), at) {
                replace(document, number, input.pick(&NUMBERS).as_bytes());
            }
        }
        5 => {
            // Another object, or the same by another way.
            let way = input.pick(&["", "I", "II", "IIIIIIIIIIIIIIII", "Z", "D"]);
            let objects: Vec<_> =
                strings(document).into_iter().filter(|r| is_object(&document[r.clone()])).collect();
            if let (Some(range), Some(id)) = (nth(&objects, at), ids.get(len % ids.len().max(1))) {
                replace(document, range, format!("{way}{id}").as_bytes());
            }
        }
        // A long text.
        _ => replace(document, start..start, &b"long ".repeat(len * 16)),
    }
}

fn replace(document: &mut Vec<u8>, range: Range<usize>, with: &[u8]) {
    document.splice(range, with.iter().copied());
}

fn nth(all: &[Range<usize>], n: usize) -> Option<Range<usize>> {
    all.get(n % all.len().max(1)).cloned()
}

fn is_object(text: &[u8]) -> bool {
    text.len() >= 32 && text.iter().all(u8::is_ascii_alphanumeric)
}

/// The insides of strings: what lies between two quotes.
fn strings(document: &[u8]) -> Vec<Range<usize>> {
    let quotes: Vec<usize> = (0..document.len()).filter(|at| document[*at] == b'"').collect();
    quotes.chunks_exact(2).map(|pair| pair[0] + 1..pair[1]).collect()
}

/// Runs of digits outside of names.
fn numbers(document: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < document.len() {
        let len = document[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len > 0 && at > 0 && matches!(document[at - 1], b':' | b'[' | b',') {
            found.push(at..at + len);
        }
        at += len.max(1);
    }
    found
}
