//! Options of every command: the repository, what is damaged of it, speed and memory, what is said.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs};

use super::which::{OUTPUT, REPOSITORY, SALVAGE, SPEED};

/// Options of every command. Only what is typed can contradict itself: the environment is asked afterwards.
///
/// The first line of a text is shown by `--help`, all of it by the manual page; `hide_short_help` keeps an option out of
/// `-h`.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = REPOSITORY)]
pub(crate) struct Global {
    /// Directory or URL [default: REKOPIA_REPOSITORY]
    ///
    /// A directory or a URL such as s3://bucket/folder/. Without it REKOPIA_REPOSITORY
    /// counts, then what --config says.
    #[arg(long, global = true, value_name = "URL|PATH")]
    pub(crate) repo: Option<String>,
    /// The same as --repo, before the command
    ///
    /// After `ls`, -r means recursive.
    #[arg(short = 'r', value_name = "URL|PATH", conflicts_with = "repo", hide_long_help = true)]
    pub(crate) repo_short: Option<String>,
    /// Kopia's configuration [default: that of `kopia`]
    ///
    /// The file of a connected Kopia. Without it KOPIA_CONFIG_PATH counts, then the one
    /// that `kopia` uses.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "repo", alias = "config-file")]
    pub(crate) config: Option<PathBuf>,
    /// File: what `kopia repository status -t` prints
    ///
    /// The connection token as it is printed. It names the repository; one that holds
    /// the password gives that, too.
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["repo", "config"], hide_short_help = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// File with the password [default: KOPIA_PASSWORD]
    ///
    /// One line end at its end is dropped. Without it these count, in this order: the
    /// token, KOPIA_PASSWORD, what Kopia saved, and what is typed at a terminal.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Keep metadata in this folder for the next run
    ///
    /// It is kept as encrypted as it is in the repository. This helps where the
    /// repository is far away.
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub(crate) cache: Option<PathBuf>,
    /// Read although an upgrade seems to be going on
    ///
    /// Kopia locks a repository while it upgrades its format.
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) ignore_upgrade_lock: bool,
    /// Read also what the index does not lead to any more
    ///
    /// Reads the index that stands at the end of each pack: one request for each. Deleted
    /// snapshots may show up again.
    #[arg(long, global = true, help_heading = SALVAGE)]
    pub(crate) salvage: bool,
    /// Keep what --salvage reads, for the next command
    ///
    /// It is as encrypted as it is in the packs. The next command with the same file
    /// reads only packs that are new.
    #[arg(long, global = true, value_name = "FILE", help_heading = SALVAGE, hide_short_help = true)]
    pub(crate) salvage_index: Option<PathBuf>,
    /// Copy of kopia.repository, where it is lost
    ///
    /// The cache folder of each Kopia client holds a copy of this file.
    #[arg(long, global = true, value_name = "FILE", help_heading = SALVAGE, hide_short_help = true)]
    pub(crate) format_blob: Option<PathBuf>,
    /// Requests in flight, 1 to 1024 [default: measured]
    ///
    /// Without it as many requests are in flight as the storage answers well and memory
    /// allows.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = SPEED, hide_short_help = true)]
    pub(crate) parallel: Option<u16>,
    /// Receive at most this: 10MB/s [default: no limit]
    ///
    /// Bytes (10MB/s, 8MiB) or bits (100Mbit/s) in a second; 0: no limit.
    #[arg(long, global = true, value_name = "RATE", value_parser = crate::text::parse_rate, help_heading = SPEED)]
    pub(crate) limit_download: Option<u64>,
    /// Threads that decode and write [default: cores]
    ///
    /// 1 to 256.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), help_heading = SPEED, hide_short_help = true)]
    pub(crate) threads: Option<u16>,
    /// Memory for data in flight [default: 80MiB]
    ///
    /// Less by default where the process is limited to little memory: a third of that.
    #[arg(long, global = true, value_name = "SIZE", value_parser = crate::text::parse_size, help_heading = SPEED, hide_short_help = true)]
    pub(crate) memory: Option<u64>,
    /// Memory for the index, such as 64MiB
    ///
    /// A larger index goes to a file in the cache folder. Default: a quarter of what the
    /// process may use, where that is limited; else no limit.
    #[arg(long, global = true, value_name = "SIZE", value_parser = crate::text::parse_size, help_heading = SPEED, hide_short_help = true)]
    pub(crate) index_memory: Option<u64>,
    /// Print JSON, for programs
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub(crate) quiet: bool,
    /// Say more; -vv: much more
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    pub(crate) verbose: u8,
    /// Show no progress
    #[arg(long, global = true, help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) no_progress: bool,
    /// Show all options; -h: those that are often needed
    #[arg(short, long, global = true, action = ArgAction::Help, help_heading = OUTPUT)]
    help: Option<bool>,
}
