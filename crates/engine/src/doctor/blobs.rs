//! Compares the blobs that are listed with those that the index says should be there.

use std::collections::{BTreeMap, HashMap};

use rekopia_blob::{BlobId, BlobInfo};

use super::finding::{Finding, FindingKind};
use crate::error::{Error, Result};
use crate::repository::contents::Contents;
use crate::repository::index::PackIdx;

/// Nanoseconds that clocks of several machines may differ.
const CLOCKS_DIFFER: i64 = 10 * 60 * 1_000_000_000;

/// Markers of a kind that are looked into.
const MARKERS_READ: usize = 20;

/// All blobs of a repository.
pub(super) struct Listed(HashMap<BlobId, BlobInfo>);

impl Listed {
    /// Lists all blobs.
    pub(super) async fn read(contents: &Contents) -> Result<Self> {
        contents.traffic.count(0);
        let blobs = contents.blobs.list("").await;
        let blobs = blobs.map_err(|e| Error::storage(e, "cannot list the repository"))?;
        Ok(Listed(blobs.into_iter().map(|blob| (blob.id.clone(), blob)).collect()))
    }

    /// Returns how many blobs there are of each family.
    pub(super) fn families(&self) -> BTreeMap<&'static str, u64> {
        let mut families = BTreeMap::new();
        for id in self.0.keys() {
            *families.entry(family(id)).or_default() += 1;
        }
        families
    }

    /// Returns the bytes of all blobs together.
    pub(super) fn bytes(&self) -> u64 {
        self.0.values().map(|blob| blob.len).sum()
    }

    /// Returns how many packs no index blob names.
    pub(super) fn unindexed_packs(&self, contents: &Contents) -> u64 {
        let indexed = contents.index.indexed_packs();
        let packs = self.0.keys().filter(|id| matches!(family(id), "data packs" | "metadata packs"));
        packs.filter(|id| !indexed.contains(id)).count() as u64
    }

    /// Checks the markers of epochs and deletions: their bodies say nothing, but a disk that changes them is failing
    /// (§1.1); finds markers that are missing between others, too.
    pub(super) async fn check_markers(&self, contents: &Contents) -> Vec<Finding> {
        let mut findings = Vec::new();
        let epochs = self.markers("xe");
        for (earlier, later) in epochs.keys().zip(epochs.keys().skip(1)) {
            if later - earlier > 1 {
                let lost = later - 1;
                let what = format!("the marker of epoch {lost} (xe{lost}) is lost, later ones are there");
                findings.push(Finding::new(FindingKind::EpochMarkerMissing, what));
            }
        }
        let kinds = [(epochs, "epoch-marker"), (self.markers("xw"), "deletion-watermark")];
        for (markers, body) in kinds {
            for blob in markers.into_values().rev().take(MARKERS_READ) {
                let (id, range) = (&blob.id, 0..blob.len.min(64));
                let read = contents.blobs.read(id, Some(range), Vec::new()).await;
                contents.traffic.count(read.as_ref().map_or(0, |bytes| bytes.len() as u64));
                let why = match read {
                    Ok(bytes) if bytes == body.as_bytes() => continue,
                    Ok(_) => "holds something else than a marker".to_owned(),
                    Err(e) => format!("cannot be read ({e})"),
                };
                let what = format!("{id} {why}; only its name counts");
                findings.push(Finding::new(FindingKind::MarkerDamaged, what).of_blob(Some(id)));
            }
        }
        findings
    }

    /// Returns the markers with this prefix, by their number.
    fn markers(&self, prefix: &str) -> BTreeMap<u64, &BlobInfo> {
        let number = |blob: &BlobInfo| blob.id.as_str().strip_prefix(prefix)?.parse().ok();
        self.0.values().filter_map(|blob| Some((number(blob)?, blob))).collect()
    }

    /// Finds packs that the index needs and that are missing or too short, and blobs that are dated in the future.
    pub(super) fn check(&self, contents: &Contents, now_ns: i64) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (number, end) in contents.index.pack_ends()?.into_iter().enumerate().filter(|(_, end)| *end > 0) {
            let pack = contents.index.pack(PackIdx(u32::try_from(number).unwrap_or(u32::MAX)));
            let (kind, what) = match self.0.get(pack) {
                Some(blob) if blob.len >= end => continue,
                Some(blob) => {
                    let len = blob.len;
                    (FindingKind::PackShort, format!("pack {pack} has {len} bytes, the index needs {end}"))
                }
                None => (FindingKind::PackMissing, format!("pack {pack} is not there, the index needs it")),
            };
            findings.push(Finding::new(kind, what).of_blob(Some(pack)));
        }
        let late =
            self.0.values().filter(|blob| blob.modified.unix_nanos() > now_ns.saturating_add(CLOCKS_DIFFER));
        if let Some(latest) = late.max_by_key(|blob| blob.modified) {
            let time = latest.modified;
            let what =
                format!("blob {} was written in the future, {time}: a clock was or is wrong", latest.id);
            findings.push(Finding::new(FindingKind::BlobInFuture, what).of_blob(Some(&latest.id)));
        }
        Ok(findings)
    }
}

/// Returns the family of a blob, by its name (§1.1).
fn family(id: &BlobId) -> &'static str {
    let name = id.as_str();
    let is_hex = |text: &str| {
        text.len() >= 32 && text.get(..32).is_some_and(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match name.split_at_checked(1) {
        _ if name.starts_with("kopia.") => "format",
        Some(("p", rest)) if is_hex(rest) => "data packs",
        Some(("q", rest)) if is_hex(rest) => "metadata packs",
        Some(("n", rest)) if is_hex(rest) => "index (n)",
        Some(("m", rest)) if is_hex(rest) => "index compactions (m)",
        Some(("l", rest)) if is_hex(rest) => "index clean-ups (l)",
        Some(("s", rest)) if is_hex(rest) => "sessions",
        Some(("x", rest)) => match rest.as_bytes().first() {
            Some(b'n') => "index of sessions (xn)",
            Some(b's') => "index of epochs (xs)",
            Some(b'r') => "index of ranges (xr)",
            Some(b'e') => "epochs (xe)",
            Some(b'w') => "deletion watermarks (xw)",
            _ => "foreign",
        },
        _ if name.starts_with("_log_") => "logs",
        _ => "foreign",
    }
}
