//! Chooses which of the listed index blobs count: those of epochs, or of repositories that have none.

use std::collections::HashSet;

use rekopia_blob::{BlobId, BlobInfo};
use rekopia_format::epoch::{self, EpochListing, Selection};
use rekopia_format::index_blob::{self, CompactionLog};
use rekopia_format::index_cover::{covered_epochs, covered_legacy};

/// The index blobs that are listed, of the kind that this repository uses (§4.6).
pub(super) enum IndexSet {
    Epochs(EpochListing),
    Legacy(Legacy),
}

/// The index blobs of a repository without epochs (§4.7).
pub(super) struct Legacy {
    pub(super) names: Vec<BlobId>,
    pub(super) logs: Vec<CompactionLog>,
}

impl IndexSet {
    /// Returns what to read when the compactions in `bad` are of no use.
    pub(super) fn choose(&self, bad: &HashSet<BlobId>) -> Selection {
        match self {
            IndexSet::Epochs(listing) => epoch::select(&listing.without_compactions(bad)),
            IndexSet::Legacy(Legacy { names, logs }) => {
                let is_bad = |name: &String| bad.iter().any(|blob| blob.as_str() == name);
                let good = logs.iter().filter(|log| !log.outputs.iter().any(is_bad));
                let logs: Vec<CompactionLog> = good.cloned().collect();
                let blobs = index_blob::select_legacy(names, &logs);
                Selection { blobs, watermark: None, current_epoch: 0, is_marker_lost: false }
            }
        }
    }

    /// Returns those of `bad` that `chosen`, chosen without them, makes up for.
    pub(super) fn covered(
        &self,
        bad: &HashSet<BlobId>,
        chosen: &Selection,
        is_young: impl Fn(u64) -> bool,
    ) -> HashSet<BlobId> {
        match self {
            IndexSet::Epochs(listing) => covered_epochs(bad, listing, chosen, is_young),
            IndexSet::Legacy(Legacy { names, logs }) => covered_legacy(bad, names, logs),
        }
    }
}

/// Returns the blobs of a listing of `x` by family. What has no iv in its name is no index blob.
pub(super) fn epoch_sets(listed: &[BlobInfo]) -> EpochListing {
    let mut ids: Vec<BlobId> = listed.iter().map(|b| b.id.clone()).collect();
    ids.sort_unstable();
    let mut sets = EpochListing::from_blobs(ids);
    for family in [&mut sets.sessions, &mut sets.singles, &mut sets.ranges] {
        family.retain(index_blob::has_iv);
    }
    sets
}
