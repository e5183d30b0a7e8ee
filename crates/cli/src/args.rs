//! The command line as it is typed.

use std::ffi::OsString;
use std::path::PathBuf;

use rekopia_blob::settings::{control_character, trimmed, unquoted};

use clap::{ArgAction, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand};

mod global;
pub(crate) mod help;
mod restore;
mod usage;
mod verify;
mod which;

pub(crate) use global::Global;
pub(crate) use restore::{OnErrorArg, OverwriteArg, Restore, SyncArg};
pub(crate) use usage::Instead;
pub(crate) use verify::Verify;
use which::{OUTPUT, WHAT};
pub(crate) use which::{Tags, Which};

/// Restore files from Kopia repositories, without Kopia; never write to one
#[derive(Debug, Parser)]
#[command(name = "rekopia", version, max_term_width = 80, arg_required_else_help = true)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Show the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = OUTPUT)]
    version: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// What was typed, the program's name first, then what `variable` gives.
    ///
    /// # Errors
    /// What is to be shown instead: help, or what is wrong.
    pub(crate) fn read(
        typed: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Instead> {
        let typed: Vec<OsString> = typed.into_iter().collect();
        let is_brief = typed.iter().any(|word| word == "-h");
        let mut command = help::shown(Args::command(), is_brief);
        let matches = command.try_get_matches_from_mut(&typed);
        let parsed = matches.and_then(|matches| Args::from_arg_matches(&matches));
        parsed.map_err(|e| Instead::of(e, &typed, &command))?.with_environment(variable)
    }

    /// An empty variable is an unset one.
    ///
    /// # Errors
    /// When several repositories were typed. Before and after the command are one line to whoever typed it.
    fn with_environment(mut self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Instead> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let global = &mut self.global;
        let typed = [
            global.repo_short.is_some(),
            global.repo.is_some(),
            global.config.is_some(),
            global.token_file.is_some(),
        ];
        if typed.into_iter().filter(|typed| *typed).count() > 1 {
            return Err(Instead::wrong(
                "the repository is named twice",
                "Take one of --repo (-r), --config and --token-file.",
            ));
        }
        global.repo = global.repo_short.take().or(global.repo.take());
        if global.repo.is_none() && global.config.is_none() && global.token_file.is_none() {
            // What is pasted into a profile may have a line end or quotes around it.
            let meant = |text: OsString| unquoted(trimmed(&text.to_string_lossy())).to_owned();
            let one_line = |name: &str| match set(name).map(meant).filter(|text| !text.is_empty()) {
                Some(text) => match control_character(&text) {
                    Some(what) => Err(Instead::wrong(
                        format!("{name} holds {what} inside its value"),
                        "Set it anew, or name the repository with --repo.",
                    )),
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
    /// List sources and their snapshots: what can be restored
    Snapshots(Snapshots),
    /// List the entries of a directory in a snapshot
    Ls(Ls),
    /// Write a file of a snapshot to standard output
    #[command(alias = "show")]
    Cat(Cat),
    /// Restore a snapshot, a directory or a file
    Restore(Box<Restore>),
    /// Check snapshots by reading them, or a folder against one
    ///
    /// Reads and authenticates all that the snapshots need, each content once, and writes
    /// nothing. With --against it compares what is on the disk with a snapshot or a
    /// receipt.
    Verify(Box<Verify>),
    /// Show what this repository is: format, size, storage
    Status,
    /// Find out what is wrong with a repository, and what to do
    ///
    /// Looks for what is lost or damaged and names it. Each finding ends in the command to
    /// type next. 0: nothing is missing, 14: something is, 15: the storage refuses a part.
    Doctor(Doctor),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell: bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
    /// Print the manual page: every command, every option
    ///
    /// In the form of man(7).
    Man,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Snapshots {
    /// Only this source: user@host:/path, user@host or a path
    ///
    /// A path may also lie below a source. The ID of a snapshot shows this one alone.
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) tags: Tags,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// Snapshot ID, user@host:/path or latest; also with /sub/path
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Show mode, owner, size and time of each entry
    #[arg(short, long, help_heading = WHAT)]
    pub(crate) long: bool,
    /// List everything below the directory
    #[arg(short, long, help_heading = WHAT)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cat {
    /// Snapshot ID, user@host:/path or latest, with /path/of/the/file
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Options of `doctor`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Read the ends of all packs, too: a request for each
    ///
    /// Without it listings and metadata are read. Whether file data is right, `rekopia
    /// verify --all` tells.
    #[arg(long, help_heading = WHAT)]
    pub(crate) deep: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
        help::shown(Args::command(), true).debug_assert();
        help::shown(Args::command(), false).debug_assert();
    }

    #[test]
    fn every_command_has_two_examples_and_they_parse() {
        let whole = Args::command();
        for name in whole.get_subcommands().map(clap::Command::get_name).chain([whole.get_name()]) {
            assert_eq!(help::examples(name).len(), 2, "{name}");
            for example in help::examples(name) {
                let (_, typed) = example.split_once("rekopia ").unwrap();
                let typed = typed.split(['>', '|', ')']).next().unwrap();
                let words = ["rekopia"].into_iter().chain(typed.split_whitespace());
                assert!(Args::read(words.map(OsString::from), |_| None).is_ok(), "{example}");
            }
        }
    }
}
