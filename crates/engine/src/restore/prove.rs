//! Finds out what can be known of a restore before anything that exists is changed.
//!
//! ```text
//! nothing there, `continue`      nothing: a fresh restore pays nothing
//! something there                one listing of the packs
//! extras go, `stop`, or a bad    also the whole snapshot: every listing read, every content's pack there and long enough
//! index blob
//! ```
//!
//! The walk finds what the snapshot does not have, too. The target is looked at and not changed.

use std::sync::Arc;

use rekopia_format::directory::{DirectoryScanner, Entry, EntryKind};

use super::ledger::Ledger;
use super::options::{OnError, RestoreOptions};
use super::proof::Proof;
use super::survey::Survey;
use super::tree::Tree;
use super::walking::start_walk;
use crate::error::{Error, ErrorKind, Result};
use crate::observer::Cancel;
use crate::repository::Repository;
use crate::repository::listed_packs::ListedPacks;
use crate::repository::objects::ObjectReader;
use crate::repository::read_ahead::ReadAhead;
use crate::sink::Sink;

/// The subject of a proof.
pub(crate) struct Question<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) options: &'a RestoreOptions,
    pub(crate) ledger: &'a Arc<Ledger>,
    /// Set when the run is to stop.
    pub(crate) stop: &'a Cancel,
    /// The target, only to be looked at.
    pub(crate) view: Arc<Sink>,
    /// Whether something that exists could be changed.
    pub(crate) finds_something: bool,
    pub(crate) packs: PacksListed,
    /// Whether the snapshot's own total leaves no room: its files are counted, because a total may lie.
    pub(crate) counts_bytes: bool,
}

/// The cases in which the packs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacksListed {
    /// The packs are listed where something could be harmed by not knowing them: a fresh restore pays nothing.
    WhereNeeded,
    /// The packs are listed in any case.
    Always,
}

/// Contents of the root's listing that are read as a proof.
const PROVEN_CONTENTS: usize = 64;

impl Question<'_> {
    /// Finds out what has to be known for this restore; `tree` has countdowns of its own.
    ///
    /// # Errors
    /// When the storage cannot be listed; under [`OnError::Stop`] also the first doubt.
    pub(crate) async fn answer(&self, tree: Tree) -> Result<Proof> {
        let options = self.options;
        let mirrors = options.delete_extra && self.finds_something && matches!(tree, Tree::Directory { .. });
        let refuses = options.refuse_existing.any() && self.finds_something;
        let walks = mirrors || refuses || self.counts_bytes || options.on_error == OnError::Stop;
        let is_in_doubt = self.repository.is_in_doubt().await;
        if !walks && !self.finds_something && self.packs == PacksListed::WhereNeeded && !is_in_doubt {
            return Ok(Proof::default());
        }
        let packs = Arc::new(ListedPacks::read(self.repository).await?);
        // The listing may have had the index read once more.
        let is_in_doubt = is_in_doubt || self.repository.is_in_doubt().await;
        if !walks && !is_in_doubt {
            return Ok(Proof { packs: Some(packs), ..Proof::default() });
        }
        let (walking, mut walked) =
            start_walk(&packs.contents, options, &self.ledger.clock, options.cancel.also(self.stop), tree)?;
        let mut survey = Survey::new(self.repository, &packs, options, self.ledger)?;
        survey.mirrors = mirrors;
        survey.view = (mirrors || refuses).then(|| Arc::clone(&self.view));
        // Batch by batch: a thread that waited for the walk would be missing where there is only one.
        while let Some(batch) = walked.recv().await {
            let surveyed = tokio::task::spawn_blocking(move || survey.after(batch)).await;
            survey = surveyed.map_err(|_| Error::internal("the proof panicked"))?;
        }
        walking.end().await?;
        let mut proof = survey.proof;
        proof.file_bytes = Some(survey.file_bytes);
        if options.cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        if let Some((path, error)) = &proof.doubt
            && (is_in_doubt || options.on_error == OnError::Stop)
        {
            let what =
                format!("nothing was changed, because {:?} cannot be restored", crate::error::shown(path));
            return Err(Error::new(error.kind(), what).because(error.chain()));
        }
        if let Some(path) = &proof.refusal {
            let path = crate::error::shown(path);
            let what = format!("{path:?} exists already, and was not to be overwritten; nothing was changed");
            return Err(Error::new(ErrorKind::Destination, what));
        }
        proof.packs = Some(packs);
        Ok(proof)
    }
}

impl Repository {
    /// Reads the root's listing (its beginning, when it is huge) before the target is touched.
    pub(super) async fn prove_root(&self, entry: &Entry) -> Result<()> {
        let object = entry.object.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the root has no object"))?;
        let contents = self.contents();
        if entry.kind != EntryKind::Directory {
            return contents.locate(object.content()).map(drop);
        }
        let (mut reader, mut ahead) = (ObjectReader::new(&object, None), ReadAhead::default());
        let mut scanner = DirectoryScanner::new();
        let unreadable =
            |e: Error| Error::new(e.kind(), "the root directory cannot be read").because(e.chain());
        let damaged = |e| Error::new(ErrorKind::Corrupt, "the root directory is damaged").because(e);
        for _ in 0..PROVEN_CONTENTS {
            match reader.next(&contents, &mut ahead).await.map_err(unreadable)? {
                Some(chunk) => scanner.push(&chunk, |_| ()).map_err(damaged)?,
                None => return scanner.finish().map(drop).map_err(damaged),
            }
        }
        Ok(())
    }
}
