//! How to restore: plain fields with defaults.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::report::Deletion;
use crate::observer::Cancel;
pub use crate::sink::OwnerPolicy;

/// What to do with entries that exist in the target already.
///
/// What happens to what exists (rows), by mode. *Right* means: the snapshot's bytes and attributes.
///
/// | exists | `Always` | `IfChanged` | `SkipExisting` | `Never` |
/// | --- | --- | --- | --- | --- |
/// | file, equal size and time (ns) | read and compared by hash, then right | kept unread; attributes set | kept | kept |
/// | file, equal size, time less than 2 s apart | right | right | kept | kept |
/// | file, other size or time | right | right | right | kept |
/// | file with other names (hard links) | replaced; the other names keep theirs | replaced | as its size and time say | kept |
/// | file of another owner, read-only file | right (replaced where it cannot be written) | right | as its size and time say | kept |
/// | symbolic link, a file is wanted | replaced, never followed | replaced | replaced | kept |
/// | symbolic link, a link is wanted | right | right | kept, wherever it leads | kept |
/// | file, a link is wanted | in the way | in the way | in the way | kept |
/// | directory, a file or link is wanted; file, a directory is wanted; special file | in the way | in the way | in the way | kept |
/// | directory, a directory is wanted | merged | merged | merged | merged |
///
/// Of a file that becomes right only the ranges are fetched whose bytes do not hash to the wanted content; it stays as it
/// was until all of them are there. *In the way*: the entry fails, and what exists stays; with
/// [`delete_extra`](RestoreOptions::delete_extra) it is moved aside when its replacement is complete, and then deleted.
/// *Kept* entries are counted as [`skipped`](super::Report::skipped) in the last two modes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Makes existing entries equal to the snapshot, trusting no time stamp.
    #[default]
    Always,
    /// Keeps an existing file, unread, when its size and modification time equal the snapshot's; restores any other.
    IfChanged,
    /// Keeps a file of equal size whose time differs by less than two seconds, and any link: Kopia's rule.
    SkipExisting,
    /// Keeps everything that exists.
    Never,
}

/// Kinds of entries of which none may exist in the target: one that does refuses the whole restore (Kopia's
/// `--no-overwrite-files` and its like).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefuseExisting {
    /// Anything where the snapshot has a file.
    pub files: bool,
    /// Anything where the snapshot has a directory; the root is none.
    pub directories: bool,
    /// Anything where the snapshot has a symbolic link.
    pub symlinks: bool,
}

impl RefuseExisting {
    rekopia_blob::setters! {
        files: bool,
        directories: bool,
        symlinks: bool,
    }
}

impl RefuseExisting {
    /// Whether any kind is refused.
    pub(crate) fn any(self) -> bool {
        self.files || self.directories || self.symlinks
    }
}

/// What to do when an entry cannot be restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// Report it and restore the rest.
    #[default]
    Continue,
    /// Stop at the first one.
    Stop,
}

/// When written data is forced to the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Once, at the end.
    #[default]
    End,
    /// Never.
    None,
}

/// How much a restore with [`RestoreOptions::delete_extra`] may delete. Parsed from `N` or `N%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteLimit {
    /// At most this many entries may be deleted.
    Entries(u64),
    /// At most this part of the entries that the target holds before the run may be deleted, in per cent.
    Percent(u8),
}

impl DeleteLimit {
    /// Whether `deletion` stays within the limit.
    pub fn allows(self, deletion: &Deletion) -> bool {
        match self {
            DeleteLimit::Entries(most) => deletion.entries <= most,
            DeleteLimit::Percent(most) => {
                u128::from(deletion.entries) * 100 <= u128::from(deletion.of) * u128::from(most)
            }
        }
    }
}

impl fmt::Display for DeleteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeleteLimit::Entries(most) => write!(f, "{most}"),
            DeleteLimit::Percent(most) => write!(f, "{most}%"),
        }
    }
}

impl FromStr for DeleteLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a number of entries nor a percentage such as 10%");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent = percent.parse().ok().filter(|percent| *percent <= 100);
                percent.map(DeleteLimit::Percent).ok_or_else(wrong)
            }
            None => text.parse().map(DeleteLimit::Entries).map_err(|_| wrong()),
        }
    }
}

