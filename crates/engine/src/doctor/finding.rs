//! Names everything that can be wrong with a repository.

use rekopia_format::BlobId;
use serde::Serialize;

/// The class of a finding: programs go by its name in kebab case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// `kopia.repository` is not there.
    FormatBlobMissing,
    /// `kopia.repository` does not open.
    FormatBlobDamaged,
    /// `kopia.blobcfg` does not open; only retention settings are in it.
    BlobcfgDamaged,
    /// There are packs, but no index blob.
    IndexLost,
    /// An index blob does not open.
    IndexBlobDamaged,
    /// An index blob does not open, but others say the same.
    IndexBlobRedundant,
    /// Snapshots are in packs that no index blob names.
    IndexBlobMissing,
    /// An epoch has index blobs, but the marker that it has begun is lost.
    EpochMarkerMissing,
    /// The marker of an epoch (`xe`) or of deletions (`xw`) holds something else than it should; only its name counts.
    MarkerDamaged,
    /// The index names a pack that is not there.
    PackMissing,
    /// A pack is shorter than what the index says is in it.
    PackShort,
    /// A metadata pack in no index cannot be read: what it holds is not known.
    PackUnreadable,
    /// The storage refuses to give a blob: a permission, not damage.
    AccessDenied,
    /// The index that a pack has of itself cannot be read.
    PackIndexDamaged,
    /// A blob holds another pack than its name says.
    PackMisnamed,
    /// A content with manifests cannot be read: snapshots may be missing.
    ManifestDamaged,
    /// A snapshot's manifest makes no sense.
    SnapshotUnreadable,
    /// A part of a snapshot is missing.
    SnapshotDamaged,
    /// The root directory of a snapshot is missing: nothing of it can be restored by its ID.
    SnapshotLost,
    /// A blob was written later than now: a clock was or is wrong.
    BlobInFuture,
    /// A snapshot began later than now: a clock was or is wrong.
    SnapshotInFuture,
    /// Error correction repaired something: the storage is failing.
    ShardsRepaired,
}

impl FindingKind {
    /// Returns the name in kebab case: `pack-missing`.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::FormatBlobMissing => "format-blob-missing",
            FindingKind::FormatBlobDamaged => "format-blob-damaged",
            FindingKind::BlobcfgDamaged => "blobcfg-damaged",
            FindingKind::IndexLost => "index-lost",
            FindingKind::IndexBlobDamaged => "index-blob-damaged",
            FindingKind::IndexBlobRedundant => "index-blob-redundant",
            FindingKind::IndexBlobMissing => "index-blob-missing",
            FindingKind::EpochMarkerMissing => "epoch-marker-missing",
            FindingKind::MarkerDamaged => "marker-damaged",
            FindingKind::PackMissing => "pack-missing",
            FindingKind::PackShort => "pack-short",
            FindingKind::PackUnreadable => "pack-unreadable",
            FindingKind::AccessDenied => "access-denied",
            FindingKind::PackIndexDamaged => "pack-index-damaged",
            FindingKind::PackMisnamed => "pack-misnamed",
            FindingKind::ManifestDamaged => "manifest-damaged",
            FindingKind::SnapshotUnreadable => "snapshot-unreadable",
            FindingKind::SnapshotDamaged => "snapshot-damaged",
            FindingKind::SnapshotLost => "snapshot-lost",
            FindingKind::BlobInFuture => "blob-in-future",
            FindingKind::SnapshotInFuture => "snapshot-in-future",
            FindingKind::ShardsRepaired => "shards-repaired",
        }
    }

    /// Whether no byte is missing because of this: a redundant blob, a wrong clock or permission, or what only concerns
    /// writers.
    fn is_harmless(self) -> bool {
        matches!(
            self,
            FindingKind::BlobcfgDamaged
                | FindingKind::IndexBlobRedundant
                | FindingKind::EpochMarkerMissing
                | FindingKind::MarkerDamaged
                | FindingKind::AccessDenied
                | FindingKind::PackIndexDamaged
                | FindingKind::BlobInFuture
                | FindingKind::SnapshotInFuture
                | FindingKind::ShardsRepaired
        )
    }
}

/// A finding: something that is wrong with a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The class of the finding.
    pub kind: FindingKind,
    /// The blob or snapshot that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The finding in one sentence, for people.
    pub message: String,
    /// Whether something is missing because of the finding.
    pub damage: bool,
    /// The ID of the newest whole snapshot of the same source, where a snapshot is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, message: impl Into<String>) -> Self {
        Finding { kind, object: None, message: message.into(), damage: !kind.is_harmless(), instead: None }
    }

    pub(crate) fn of_blob(self, blob: Option<&BlobId>) -> Self {
        Finding { object: blob.map(ToString::to_string), ..self }
    }

    pub(crate) fn of(self, object: impl Into<String>) -> Self {
        Finding { object: Some(object.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documents() {
        use FindingKind::{FormatBlobMissing, IndexBlobRedundant, PackShort, SnapshotInFuture};
        for kind in [FormatBlobMissing, IndexBlobRedundant, PackShort, SnapshotInFuture] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
