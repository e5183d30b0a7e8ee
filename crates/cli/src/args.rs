//! The command line as it is typed.

use std::path::PathBuf;

use rekopia_blob::settings::{control_character, trimmed, unquoted};

use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};

mod verify;
mod which;

pub(crate) use verify::Verify;
use which::{ATTRIBUTES, OUTPUT, REPOSITORY, SALVAGE, TARGET, WHAT};
pub(crate) use which::{Tags, Which};

/// Restore files from Kopia repositories, without Kopia.
#[derive(Debug, Parser)]
#[command(name = "rekopia", version, max_term_width = 80, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command. Only what is typed can contradict itself: the environment is asked afterwards.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = REPOSITORY)]
pub(crate) struct Global {
    /// The repository: a directory or a URL such as s3://bucket/folder/
    /// (default: REKOPIA_REPOSITORY)
    #[arg(long, global = true, value_name = "URL|PATH")]
    pub(crate) repo: Option<String>,
    /// The same, before the command (after `ls`, -r means recursive)
    #[arg(short = 'r', value_name = "URL|PATH", conflicts_with = "repo")]
    pub(crate) repo_short: Option<String>,
    /// Kopia's configuration file (default: KOPIA_CONFIG_PATH, or the one that
    /// `kopia` uses)
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "repo", alias = "config-file")]
    pub(crate) config: Option<PathBuf>,
    /// File with a connection token (`kopia repository status -t`)
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["repo", "config"])]
    pub(crate) token_file: Option<PathBuf>,
    /// File with the password (one trailing line end is dropped)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Keep metadata of far storages in this folder, still encrypted, for the next run
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Read although an upgrade of the repository seems to be going on
    #[arg(long, global = true)]
    pub(crate) ignore_upgrade_lock: bool,
    /// Of a damaged repository: read what its index does not lead to any more
    #[arg(long, global = true, help_heading = SALVAGE)]
    pub(crate) salvage: bool,
    /// With --salvage: keep what was read of the packs in this file, encrypted as there;
    /// the next command reads only packs that are new
    #[arg(long, global = true, value_name = "FILE", help_heading = SALVAGE)]
    pub(crate) salvage_index: Option<PathBuf>,
    /// A copy of the file kopia.repository, where the repository has lost its own (the
    /// cache folder of each Kopia client has one)
    #[arg(long, global = true, value_name = "FILE", help_heading = SALVAGE)]
    pub(crate) format_blob: Option<PathBuf>,
    /// Requests in flight
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) parallel: Option<u16>,
    /// Bytes per second to receive at most; 0: no limit
    #[arg(long, global = true, value_name = "RATE", value_parser = crate::text::parse_rate)]
    pub(crate) limit_download: Option<u64>,
    /// Threads that decode and write
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// Memory for data in flight
    #[arg(long, global = true, value_name = "SIZE", value_parser = crate::text::parse_size)]
    pub(crate) memory: Option<u64>,
    /// Memory for the index; a larger one goes to a file in the cache folder
    /// (default: a quarter of what the process may use, where that is limited)
    #[arg(long, global = true, value_name = "SIZE", value_parser = crate::text::parse_size)]
    pub(crate) index_memory: Option<u64>,
    /// Machine-readable output
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub(crate) quiet: bool,
    /// Say more (twice: debug)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = OUTPUT)]
    pub(crate) verbose: u8,
    /// Show no progress
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) no_progress: bool,
}

