//! JSON that arrives in pieces: directories, seek tables, manifests. The scanner below them is private; each of them shows it.

use std::fmt::Debug;
use std::mem::{Discriminant, discriminant};

use rekopia_format::directory::{self, DirectoryScanner, Entry};
use rekopia_format::json_array;
use rekopia_format::manifest::ManifestScanner;
use rekopia_format::object::{self, SeekTableScanner};

use crate::input::{Input, pieces};

/// What a scanner made of a document: its elements, then how it ended.
type Scanned<T, E> = (Vec<T>, Result<String, E>);

/// Scans the input whole, then in pieces: both have to find the same.
fn same<T: PartialEq + Debug, E: Debug>(
    data: &[u8],
    scan: impl Fn(&[&[u8]]) -> Scanned<T, E>,
    kind: impl Fn(&E) -> Discriminant<json_array::Error>,
    other: impl Fn(&E) -> bool,
) -> Scanned<T, E> {
    let mut input = Input(data);
    let seed = input.byte();
    let whole = scan(&[input.0]);
    let parts = scan(&pieces(input.0, seed));
    assert_eq!(whole.0, parts.0, "pieces give other elements");
    match (&whole.1, &parts.1) {
        (Ok(whole), Ok(parts)) => assert_eq!(whole, parts, "pieces end otherwise"),
        // Offsets of limits depend on the pieces; which rule is broken does not.
        (Err(whole), Err(parts)) if !other(whole) && !other(parts) => {
            assert_eq!(kind(whole), kind(parts), "pieces fail otherwise: {whole:?}, {parts:?}");
        }
        (Err(whole), Err(parts)) => {
            assert_eq!(format!("{whole:?}"), format!("{parts:?}"), "pieces fail otherwise");
        }
        (whole, parts) => panic!("whole {whole:?}, in pieces {parts:?}"),
    }
    whole
}

/// What serde_json takes for an object must not be called broken JSON.
fn check_valid(data: &[u8], error: Option<&json_array::Error>) {
    use json_array::Error::{Syntax, Unfinished};
    if let Some(error @ (Syntax { .. } | Unfinished { .. })) = error {
        let valid = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(data);
        assert!(valid.is_err(), "valid JSON, but {error}");
    }
}

/// Directory objects.
pub fn directory(data: &[u8]) {
    let scan = |pieces: &[&[u8]]| {
        let (mut scanner, mut entries) = (DirectoryScanner::new(), Vec::new());
        let pushed = pieces.iter().try_for_each(|piece| scanner.push(piece, |entry| entries.push(entry)));
        let ended = pushed.and_then(|()| Ok(format!("{:?}", scanner.finish()?)));
        (entries, ended)
    };
    let json = |e: &directory::Error| match e {
        directory::Error::Json(e) => Some(e.clone()),
        _ => None,
    };
    let kind = |e: &directory::Error| discriminant(&json(e).expect("asked for JSON only"));
    let (entries, ended) = same(data, scan, kind, |e| json(e).is_none());
    check_valid(data.get(1..).unwrap_or_default(), ended.err().and_then(|e| json(&e)).as_ref());
    for entry in entries.iter().flatten() {
        check_entry(entry);
    }
}

/// One directory entry, as the root of a snapshot is one.
pub fn entry(data: &[u8]) {
    if let Ok(entry) = Entry::from_json(data) {
        check_entry(&entry);
    }
}

fn check_entry(entry: &Entry) {
    if let Ok(name) = &entry.name {
        let name = name.as_str();
        let good = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        assert!(good, "{name:?} would reach the file system");
    }
    assert!(entry.mode & !0o7777 == 0, "mode {:o} has other bits", entry.mode);
    let _ = entry.mtime.to_string();
}

/// Seek tables: their parts come in order and without gaps.
pub fn seek_table(data: &[u8]) {
    let scan = |pieces: &[&[u8]]| {
        let (mut scanner, mut parts) = (SeekTableScanner::new(), Vec::new());
        let pushed = pieces.iter().try_for_each(|piece| scanner.push(piece, |part| parts.push(part)));
        let ended = pushed.and_then(|()| Ok(scanner.finish()?.to_string()));
        (parts, ended)
    };
    let json = |e: &object::Error| match e {
        object::Error::Json(e) => Some(e.clone()),
        _ => None,
    };
    let kind = |e: &object::Error| discriminant(&json(e).expect("asked for JSON only"));
    let (parts, ended) = same(data, scan, kind, |e| json(e).is_none());
    let mut end = 0;
    for part in &parts {
        assert_eq!(part.start, end, "a gap before {part:?}");
        end = part.start.checked_add(part.len).expect("an end that is a number");
    }
    if let Ok(total) = &ended {
        assert_eq!(*total, end.to_string(), "the length is not that of the parts");
    }
    check_valid(data.get(1..).unwrap_or_default(), ended.err().and_then(|e| json(&e)).as_ref());
}

/// Manifest contents.
pub fn manifests(data: &[u8]) {
    let scan = |pieces: &[&[u8]]| {
        let (mut scanner, mut found) = (ManifestScanner::new(), Vec::new());
        let each = |piece: &&[u8]| scanner.push(piece, |manifest| found.push(format!("{manifest:?}")));
        let ended = pieces.iter().try_for_each(each).and_then(|()| scanner.finish());
        (found, ended.map(|()| String::new()))
    };
    let (_, ended) = same(data, scan, discriminant, |_| false);
    check_valid(data.get(1..).unwrap_or_default(), ended.err().as_ref());
    crate::meanings::all_manifests(data.get(1..).unwrap_or_default());
}
