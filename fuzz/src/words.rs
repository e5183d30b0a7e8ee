//! Small texts: IDs, times, the names of epochs.

use std::collections::HashSet;

use rekopia_format::entry_name::EntryName;
use rekopia_format::epoch::{EpochListing, epoch_number, first_complete_set, select};
use rekopia_format::index_cover::covered_epochs;
use rekopia_format::time::{format_rfc3339_nanos, parse_rfc3339_nanos};
use rekopia_format::{BlobId, ContentId, ManifestId, ObjectId, index_blob};

/// Identifiers are read back as they are shown.
pub fn ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(id) = BlobId::parse(&text) {
        assert_eq!(id.as_str(), text, "a blob of another name");
        let _ = index_blob::blob_iv(&id);
    }
    if let Ok(id) = ContentId::parse(&text) {
        assert_eq!(id.to_string(), text, "a content of another name");
        assert!(id.names(id.hash()) || id.hash().len() < 16, "it does not name its own hash");
    }
    if let Ok(id) = ObjectId::parse(&text) {
        assert_eq!(ObjectId::parse(&id.to_string()).as_ref(), Ok(&id), "an object of another name");
        let levels = std::iter::successors(Some(id), ObjectId::seek_table).count();
        assert_eq!(levels, usize::from(id.indirection()) + 1, "levels");
    }
    if let Ok(id) = ManifestId::parse(&text) {
        assert_eq!(id.as_str(), text, "a manifest of another name");
    }
    if let Ok(id) = ContentId::from_key(data) {
        assert_eq!(ContentId::parse(&id.to_string()).as_ref(), Ok(&id), "a content of another key");
    }
    if let Ok(name) = EntryName::parse(&text) {
        assert!(!name.as_str().contains(['/', '\0']), "a name that is a path");
    }
}

/// RFC 3339 times, beside jiff.
pub fn time(data: &[u8]) {
    if let Some(nanos) = data.first_chunk::<8>() {
        let nanos = i64::from_le_bytes(*nanos);
        assert_eq!(parse_rfc3339_nanos(&format_rfc3339_nanos(nanos)), Some(nanos), "written and read");
    }
    let text = String::from_utf8_lossy(data);
    let Some(ours) = parse_rfc3339_nanos(&text) else { return };
    let year: i32 = text[..4].parse().expect("four digits");
    let nanos = jiff_nanos(&text);
    match nanos {
        Some(theirs) => {
            let limited = i64::try_from(theirs).unwrap_or(if theirs < 0 { i64::MIN } else { i64::MAX });
            assert_eq!(ours, limited, "jiff says otherwise of {text}");
        }
        // The range of jiff ends with the year 9999, in UTC.
        None => assert!(year >= 9999, "jiff does not take {text}"),
    }
}

/// As jiff reads it, which takes nine digits of a fraction.
fn jiff_nanos(text: &str) -> Option<i128> {
    let (head, rest) = text.split_at(19);
    let zone = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (fraction, zone) = rest.split_at(zone);
    let text = format!("{head}{}{zone}", &fraction[..fraction.len().min(10)]);
    Some(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond())
}

/// A listing of epoch blobs, a name a line: what is selected is listed, once.
pub fn epochs(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut blobs: Vec<BlobId> = text.lines().filter_map(|line| BlobId::parse(line).ok()).collect();
    blobs.sort();
    blobs.dedup();
    let _ = blobs.iter().filter_map(epoch_number).max();
    if let Some(set) = first_complete_set(&blobs) {
        assert!(set.iter().all(|blob| blobs.contains(blob)), "a set of what is not listed");
    }
    let listing = EpochListing::from_blobs(blobs.iter().cloned());
    let selection = select(&listing);
    let selected: HashSet<&BlobId> = selection.blobs.iter().collect();
    assert_eq!(selected.len(), selection.blobs.len(), "a blob is read twice");
    assert!(selection.blobs.iter().all(|blob| blobs.contains(blob)), "a blob that is not listed");
    let bad: HashSet<BlobId> = blobs.iter().step_by(3).cloned().collect();
    let without = listing.without_compactions(&bad);
    for young in [false, true] {
        let covered = covered_epochs(&bad, &listing, &select(&without), |_| young);
        assert!(covered.is_subset(&bad), "what is good is covered");
    }
}
