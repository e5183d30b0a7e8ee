//! Options of `restore`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::which::{ATTRIBUTES, OUTPUT, TARGET, WHAT, Which};

/// Options of `restore`, in the order in which they are needed.
#[derive(Debug, ClapArgs)]
pub(crate) struct Restore {
    /// Snapshot ID, user@host:/path or latest; also with /sub/path
    ///
    /// A reference is a snapshot ID (or its first digits, at least 8), an object ID,
    /// user@host:/path, user@host or latest. Each may be followed by /sub/path.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Folder for the contents of REF [default: the original place]
    ///
    /// Without TARGET a path that this user on this host has snapshots of is restored to
    /// where it came from; this is said before anything is written.
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only entries that match (as in .gitignore, from REF)
    ///
    /// May be given several times.
    #[arg(long, value_name = "GLOB", help_heading = WHAT)]
    pub(crate) include: Vec<String>,
    /// No entries that match
    ///
    /// May be given several times. It beats --include.
    #[arg(long, value_name = "GLOB", help_heading = WHAT)]
    pub(crate) exclude: Vec<String>,
    /// Change nothing; say what would be done and deleted
    ///
    /// Says how many files, bytes, packs and requests it would take, how much room is
    /// needed, and what would be deleted.
    #[arg(long, help_heading = TARGET)]
    pub(crate) dry_run: bool,
    /// With --dry-run: time over such a link, 100Mbit/s
    ///
    /// In bytes (100MB/s) or bits (1Gbit/s) in a second.
    #[arg(long, value_name = "RATE", requires = "dry_run", value_parser = rekopia::parse_link, help_heading = TARGET, hide_short_help = true)]
    pub(crate) link: Option<u64>,
    /// With --dry-run: time, by reading at most 64 MiB
    ///
    /// Reads that much of the repository, and writes as much into a file without a name
    /// on the file system of TARGET.
    #[arg(long, requires = "dry_run", help_heading = TARGET, hide_short_help = true)]
    pub(crate) probe: bool,
    /// Existing files: always (default), if-changed, never
    ///
    /// always: make them equal to the snapshot; what is right already is found by its
    /// hash and kept. if-changed: keep, unread, those whose size and time in nanoseconds
    /// are equal. never: keep whatever is there.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "always", help_heading = TARGET)]
    pub(crate) overwrite: OverwriteArg,
    /// Keep files of equal size and nearly equal time
    ///
    /// As Kopia does it; --overwrite if-changed is stricter.
    #[arg(long, conflicts_with = "overwrite", help_heading = TARGET, hide_short_help = true)]
    pub(crate) skip_existing: bool,
    /// Remove what the snapshot does not have, at the end
    ///
    /// Happens after everything is restored. At a terminal it asks before it.
    #[arg(long, help_heading = TARGET)]
    pub(crate) delete_extra: bool,
    /// With --delete-extra: delete without a question
    ///
    /// Also allows to delete before anything is written, where there is no room for old
    /// and new together.
    #[arg(long, help_heading = TARGET)]
    pub(crate) yes: bool,
    /// With --delete-extra: change nothing if more would go
    ///
    /// A number of entries (100), or a part of those in TARGET (5%).
    #[arg(long, value_name = "N|N%", help_heading = TARGET, hide_short_help = true)]
    pub(crate) max_delete: Option<rekopia::DeleteLimit>,
    /// Read every file back and compare it with the snapshot
    ///
    /// What is compared is read from the disk.
    #[arg(long, help_heading = TARGET)]
    pub(crate) verify: bool,
    /// If an entry fails: continue (default; exit 3) or stop
    ///
    /// continue: restore all others, and end with 3. stop: end with the first failure;
    /// whether the snapshot is complete is looked at before anything is changed.
    #[arg(long, value_enum, value_name = "HOW", default_value = "continue", help_heading = TARGET, hide_short_help = true)]
    pub(crate) on_error: OnErrorArg,
    /// Write damaged files as NAME.damaged, losses as zeros
    ///
    /// What can be read of a damaged file is written beside its place, never under its
    /// own name.
    #[arg(long, value_enum, value_name = "zero", help_heading = TARGET, hide_short_help = true)]
    pub(crate) fill_holes: Option<FillArg>,
    /// Write runs of zeros as holes
    #[arg(long, alias = "write-sparse-files", help_heading = TARGET, hide_short_help = true)]
    pub(crate) sparse: bool,
    /// Force data to the disk: end (default) or none
    ///
    /// end: once, at the end. none: never; a crash soon afterwards can lose data.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "end", help_heading = TARGET, hide_short_help = true)]
    pub(crate) sync: SyncArg,
    /// Owners: keep (default), skip or UID:GID
    ///
    /// keep: those of the snapshot. skip: whoever runs this. UID:GID: these numbers for
    /// all entries.
    #[arg(long, value_name = "OWNER", default_value = "keep", value_parser = crate::text::parse_owner, help_heading = ATTRIBUTES)]
    pub(crate) owner: rekopia::OwnerPolicy,
    /// Do not restore modes (permissions)
    ///
    /// New files are 0600 and new folders 0700, so that nothing private becomes readable
    /// for others.
    #[arg(long, alias = "skip-permissions", help_heading = ATTRIBUTES, hide_short_help = true)]
    pub(crate) no_mode: bool,
    /// Do not restore modification times
    #[arg(long, alias = "skip-times", help_heading = ATTRIBUTES, hide_short_help = true)]
    pub(crate) no_times: bool,
    /// Count an attribute that cannot be set as a failure
    ///
    /// Without it this is a warning.
    #[arg(long, alias = "no-ignore-permission-errors", help_heading = ATTRIBUTES, hide_short_help = true)]
    pub(crate) strict_attributes: bool,
    /// Write each entry and failure here, as lines of JSON
    ///
    /// Of damaged files it has which ranges are lost.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) report: Option<PathBuf>,
    /// Write a receipt for `verify --receipt`
    ///
    /// Reads back and hashes what was restored. The receipt can be checked later, without
    /// the repository.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run", help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) receipt: Option<PathBuf>,
    // Kopia's, which say nothing new here, or cannot be.
    #[arg(long, hide = true)]
    pub(crate) no_overwrite_files: bool,
    #[arg(long, hide = true)]
    pub(crate) no_overwrite_directories: bool,
    #[arg(long, hide = true)]
    pub(crate) no_overwrite_symlinks: bool,
    #[arg(long, hide = true)]
    pub(crate) skip_owners: bool,
    #[arg(long, hide = true)]
    pub(crate) ignore_errors: bool,
    #[arg(long, hide = true)]
    pub(crate) ignore_permission_errors: bool,
    /// `auto` takes some names of TARGET for an archive, `local` does not
    #[arg(long, hide = true, default_value = "auto")]
    pub(crate) mode: String,
    #[arg(long, hide = true)]
    pub(crate) shallow: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) shallow_minsize: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) consistent_attributes: bool,
}

/// What to do with files that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OverwriteArg {
    /// Make them equal; ranges that hash to the wanted content are kept
    Always,
    /// Trust equal size and nanosecond time first
    IfChanged,
    /// Keep whatever is there
    Never,
}

/// What to do when an entry fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnErrorArg {
    /// Restore the rest, exit 3
    Continue,
    /// Stop
    Stop,
}

/// When data is forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SyncArg {
    /// Once, at the end
    End,
    /// Never
    None,
}

/// What stands for the bytes that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FillArg {
    /// Bytes of value 0
    Zero,
}
