//! What a restore or verification did: exact counters, and the first of each kind of trouble.

use serde::Serialize;

use super::clock::StageTimes;
use super::estimate::Estimate;
use super::verified::Verified;
use crate::differs::Differs;
use crate::error::{Error, ErrorKind};
use crate::repository::Traffic;
use crate::sink::TreeDigest;

/// An entry that is not as the snapshot has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The entry, relative to the restored root; empty for the root itself.
    pub path: String,
    /// The class of the error.
    pub kind: ErrorKind,
    /// What failed and why, on one line.
    pub message: String,
    /// The existing file could not be brought back to what it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mixed: bool,
    /// What differs, where a tree was compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<Differs>,
}

impl Failure {
    /// An entry that is not as the snapshot has it, and why.
    pub fn new(path: impl Into<String>, kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { path: path.into(), kind, message: message.into(), mixed: false, differs: Vec::new() }
    }

    /// Makes the failure that ended a whole run.
    pub(crate) fn of_a_run(e: &Error) -> Self {
        Failure::new("", e.kind(), e.chain())
    }
}

/// An attribute that could not be set, or another thing to know about an entry that was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Remark {
    /// The entry, relative to the restored root.
    pub path: String,
    /// What to know.
    pub message: String,
}

impl Remark {
    /// Something to know about an entry.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Remark { path: path.into(), message: message.into() }
    }
}

/// The outcome of a restore or verification.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// Regular files that are as the snapshot has them.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of the regular files that are as the snapshot has them.
    pub bytes: u64,
    /// Files that needed no data because what was there is right.
    pub kept_files: u64,
    /// Bytes that were there already.
    pub kept_bytes: u64,
    /// Entries left alone as asked (`--overwrite never`, `--skip-existing`).
    pub skipped: u64,
    /// Regular files among the skipped entries; `files` counts them, too.
    pub skipped_files: u64,
    /// Symbolic links among the skipped entries; `symlinks` counts them, too.
    pub skipped_symlinks: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
    /// Entries removed because the snapshot does not have them, or has something else in their place.
    pub deleted: u64,
    /// Entries that should have been removed and could not be; not counted as failed.
    pub undeleted: u64,
    /// Entries kept as they are because this run itself needs them ([`protected`](super::RestoreOptions::protected)).
    pub protected: u64,
    /// Entries that failed, each counted once; the descendants of an unreadable directory are covered by it.
    pub failed: u64,
    /// Attributes that could not be set.
    pub unset_attributes: u64,
    /// Requests of this run to the storage; [`Repository::traffic`](crate::Repository::traffic) counts all.
    pub requests: u64,
    /// Bytes that this run received from the storage.
    pub fetched_bytes: u64,
    /// Packed bytes of the file contents that were needed, listings left out; one that is wanted again much later
    /// counts again.
    pub needed_bytes: u64,
    /// Second and later tries among the requests.
    pub retries: u64,
    /// Bytes of damaged files that cannot be read; looked for only with a report file, or when holes are filled.
    pub lost_bytes: u64,
    /// Something was found that no index leads to any more.
    pub salvaged: bool,
    /// Typical time from a small request to its answer, in seconds; 0: not measured (local).
    pub latency_seconds: f64,
    /// Wall time of this run, in seconds.
    pub seconds: f64,
    /// Where the time went.
    pub stages: StageTimes,
    /// The first failures.
    pub failures: Vec<Failure>,
    /// The first attributes that could not be set.
    pub fidelity: Vec<Remark>,
    /// Entries of an incomplete snapshot that hold less than the source had.
    pub incomplete: Vec<Remark>,
    /// The first entries that could not be removed, each by its own path.
    pub remaining: Vec<Remark>,
    /// The first files that hold what is left of damaged ones, by the path of the damaged one.
    pub left_over: Vec<Remark>,
    /// Other things to know.
    pub warnings: Vec<String>,
    /// The run was stopped on request.
    pub cancelled: bool,
    /// What a dry run would have asked of the storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
    /// What a verification of several trees found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// The digest of what stands in the target after the restore, where it was asked for
    /// ([`receipt`](super::RestoreOptions::receipt)); in JSON the hash alone, as `treeHash`.
    #[serde(rename = "treeHash", serialize_with = "hash_alone", skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeDigest>,
    /// What ended the run before everything was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fatal: Option<Failure>,
    /// Whether the run only read: nothing was to be restored.
    #[serde(skip)]
    pub(crate) verification: bool,
}

fn hash_alone<S: serde::Serializer>(tree: &Option<TreeDigest>, serializer: S) -> Result<S::Ok, S::Error> {
    tree.as_ref().map(|tree| &tree.hash).serialize(serializer)
}

/// What a restore with `delete_extra` is about to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Deletion {
    /// Files, links, special files and folders, with all that is below them.
    pub entries: u64,
    /// The first of them, relative to the target; a folder stands for all below it and ends in `/`.
    pub first: Vec<String>,
    /// Entries in the target before the run.
    pub of: u64,
    /// Whether the entries have to go before anything is written: there is no room for old and new together.
    pub before_writing: bool,
}