/// Answers whether a restore may delete what it is about to delete. Asked at most once, before anything is changed, and
/// only when something would go; may block.
#[derive(Clone)]
pub struct Consent(Arc<dyn Fn(&Deletion) -> bool + Send + Sync>);

impl Consent {
    /// Asks `answer`; `false` ends the restore with [`ErrorKind::Refused`](crate::ErrorKind::Refused), the target
    /// untouched.
    pub fn new(answer: impl Fn(&Deletion) -> bool + Send + Sync + 'static) -> Self {
        Consent(Arc::new(answer))
    }

    /// Returns the answer for this deletion.
    pub(crate) fn ask(&self, deletion: &Deletion) -> bool {
        (self.0)(deletion)
    }
}

impl fmt::Debug for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consent(…)")
    }
}

/// What the time that a dry run tells is calculated from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pace {
    /// Bytes per second that come from the storage at most; `None`: no limit is known.
    pub link: Option<u64>,
    /// Reads at most 64 MiB of the data that is needed, to see how fast it comes.
    pub probe: bool,
    /// Writes at most 64 MiB into files without a name on the target's file system, which are gone at once, to see how fast
    /// its disk takes them. Without it the target is taken to be as fast as memory.
    pub disk: bool,
}

impl Pace {
    rekopia_blob::setters! {
        link: Option<u64>,
        probe: bool,
        disk: bool,
    }
}

/// Whether what was restored is read back and hashed, for a receipt (docs/receipt.md).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Receipting {
    /// The target is not read back.
    #[default]
    Off,
    /// The digest is in the report ([`Report::tree`](super::Report::tree)), and no file is written.
    Digest,
    /// The digest is in the report, and the program will write a receipt there ([`Receipt::write`](crate::Receipt::write)).
    /// That file is protected, and where it lies in the target the digest leaves it out.
    File(PathBuf),
}

/// How to restore. All fields have sensible defaults.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Existing entries.
    pub overwrite: Overwrite,
    /// Refuses the restore when an entry of these kinds exists already.
    pub refuse_existing: RefuseExisting,
    /// Removes what the snapshot does not have, after everything is restored; what is in the way of an entry is moved
    /// aside and goes when that is complete. Nothing of it happens when the snapshot cannot be proven to be whole. With
    /// `include` or `exclude` an extra goes only if they would take it.
    pub delete_extra: bool,
    /// How much [`delete_extra`](Self::delete_extra) may delete; a restore that would delete more is refused, the target
    /// untouched. `None`: any number.
    pub max_delete: Option<DeleteLimit>,
    /// The program's answer before something is deleted; `None`: nobody is asked, and it is deleted.
    pub consent: Option<Consent>,
    /// Extras may go before anything is written, where the target has no room for old and new together. Also granted
    /// by a [`consent`](Self::consent) that was given.
    pub delete_first: bool,
    /// Files and folders that the program itself reads or writes (its configuration, password, cache, reports): never
    /// deleted, never overwritten. The report file is one by itself.
    pub protected: Vec<PathBuf>,
    /// Only entries that match one of these patterns (gitignore rules, relative to the restored root).
    pub include: Vec<String>,
    /// Not entries that match one of these patterns.
    pub exclude: Vec<String>,
    /// Owners of restored entries.
    pub owner: OwnerPolicy,
    /// Restore modes.
    pub modes: bool,
    /// Restore modification times.
    pub times: bool,
    /// An attribute that cannot be set is a failure.
    pub strict_attributes: bool,
    /// Entries that fail.
    pub on_error: OnError,
    /// Runs of zeros become holes.
    pub sparse: bool,
    /// Read every restored file back and compare it with the content ids.
    pub verify: bool,
    /// Whether the keyed hash of every content that is read is recomputed, too.
    pub hash: bool,
    /// Read what stands in the target back after the restore and hash it, for a receipt.
    pub receipt: Receipting,
    /// Durability.
    pub sync: SyncMode,
    /// Writes nothing and reports what would be done ([`Report::planned`](super::Report::planned)): decides as a restore
    /// would, hashes what exists and fetches no file data.
    pub dry_run: bool,
    /// The dry run also tells how long the restore would take ([`Planned::estimate`](super::Planned::estimate)).
    pub pace: Option<Pace>,
    /// Directory levels to restore below the root; deeper ones are left out. `None`: all.
    pub max_depth: Option<usize>,
    /// Bytes for pack data, plaintext, listings and the plan.
    pub memory_bytes: u64,
    /// Requests in flight; 0: as the storage suggests.
    pub parallel: usize,
    /// Threads that decode and write; 0: one more than cores.
    pub threads: usize,
    /// Every entry and failure as a line of JSON.
    pub report_file: Option<PathBuf>,
    /// What can be read of a damaged file is written beside it, as `NAME.damaged`, with zeros for the rest: never under its
    /// name, never over anything.
    pub fill_holes: bool,
    /// Stops the work when set.
    pub cancel: Cancel,
}

