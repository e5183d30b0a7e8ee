//! How to restore: plain fields with defaults.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::report::Deletion;
use crate::observer::Cancel;
pub use crate::sink::OwnerPolicy;

/// What to do with entries that exist in the target already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Make them equal to the snapshot; ranges whose bytes hash to the wanted content are kept.
    #[default]
    Always,
    /// The same, but trust a file of equal size and nanosecond time without reading it.
    IfChanged,
    /// Kopia's rule: trust a file of equal size whose time differs by less than two seconds, and any symlink.
    SkipExisting,
    /// Keep whatever is there.
    Never,
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
    /// This many entries.
    Entries(u64),
    /// This part of the entries that the target holds before the run, in per cent.
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

    /// What the answer is for this deletion.
    pub(crate) fn ask(&self, deletion: &Deletion) -> bool {
        (self.0)(deletion)
    }
}

impl fmt::Debug for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consent(…)")
    }
}

/// How to restore. All fields have sensible defaults.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Existing entries.
    pub overwrite: Overwrite,
    /// Remove what the snapshot does not have, after everything is restored.
    pub delete_extra: bool,
    /// How much that may delete; beyond it the restore is refused, the target untouched. `None`: any number.
    pub max_delete: Option<DeleteLimit>,
    /// Whom to ask before something is deleted; `None`: nobody, it goes.
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
    /// Also recompute the keyed hash of every content that is read.
    pub hash: bool,
    /// Durability.
    pub sync: SyncMode,
    /// Write nothing, report what would be done.
    pub dry_run: bool,
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
    /// Stops the work when set.
    pub cancel: Cancel,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        RestoreOptions {
            overwrite: Overwrite::default(),
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
            sync: SyncMode::default(),
            dry_run: false,
            max_depth: None,
            memory_bytes: 80 << 20,
            parallel: 0,
            threads: 0,
            report_file: None,
            cancel: Cancel::new(),
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
