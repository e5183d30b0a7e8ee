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

use anyhow::Result;
use rekopia::{AsOf, Reference, Repository, Resolved, Selection};

use crate::args::{Args, Command, Global, Which};
use crate::say::say;
use crate::{connect, exit, text};

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