impl RestoreOptions {
    rekopia_blob::setters! {
        overwrite: Overwrite,
        refuse_existing: RefuseExisting,
        delete_extra: bool,
        max_delete: Option<DeleteLimit>,
        consent: Option<Consent>,
        delete_first: bool,
        protected: Vec<PathBuf>,
        include: Vec<String>,
        exclude: Vec<String>,
        owner: OwnerPolicy,
        modes: bool,
        times: bool,
        strict_attributes: bool,
        on_error: OnError,
        sparse: bool,
        verify: bool,
        hash: bool,
        receipt: Receipting,
        sync: SyncMode,
        dry_run: bool,
        pace: Option<Pace>,
        max_depth: Option<usize>,
        memory_bytes: u64,
        parallel: usize,
        threads: usize,
        report_file: Option<PathBuf>,
        fill_holes: bool,
        cancel: Cancel,
    }
}

impl Default for RestoreOptions {
    fn default() -> Self {
        RestoreOptions {
            overwrite: Overwrite::default(),
            refuse_existing: RefuseExisting::default(),
            delete_extra: false,
            max_delete: None,
            consent: None,
            delete_first: false,
            protected: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            owner: OwnerPolicy::Keep,
            modes: true,
            times: true,
            strict_attributes: false,
            on_error: OnError::default(),
            sparse: false,
            verify: false,
            hash: false,
            receipt: Receipting::Off,
            sync: SyncMode::default(),
            dry_run: false,
            pace: None,
            max_depth: None,
            memory_bytes: 80 << 20,
            parallel: 0,
            threads: 0,
            report_file: None,
            fill_holes: false,
            cancel: Cancel::new(),
        }
    }
}

impl RestoreOptions {
    /// Whether every entry of the tree is wanted.
    pub(super) fn takes_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.max_depth.is_none()
    }
}

/// How to verify.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Recompute the keyed hash of every content, beyond its authenticated decryption.
    pub hash: bool,
    /// Bytes for pack data, plaintext and listings; 0: the default of a restore.
    pub memory_bytes: u64,
    /// Requests in flight; 0: as the storage suggests.
    pub parallel: usize,
    /// Threads; 0: as many as cores.
    pub threads: usize,
    /// Stops the work when set.
    pub cancel: Cancel,
}

impl VerifyOptions {
    rekopia_blob::setters! {
        hash: bool,
        memory_bytes: u64,
        parallel: usize,
        threads: usize,
        cancel: Cancel,
    }
}

impl VerifyOptions {
    /// Returns the options of a run that only reads.
    pub(super) fn of_a_run(&self) -> RestoreOptions {
        let defaults = RestoreOptions::default();
        RestoreOptions {
            hash: self.hash,
            memory_bytes: if self.memory_bytes > 0 { self.memory_bytes } else { defaults.memory_bytes },
            parallel: self.parallel,
            threads: self.threads,
            cancel: self.cancel.clone(),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_deletion() {
        let deletion = |entries, of| Deletion { entries, of, ..Deletion::default() };
        let percent: DeleteLimit = "10%".parse().unwrap();
        assert!(percent.allows(&deletion(10, 100)) && !percent.allows(&deletion(11, 100)));
        assert!(percent.allows(&deletion(0, 0)));
        let entries: DeleteLimit = "3".parse().unwrap();
        assert!(entries.allows(&deletion(3, 3)) && !entries.allows(&deletion(4, 1000)));
        for wrong in ["", "%", "101%", "-1", "3 %", "many", "1.5%"] {
            assert!(wrong.parse::<DeleteLimit>().is_err(), "{wrong}");
        }
    }
}
