//! Makes the first stage of a restore: the target was looked at and is as it was.

use std::path::Path;
use std::sync::Arc;

use rekopia_format::directory::EntryKind;
use rekopia_format::entry_name::EntryName;

use super::filter::Filter;
use super::options::{Overwrite, Receipting};
use super::prove::{PacksListed, Question};
use super::proven::{Proven, recorded_bytes};
use super::run::Run;
use super::sinks::Sinks;
use super::slot::attributes;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::reference::Resolved;
use crate::sink::{AttributePolicy, OwnerPolicy, Sink, SinkOptions};

/// A run whose target was looked at.
pub(super) struct Prepared<'a> {
    run: &'a Run<'a>,
    target: &'a Path,
    sinks: Sinks,
}

impl<'a> Prepared<'a> {
    /// Looks at the target and changes nothing.
    ///
    /// # Errors
    /// When the target cannot be used, overlaps the repository, or a pattern is none.
    pub(super) fn look(run: &'a Run<'a>, target: &'a Path) -> Result<Self> {
        let (from, options, repository) = (run.from, run.options, run.repository);
        let is_dir = from.entry.kind == EntryKind::Directory;
        let (root, name) = if is_dir { (target, None) } else { split_target(target)? };
        // Of an object that was named by its ID alone nobody knows whose it was, or from when.
        let is_known = is_dir || from.has_attributes;
        let owner = match options.owner {
            OwnerPolicy::Keep if !is_known => OwnerPolicy::Skip,
            asked => asked,
        };
        let policy =
            AttributePolicy { owner, mode: options.modes && is_known, times: options.times && is_known };
        let sink_options = SinkOptions {
            policy,
            delete_extra: options.delete_extra,
            in_doubt: false,
            keeps_existing: options.overwrite == Overwrite::Never,
            looks_only: false,
            sparse: options.sparse,
            first_aside: 0,
        };
        Filter::new(&options.include, &options.exclude)?;
        let root_attributes = (is_dir && from.has_attributes).then(|| attributes(&from.entry));
        let mut protected: Vec<_> = options.protected.iter().chain(&options.report_file).cloned().collect();
        if let Receipting::File(path) = &options.receipt {
            protected.push(path.clone());
        }
        let folder = repository.folder();
        let open = |options| {
            let mut sink = Sink::open(root, root_attributes, options)?;
            sink.guard(folder.as_deref(), &protected).map(|()| sink)
        };
        let view = Arc::new(open(SinkOptions { looks_only: true, ..sink_options })?);
        let mut sink = open(sink_options)?;
        if is_dir {
            sink.set_mark(mark(from));
        }
        Ok(Prepared { run, target, sinks: Sinks { sink: Arc::new(sink), view, name } })
    }

    /// Returns the target, only to be looked at, and what a file or link is called there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn view(self) -> Result<(Arc<Sink>, Option<EntryName>)> {
        let Sinks { view, name, .. } = self.sinks;
        view.begin()?;
        Ok((view, name))
    }

    /// Finds out what has to be known before anything that exists is changed.
    ///
    /// # Errors
    /// Those of [`Question::answer`]; when there is no room.
    pub(super) async fn prove(self) -> Result<Proven<'a>> {
        self.prove_with(PacksListed::WhereNeeded).await
    }

    /// Finds out what has to be known, and in any case which packs are there.
    ///
    /// # Errors
    /// Those of [`Prepared::prove`].
    pub(super) async fn prove_with_packs(self) -> Result<Proven<'a>> {
        self.prove_with(PacksListed::Always).await
    }

    async fn prove_with(self, packs: PacksListed) -> Result<Proven<'a>> {
        let Prepared { run, target, mut sinks } = self;
        let finds_something = match &sinks.name {
            Some(_) => std::fs::symlink_metadata(target).is_ok(),
            None => !sinks.view.is_fresh(),
        };
        if !sinks.view.is_fresh() {
            sinks.view.begin()?;
        }
        let takes_all = !finds_something && run.options.takes_all() && sinks.name.is_none();
        let available = sinks.view.available_bytes()?;
        let counts_bytes = takes_all
            && !run.options.sparse
            && available.is_some_and(|available| recorded_bytes(&run.from.entry) > available);
        let question = Question {
            repository: run.repository,
            options: run.options,
            ledger: &run.ledger,
            stop: &run.state.stop,
            view: Arc::clone(&sinks.view),
            finds_something,
            packs,
            counts_bytes,
        };
        let answering = question.answer(run.tree(&sinks.view, sinks.name.as_ref())?);
        let proof = run.options.cancel.run_until_cancelled(answering).await;
        let proof = proof.unwrap_or_else(|| Err(Error::cancelled()))?;
        drop(question);
        for sink in [&mut sinks.sink, &mut sinks.view] {
            let sink = Arc::get_mut(sink).ok_or_else(|| Error::internal("the target is in use already"))?;
            // In doubt nothing is moved out of the way.
            sink.options.in_doubt = sink.options.delete_extra && proof.doubt.is_some();
            sink.options.delete_extra &= proof.doubt.is_none();
            if proof.uses_our_names {
                sink.options.first_aside = 1 << 32;
            }
        }
        Proven::new(run, sinks, proof)
    }
}

/// Returns the text in the mark of an incomplete restore.
fn mark(from: &Resolved) -> String {
    let snapshot = from.snapshot.as_ref().map(|s| s.id.to_string());
    let object = from.entry.object.as_ref().map(ToString::to_string);
    serde_json::json!({ "snapshot": snapshot.or(object), "started": jiff::Timestamp::now().to_string() })
        .to_string()
}

fn split_target(target: &Path) -> Result<(&Path, Option<EntryName>)> {
    let ends_in_slash = target.as_os_str().as_encoded_bytes().ends_with(b"/");
    if target.is_dir() || ends_in_slash {
        let what = format!(
            "{} is the name of a directory, but a single file is to be restored: name the file",
            target.display()
        );
        return Err(Error::new(ErrorKind::Usage, what));
    }
    let bad = || Error::new(ErrorKind::Usage, format!("{} is not the name of a file", target.display()));
    let name = target.file_name().and_then(|n| n.to_str()).ok_or_else(bad)?;
    let name = EntryName::parse(name).map_err(|_| bad())?;
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent, Some(name)))
}
