//! Chooses the snapshot that a command is about.

use anyhow::Result;
use rekopia::{AsOf, Reference, Repository, Resolved, Selection, Zone};

use crate::args::{Global, Which};
use crate::say::say;
use crate::{connect, text};

/// Finds what a reference names and says aloud how it was understood.
pub(super) async fn resolve(
    repository: &Repository,
    global: &Global,
    reference: &str,
    which: &Which,
) -> Result<Resolved> {
    let reference = Reference::parse(reference)?;
    let resolved = repository.resolve(&reference, &selection(global, which)?).await?;
    for note in &resolved.notes {
        say(&format!("rekopia: {}", text::line(note)));
    }
    Ok(resolved)
}

/// Returns which snapshot of a source the options ask for.
pub(super) fn selection(global: &Global, which: &Which) -> Result<Selection> {
    let as_of =
        which.as_of.as_deref().map(|text| AsOf::parse(text, rekopia::now(), &Zone::system())).transpose()?;
    let selection = as_of.unwrap_or(AsOf::Latest).selection();
    Ok(selection
        .previous(which.previous)
        .incomplete(which.incomplete)
        .tags(which.tags.tag.clone())
        .prefer(connect::identity(global)?))
}
