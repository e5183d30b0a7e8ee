//! How to restore: plain fields with defaults.

use std::path::PathBuf;

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

/// How to restore. All fields have sensible defaults.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Existing entries.
    pub overwrite: Overwrite,
    /// Remove what the snapshot does not have, after everything is restored.
    pub delete_extra: bool,
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
