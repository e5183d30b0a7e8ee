//! One file per command.

mod cat;
mod caution;
mod generate;
mod ls;
mod original;
mod restore;
mod snapshots;
mod status;
mod verify;

use std::time::Duration;

use anyhow::Result;
use rekopia::{AsOf, Cancel, Reference, Repository, Resolved, Selection};

use crate::args::{Args, Command, Global, Which};
use crate::say::say;
use crate::{connect, exit, text};

/// Runs the command; gives the exit code.
pub(crate) async fn run(args: Args, cancel: &Cancel) -> Result<u8> {
    let global = args.global;
    match args.command {
        Command::Snapshots(args) => stoppable(cancel, snapshots::run(&global, &args)).await,
        Command::Ls(args) => stoppable(cancel, ls::run(&global, &args)).await,
        Command::Cat(args) => stoppable(cancel, cat::run(&global, &args)).await,
        Command::Restore(args) => restore::run(&global, &args, cancel).await,
        Command::Verify(args) => verify::run(&global, &args, cancel).await,
        Command::Status => stoppable(cancel, status::run(&global)).await,
        Command::Completions { shell } => generate::completions(shell),
        Command::Man => generate::man(),
    }
}

/// How long a command may take to end after it was asked to stop: a restore for its writes and its report, what only
/// prints not longer than it takes to notice.
pub(crate) fn patience(command: &Command) -> Duration {
    match command {
        Command::Restore(_) | Command::Verify(_) => Duration::from_millis(2700),
        _ => Duration::from_millis(300),
    }
}

/// Does what has no report and leaves nothing behind: a signal drops it where it stands.
async fn stoppable<T>(cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(exit::Stopped.into()))
}

/// Finds what a reference names and says aloud how it was understood.
async fn resolve(
    repository: &Repository,
    global: &Global,
    reference: &str,
    which: &Which,
) -> Result<Resolved> {
    let reference = Reference::parse(reference)?;
    let resolved = repository.resolve(&reference, &selection(global, which)?).await?;
    exit::note_listed();
    for note in &resolved.notes {
        say(&format!("rekopia: {}", text::line(note)));
    }
    Ok(resolved)
}

/// Which snapshot of a source the options ask for.
fn selection(global: &Global, which: &Which) -> Result<Selection> {
    let as_of = which.as_of.as_deref().map(|text| AsOf::parse(text, &jiff::Zoned::now())).transpose()?;
    let selection = as_of.unwrap_or(AsOf::Latest).selection();
    Ok(Selection {
        previous: which.previous,
        incomplete: which.incomplete,
        tags: which.tags.tag.clone(),
        prefer: connect::identity(global)?,
        ..selection
    })
}