impl Deletion {
    rekopia_blob::setters! {
        entries: u64,
        first: Vec<String>,
        of: u64,
        before_writing: bool,
    }
}

/// What a dry run would have asked of the storage and done to the target.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Planned {
    /// Requests for pack ranges.
    pub requests: u64,
    /// Bytes of the pack ranges that are requested.
    pub bytes: u64,
    /// Number of packs that the requested ranges are in.
    pub packs: u64,
    /// Bytes that the target needs for what it does not have; holes count.
    pub room_bytes: u64,
    /// Bytes that are free in the target, where its file system can say so reliably.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// How long the restore would take, where that was asked for and could be found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Existing files and links that would become something else, or get other attributes.
    pub changed: u64,
    /// The first existing files and links that would change.
    pub first_changed: Vec<String>,
    /// Existing files of which only their data would tell: objects that are compressed as a whole.
    pub perhaps: u64,
    /// What would be deleted.
    pub deletion: Deletion,
}

impl Planned {
    rekopia_blob::setters! {
        requests: u64,
        bytes: u64,
        packs: u64,
        room_bytes: u64,
        available_bytes: Option<u64>,
        estimate: Option<Estimate>,
        changed: u64,
        first_changed: Vec<String>,
        perhaps: u64,
        deletion: Deletion,
    }
}

impl Report {
    /// Makes an empty report of a verification, to [`add`](Self::add) others to.
    pub fn of_verification() -> Self {
        Report { verification: true, ..Report::default() }
    }

    /// Returns how a program ends that did this and nothing else; `None`: complete.
    ///
    /// [`ErrorKind::Incomplete`] means that something was restored or found right beside what failed, or that an extra
    /// could not be removed. A run that was to stop at the first failure ends as that failure, and so does one where
    /// nothing at all worked. A verification has no halves: it ends as the one cause of all its failures, else as
    /// [`ErrorKind::Corrupt`].
    pub fn exit_kind(&self) -> Option<ErrorKind> {
        if self.cancelled {
            return Some(ErrorKind::Cancelled);
        }
        if let Some(fatal) = &self.fatal {
            return Some(fatal.kind);
        }
        if self.failed == 0 {
            return (self.undeleted > 0).then_some(ErrorKind::Incomplete);
        }
        let first = self.failures.first().map_or(ErrorKind::Internal, |f| f.kind);
        let one_cause = self.failures.iter().all(|f| f.kind == first);
        if self.verification {
            return Some(if one_cause { first } else { ErrorKind::Corrupt });
        }
        let nothing_worked = self.files + self.symlinks + self.directories == 0;
        Some(if nothing_worked { first } else { ErrorKind::Incomplete })
    }

    /// Adds the numbers and lists of another run.
    pub fn add(&mut self, other: Report) {
        self.files += other.files;
        self.directories += other.directories;
        self.symlinks += other.symlinks;
        self.bytes += other.bytes;
        self.kept_files += other.kept_files;
        self.kept_bytes += other.kept_bytes;
        self.skipped += other.skipped;
        self.skipped_files += other.skipped_files;
        self.skipped_symlinks += other.skipped_symlinks;
        self.written_bytes += other.written_bytes;
        self.deleted += other.deleted;
        self.undeleted += other.undeleted;
        self.protected += other.protected;
        self.failed += other.failed;
        self.unset_attributes += other.unset_attributes;
        self.needed_bytes += other.needed_bytes;
        self.lost_bytes += other.lost_bytes;
        self.salvaged |= other.salvaged;
        self.requests += other.requests;
        self.fetched_bytes += other.fetched_bytes;
        self.retries += other.retries;
        self.latency_seconds = self.latency_seconds.max(other.latency_seconds);
        self.seconds += other.seconds;
        self.failures.extend(other.failures);
        self.fidelity.extend(other.fidelity);
        self.incomplete.extend(other.incomplete);
        self.remaining.extend(other.remaining);
        self.left_over.extend(other.left_over);
        self.warnings.extend(other.warnings);
        self.cancelled |= other.cancelled;
        self.verified = self.verified.take().or(other.verified);
        self.fatal = self.fatal.take().or(other.fatal);
    }

    /// Replaces what was asked of the storage: for a program that tells what it asked in all, opening included
    /// ([`Repository::traffic`](crate::Repository::traffic)).
    #[must_use]
    pub fn with_traffic(self, traffic: Traffic) -> Report {
        let Traffic { requests, fetched_bytes, retries } = traffic;
        Report { requests, fetched_bytes, retries, ..self }
    }

    /// Whether every entry is as the snapshot has it; what could not be deleted does not count.
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && !self.cancelled && self.fatal.is_none()
    }

    /// Returns the first failures; [`Report::failed`] counts all.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}
