//! Holds the commands: one file for each.

mod cat;
mod caution;
mod choice;
mod doctor;
mod generate;
mod ls;
mod original;
mod receipt;
mod restore;
mod snapshots;
mod status;
mod verify;

use std::time::Duration;

use anyhow::Result;
use rekopia::Cancel;

use crate::args::{Args, Command};
use crate::signals::stoppable;

/// Runs the command; returns the exit code.
pub(crate) async fn run(args: Args, cancel: &Cancel) -> Result<u8> {
    let global = args.global;
    match args.command {
        Command::Snapshots(args) => stoppable(cancel, snapshots::run(&global, &args)).await,
        Command::Ls(args) => stoppable(cancel, ls::run(&global, &args)).await,
        Command::Cat(args) => stoppable(cancel, cat::run(&global, &args)).await,
        Command::Restore(args) => restore::run(&global, &args, cancel).await,
        Command::Verify(args) => verify::run(&global, &args, cancel).await,
        Command::Doctor(args) => stoppable(cancel, doctor::run(&global, &args)).await,
        Command::Status => stoppable(cancel, status::run(&global)).await,
        Command::Completions { shell } => generate::completions(shell),
        Command::Man => generate::man(),
    }
}

/// Returns how long a command may take to end after it was asked to stop: a restore for its writes and its report, what
/// only prints not longer than it takes to notice.
pub(crate) fn patience(command: &Command) -> Duration {
    match command {
        Command::Restore(_) | Command::Verify(_) => Duration::from_millis(2700),
        _ => Duration::from_millis(300),
    }
}