impl Args {
    /// What was typed, then what `variable` gives. An empty variable is an unset one.
    ///
    /// # Errors
    /// When several repositories were typed. Before and after the command are one line to whoever typed it.
    pub(crate) fn with_environment(
        mut self,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, clap::Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let global = &mut self.global;
        let typed = [
            global.repo_short.is_some(),
            global.repo.is_some(),
            global.config.is_some(),
            global.token_file.is_some(),
        ];
        if typed.into_iter().filter(|typed| *typed).count() > 1 {
            let what = "the repository is named twice: take one of --repo, --config and --token-file";
            return Err(Args::command().error(clap::error::ErrorKind::ArgumentConflict, what));
        }
        global.repo = global.repo_short.take().or(global.repo.take());
        if global.repo.is_none() && global.config.is_none() && global.token_file.is_none() {
            // What is pasted into a profile may have a line end or quotes around it.
            let meant = |text: std::ffi::OsString| unquoted(trimmed(&text.to_string_lossy())).to_owned();
            let one_line = |name: &str| match set(name).map(meant).filter(|text| !text.is_empty()) {
                Some(text) => match control_character(&text) {
                    Some(what) => {
                        let what = format!("{name} holds {what} inside its value");
                        Err(Args::command().error(clap::error::ErrorKind::InvalidValue, what))
                    }
                    None => Ok(Some(text)),
                },
                None => Ok(None),
            };
            global.repo = one_line("REKOPIA_REPOSITORY")?;
            if global.repo.is_none() {
                global.config = one_line("KOPIA_CONFIG_PATH")?.map(PathBuf::from);
            }
        }
        Ok(self)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sources and their snapshots
    Snapshots(Snapshots),
    /// The entries of a directory
    Ls(Ls),
    /// A file to standard output
    #[command(alias = "show")]
    Cat(Cat),
    /// Restore a snapshot, a directory or a file
    Restore(Box<Restore>),
    /// Read and authenticate everything, without writing
    Verify(Box<Verify>),
    /// What this repository is
    Status,
    /// What is wrong with this repository
    Doctor(Doctor),
    /// A completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The manual page, in troff
    Man,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Snapshots {
    /// Only this source (user@host:/path, user@host or a path, also one below a
    /// source), or the snapshot with this ID
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) tags: Tags,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// The directory
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Mode, owner, size and time of each entry
    #[arg(short, long, help_heading = WHAT)]
    pub(crate) long: bool,
    /// Everything below
    #[arg(short, long, help_heading = WHAT)]
    pub(crate) recursive: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cat {
    /// The file
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) which: Which,
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

#[derive(Debug, ClapArgs)]
pub(crate) struct Restore {
    /// What to restore
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Where to: receives the contents of REF. Without it a path that this user
    /// on this host has snapshots of is restored to its original place
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only entries that match (gitignore rules, relative to REF)
    #[arg(long, value_name = "GLOB", help_heading = WHAT)]
    pub(crate) include: Vec<String>,
    /// Not entries that match
    #[arg(long, value_name = "GLOB", help_heading = WHAT)]
    pub(crate) exclude: Vec<String>,
    /// Show what would be done: files, bytes, packs, requests, room
    #[arg(long, help_heading = TARGET)]
    pub(crate) dry_run: bool,
    /// With --dry-run: also how long it would take over a link of this speed
    /// (100MB/s, 1Gbit/s)
    #[arg(long, value_name = "RATE", requires = "dry_run", value_parser = rekopia::parse_link, help_heading = TARGET)]
    pub(crate) link: Option<u64>,
    /// With --dry-run: also how long it would take, by reading at most 64 MiB
    #[arg(long, requires = "dry_run", help_heading = TARGET)]
    pub(crate) probe: bool,
    /// What to do with files that exist
    #[arg(long, value_enum, default_value = "always", help_heading = TARGET)]
    pub(crate) overwrite: OverwriteArg,
    /// Trust files of equal size and nearly equal time (as Kopia does)
    #[arg(long, conflicts_with = "overwrite", help_heading = TARGET)]
    pub(crate) skip_existing: bool,
    /// Remove what the snapshot does not have, after everything is restored;
    /// asks before it, at a terminal
    #[arg(long, help_heading = TARGET)]
    pub(crate) delete_extra: bool,
    /// Delete without a question; also before anything is written, where there
    /// is no room for old and new together
    #[arg(long, help_heading = TARGET)]
    pub(crate) yes: bool,
    /// Refuse when more than this many entries would be deleted, or more than
    /// this part of those in TARGET
    #[arg(long, value_name = "N|N%", help_heading = TARGET)]
    pub(crate) max_delete: Option<rekopia::DeleteLimit>,
    /// What to do when an entry fails
    #[arg(long, value_enum, default_value = "continue", help_heading = TARGET)]
    pub(crate) on_error: OnErrorArg,
    /// Of a damaged file write what can be read beside it, as NAME.damaged, with
    /// zeros for the rest
    #[arg(long, value_enum, value_name = "zero", help_heading = TARGET)]
    pub(crate) fill_holes: Option<FillArg>,
    /// Runs of zeros become holes
    #[arg(long, alias = "write-sparse-files", help_heading = TARGET)]
    pub(crate) sparse: bool,
    /// Read every file back from the disk and compare it with the snapshot
    #[arg(long, help_heading = TARGET)]
    pub(crate) verify: bool,
    /// When data is forced to the disk
    #[arg(long, value_enum, default_value = "end", help_heading = TARGET)]
    pub(crate) sync: SyncArg,
    /// Owners: keep, skip or UID:GID
    #[arg(long, value_name = "keep|skip|UID:GID", default_value = "keep", value_parser = crate::text::parse_owner, help_heading = ATTRIBUTES)]
    pub(crate) owner: rekopia::OwnerPolicy,
    /// Do not restore modes
    #[arg(long, alias = "skip-permissions", help_heading = ATTRIBUTES)]
    pub(crate) no_mode: bool,
    /// Do not restore modification times
    #[arg(long, alias = "skip-times", help_heading = ATTRIBUTES)]
    pub(crate) no_times: bool,
    /// An attribute that cannot be set is a failure
    #[arg(long, alias = "no-ignore-permission-errors", help_heading = ATTRIBUTES)]
    pub(crate) strict_attributes: bool,
    // The first hidden one holds the place of the repository's group before that of the output.
    #[arg(long, hide = true, help_heading = REPOSITORY)]
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
    /// Kopia's: `auto` takes some names of TARGET for an archive, `local` does not
    #[arg(long, hide = true, default_value = "auto")]
    pub(crate) mode: String,
    #[arg(long, hide = true)]
    pub(crate) shallow: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) shallow_minsize: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) consistent_attributes: bool,
    /// Every entry and failure as a line of JSON
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) report: Option<PathBuf>,
    /// Read what was restored back, hash it, and write a receipt that `verify
    /// --receipt` can check later, without the repository
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run", help_heading = OUTPUT)]
    pub(crate) receipt: Option<PathBuf>,
}

/// Options of `doctor`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Read the ends of all packs, too
    #[arg(long, help_heading = WHAT)]
    pub(crate) deep: bool,
}

/// What stands for the bytes that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FillArg {
    /// Bytes of value 0
    Zero,
}
