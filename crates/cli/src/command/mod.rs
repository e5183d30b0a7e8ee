//! One file per command.

mod cat;
mod generate;
mod ls;
mod restore;
mod snapshots;
mod status;
mod verify;

use anyhow::Result;
use rekopia::{Reference, Repository, Resolved, Selection};

use crate::args::{Args, Command, Which};
use crate::exit::UsageError;

/// Runs the command; gives the exit code.
pub(crate) async fn run(args: Args) -> Result<u8> {
    let global = args.global;
    match args.command {
        Command::Snapshots(args) => snapshots::run(&global, &args).await,
        Command::Ls(args) => ls::run(&global, &args).await,
        Command::Cat(args) => cat::run(&global, &args).await,
        Command::Restore(args) => restore::run(&global, &args).await,
        Command::Verify(args) => verify::run(&global, &args).await,
        Command::Status => status::run(&global).await,
        Command::Completions { shell } => generate::completions(shell),
        Command::Man => generate::man(),
    }
}

/// Finds what a reference names and says aloud how it was understood.
async fn resolve(repository: &Repository, text: &str, which: &Which) -> Result<Resolved> {
    let reference = Reference::parse(text)?;
    let as_of_ns = match &which.as_of {
        Some(text) => crate::time::parse_as_of(text, &jiff::Zoned::now()).map_err(UsageError)?,
        None => None,
    };
    let selection = Selection { as_of_ns, previous: which.previous, incomplete: which.incomplete };
    let resolved = repository.resolve(&reference, &selection).await?;
    for note in &resolved.notes {
        eprintln!("rekopia: {note}");
    }
    Ok(resolved)
}
