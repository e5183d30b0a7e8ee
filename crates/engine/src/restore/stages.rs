//! The stages of a restore: prepare → prove → (plan | write → delete extra → read back → sync).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rekopia_format::directory::EntryKind;
use rekopia_format::entry_name::EntryName;

use super::clock::Stage;
use super::extra::Extras;
use super::filter::Filter;
use super::ledger::Ledger;
use super::options::{Overwrite, RestoreOptions, SyncMode};
use super::pass::{Pass, Tree, WRITES_END};
use super::prove::{Proof, Question, exists, refused};
use super::report::Deletion;
use super::reread;
use super::run_state::RunState;
use super::slot::Folder;
use super::ticker::{Known, Ticker};
use super::walk::attributes;
use crate::error::{Error, ErrorKind, Missing, Result};
use crate::observer::{Event, Phase};
use crate::repository::Repository;
use crate::repository::listed_packs::ListedPacks;
use crate::repository::reference::Resolved;
use crate::sink::{AttributePolicy, Sink, SinkOptions};
use crate::text::human_size;

/// What putting back modes gets when the caller asks to stop, of the same moment as [`WRITES_END`].
const MODES_CLOSE: Duration = Duration::from_millis(2300);

/// A restore that goes from stage to stage.
pub(super) struct Run<'a> {
    repository: &'a Repository,
    from: &'a Resolved,
    target: &'a Path,
    options: &'a RestoreOptions,
    ledger: &'a Arc<Ledger>,
    state: &'a Arc<RunState>,
    sink: Arc<Sink>,
    /// The target as it is, only to be looked at.
    view: Arc<Sink>,
    /// What a single file or link is to be called; `None`: a directory is restored.
    name: Option<EntryName>,
    /// Extras may go before anything is written.
    deletes_first: bool,
}

impl<'a> Run<'a> {
    /// Looks at the target and changes nothing.
    pub(super) fn prepare(
        repository: &'a Repository,
        from: &'a Resolved,
        target: &'a Path,
        options: &'a RestoreOptions,
        ledger: &'a Arc<Ledger>,
        state: &'a Arc<RunState>,
    ) -> Result<Self> {
        let is_dir = from.entry.kind == EntryKind::Directory;
        let (root, name) = if is_dir { (target, None) } else { split_target(target)? };
        let policy = AttributePolicy { owner: options.owner, mode: options.modes, times: options.times };
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
        let protected: Vec<_> = options.protected.iter().chain(&options.report_file).cloned().collect();
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
        Ok(Run {
            repository,
            from,
            target,
            options,
            ledger,
            state,
            sink: Arc::new(sink),
            view,
            name,
            deletes_first: false,
        })
    }

    /// What has to be known before anything that exists is changed.
    pub(super) async fn prove(&mut self) -> Result<Proof> {
        let finds_something = match &self.name {
            Some(_) => exists(self.target),
            None => !self.view.is_fresh(),
        };
        if !self.view.is_fresh() {
            self.view.begin()?;
        }
        let question = Question {
            repository: self.repository,
            options: self.options,
            ledger: self.ledger,
            stop: &self.state.stop,
            view: Arc::clone(&self.view),
            finds_something,
        };
        let answering = question.answer(self.tree(&self.view));
        let proof = self.options.cancel.run_until_cancelled(answering).await;
        let proof = proof.unwrap_or_else(|| Err(Error::cancelled()))?;
        drop(question);
        if let Some((path, error)) = &proof.doubt
            && self.options.delete_extra
            && self.options.dry_run
        {
            let (path, why) = (crate::error::shown(path), error.chain());
            let what = format!("nothing would be deleted, because {path:?} cannot be restored: {why}");
            self.ledger.warn(what);
        }
        for sink in [&mut self.sink, &mut self.view] {
            let sink = Arc::get_mut(sink).ok_or_else(|| Error::internal("the target is in use already"))?;
            // In doubt nothing is moved out of the way.
            sink.options.in_doubt = sink.options.delete_extra && proof.doubt.is_some();
            sink.options.delete_extra &= proof.doubt.is_none();
            if proof.uses_our_names {
                sink.options.first_aside = 1 << 32;
            }
        }
        Ok(proof)
    }

    /// Refuses only when a lower bound of what is needed does not fit. Where deleting first makes room, that may be
    /// allowed.
    pub(super) fn check_room(&mut self, proof: &Proof) -> Result<()> {
        let options = self.options;
        let filtered =
            !options.include.is_empty() || !options.exclude.is_empty() || options.max_depth.is_some();
        if options.sparse {
            return Ok(());
        }
        let needed = match self.view.is_fresh() {
            true if !filtered && self.name.is_none() => {
                let entry = &self.from.entry;
                entry.summary.as_ref().map_or(entry.size, |summary| summary.size)
            }
            _ => proof.absent_bytes,
        };
        let Some(available) = self.view.available_bytes()?.filter(|available| needed > *available) else {
            return Ok(());
        };
        let mut what = format!(
            "no space left: {} are needed, {} are free in the target",
            human_size(needed),
            human_size(available)
        );
        if needed > available.saturating_add(proof.freed_bytes) || proof.doubt.is_some() {
            return Err(Error::new(ErrorKind::Destination, what));
        }
        self.deletes_first = true;
        if !options.delete_first && options.consent.is_none() && !options.dry_run {
            what.push_str("; there would be room if extras were deleted before anything is written, which was not allowed");
            return Err(Error::new(ErrorKind::Destination, what));
        }
        Ok(())
    }

    /// Whether what would go may go.
    pub(super) async fn check_deletion(&self, proof: &Proof) -> Result<()> {
        let mut deletion = proof.extras.deletion.clone();
        if deletion.entries == 0 || proof.doubt.is_some() {
            return Ok(());
        }
        deletion.before_writing = self.deletes_first;
        if let Some(limit) = self.options.max_delete.filter(|limit| !limit.allows(&deletion)) {
            return Err(refused(&proof.extras, format!("at most {limit} may be")));
        }
        let Some(consent) = self.options.consent.clone() else { return Ok(()) };
        // Whoever is asked takes as long as they like.
        let asking = tokio::task::spawn_blocking(move || consent.ask(&deletion));
        match self.options.cancel.run_until_cancelled(asking).await {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(refused(&proof.extras, "that was not agreed to".into())),
            Some(Err(_)) => Err(Error::internal("asking for consent panicked")),
            None => Err(Error::cancelled()),
        }
    }

    /// A dry run: decides as a restore would and fetches no file data.
    pub(super) async fn plan(self, proof: &Proof) -> Result<()> {
        let mut deletion = proof.extras.deletion.clone();
        deletion.before_writing = self.deletes_first;
        if proof.doubt.is_some() {
            deletion = Deletion { of: deletion.of, ..Default::default() };
        }
        if let Some(limit) = self.options.max_delete.filter(|limit| !limit.allows(&deletion)) {
            self.state.abort(&refused(&proof.extras, format!("at most {limit} may be")));
        }
        self.ledger.would_delete(deletion);
        self.pass(proof.packs.clone(), None).await;
        if let Some((_, error)) = proof.doubt.as_ref().filter(|_| self.options.delete_extra) {
            self.count_kept(&proof.extras.deletion, &error.chain());
        }
        self.check_matches()
    }

    /// Refuses a selection that takes nothing: nothing done is not success.
    fn check_matches(&self) -> Result<()> {
        let patterns = &self.options.include;
        let nothing = self.ledger.matched.load(Ordering::Relaxed) == 0;
        if patterns.is_empty() || !nothing || !self.went_well() || self.name.is_some() {
            return Ok(());
        }
        let what = format!("nothing in the snapshot matches {}; nothing was restored", patterns.join(", "));
        let Resolved { snapshot, sub_path, entry, .. } = self.from;
        let tree = match snapshot {
            Some(s) if sub_path.is_empty() => s.id.to_string(),
            Some(s) => format!("{}/{sub_path}", s.id),
            None => entry.object.map_or_else(String::new, |object| object.to_string()),
        };
        Err(Error::not_found(what, Missing::Match { tree }))
    }

    /// Restores. From here on the target is touched: what goes wrong is in the report.
    ///
    /// # Errors
    /// When nothing was to be restored, and the target was not touched.
    pub(super) async fn write(self, proof: Proof) -> Result<()> {
        let (options, sink) = (self.options, Arc::clone(&self.sink));
        let Proof { packs, mut extras, doubt, .. } = proof;
        if let Err(e) = sink.begin() {
            self.state.abort(&e.into());
            return Ok(());
        }
        let mut deleted = false;
        if self.deletes_first && !extras.is_empty() && doubt.is_none() {
            let what =
                "extra entries are deleted before anything is written: there is no room for old and new";
            self.state.observer.event(Event::Warning { message: what.into() });
            self.delete(&sink, std::mem::take(&mut extras)).await;
            deleted = true;
        }
        if self.state.fatal().is_none() {
            self.pass(packs, Some(&sink)).await;
        }
        if !deleted {
            self.check_matches()?;
        }
        if options.delete_extra && !deleted && !extras.is_empty() {
            if self.went_well() && doubt.is_none() {
                self.delete(&sink, extras).await;
            } else if !options.cancel.is_cancelled() {
                self.keep_extras(&extras.deletion, doubt.as_ref());
            }
        }
        let closing = Arc::clone(&sink);
        let closed = tokio::task::spawn_blocking(move || closing.close_up());
        if options.cancel.run_with_grace(MODES_CLOSE, closed).await.is_none() {
            self.ledger.warn("modes of folders may have stayed open: the target hangs".into());
        }
        self.count_removals(&sink);
        if options.verify && self.state.fatal().is_none() {
            self.state.enter(Phase::Rereading);
            sink.set_written();
            let tree = self.tree(&sink);
            let reading = reread::reread(self.repository, &sink, &tree, options, self.ledger, self.state);
            if let Some(Err(e)) = options.cancel.run_until_cancelled(reading).await {
                self.state.abort(&e);
            }
        }
        if options.sync == SyncMode::End
            && options.cancel.run_until_cancelled(self.sync(&sink)).await.is_none()
        {
            let what = "not synced, because the run was stopped: a power cut may take what was restored";
            self.ledger.warn(what.into());
        }
        if self.went_well() && self.ledger.report().exit_kind().is_none() {
            sink.clear_mark();
        }
        Ok(())
    }

    /// Says that extras stay, and why.
    fn keep_extras(&self, deletion: &Deletion, doubt: Option<&(String, Error)>) {
        let ledger = &self.ledger;
        let Some((path, error)) = doubt else {
            let what = "nothing extra was deleted, because not everything was restored";
            return ledger.warn(what.into());
        };
        let why = format!("{:?} cannot be restored: {}", crate::error::shown(path), error.chain());
        ledger.warn(format!("nothing extra was deleted, because {why}"));
        self.count_kept(deletion, &why);
    }

    /// Extras that stay although nothing failed (what cannot be restored was right already) are what is left undone.
    fn count_kept(&self, deletion: &Deletion, why: &str) {
        let ledger = &self.ledger;
        if ledger.failed.load(Ordering::Relaxed) > 0 {
            return;
        }
        let named = deletion.first.iter().take(usize::try_from(deletion.entries).unwrap_or(usize::MAX));
        let count = named.map(|name| ledger.remains(name.clone(), why.to_owned())).count() as u64;
        ledger.remain_unnamed(deletion.entries.saturating_sub(count));
    }

    async fn pass(&self, packs: Option<Arc<ListedPacks>>, sink: Option<&Arc<Sink>>) {
        self.state.enter(if sink.is_some() { Phase::Restoring } else { Phase::Planning });
        let pass = Pass {
            repository: self.repository,
            options: self.options,
            sink: sink.cloned(),
            view: sink.is_none().then(|| Arc::clone(&self.view)),
            packs,
            ledger: Arc::clone(self.ledger),
            state: Arc::clone(self.state),
        };
        let options = self.options;
        let is_all = options.include.is_empty() && options.exclude.is_empty() && options.max_depth.is_none();
        let known = if is_all { Known::all(self.from) } else { Known::default() };
        let ticker = Ticker::start(self.repository, self.ledger, &self.state.observer, known);
        let ran = pass.run(self.tree(sink.unwrap_or(&self.view))).await;
        ticker.stop();
        if let Err(e) = ran {
            self.state.abort(&e);
        }
    }

    /// Removes what the proof found to be extra.
    async fn delete(&self, sink: &Arc<Sink>, mut extras: Extras) {
        self.state.enter(Phase::Deleting);
        loop {
            let (is_all, before) = (!extras.is_incomplete(), sink.removals.gone_so_far());
            let (from, cancel) = (Arc::clone(sink), self.options.cancel.clone());
            let removing =
                tokio::task::spawn_blocking(move || extras.remove(&from, &|| cancel.is_cancelled()));
            let Some(removed) = self.options.cancel.run_with_grace(WRITES_END, removing).await else {
                return;
            };
            match removed {
                Ok(Ok(())) => {}
                Ok(Err(e)) => {
                    return self
                        .state
                        .abort(&Error::internal("the list of extras cannot be read").because(e));
                }
                Err(_) => return self.state.abort(&Error::internal("deleting panicked")),
            }
            if is_all || self.options.cancel.is_cancelled() || sink.removals.gone_so_far() == before {
                return;
            }
            // There was no place to remember all of them: a second look finds the rest.
            extras = match self.find_again(sink).await {
                Ok(extras) => extras,
                Err(e) => {
                    let what =
                        format!("not all extras were deleted, they cannot be found once more: {}", e.chain());
                    return self.ledger.warn(what);
                }
            };
        }
    }

    /// The extras once more, as many as can be remembered.
    async fn find_again(&self, sink: &Arc<Sink>) -> Result<Extras> {
        let question = Question {
            repository: self.repository,
            options: self.options,
            ledger: self.ledger,
            stop: &self.state.stop,
            view: Arc::clone(sink),
            finds_something: true,
        };
        let answering = question.answer(self.tree(sink));
        let answer = self.options.cancel.run_until_cancelled(answering).await;
        Ok(answer.unwrap_or_else(|| Err(Error::cancelled()))?.extras)
    }

    fn count_removals(&self, sink: &Sink) {
        let ledger = &self.ledger;
        let removed = sink.removals.take();
        Ledger::add(&ledger.deleted, removed.entries);
        let unnamed = removed.remaining_count - removed.remaining.len() as u64;
        for (path, why) in removed.remaining {
            ledger.remains(path, why);
        }
        ledger.remain_unnamed(unnamed);
    }

    async fn sync(&self, sink: &Arc<Sink>) {
        self.state.enter(Phase::Syncing);
        let (syncing, began) = (Arc::clone(sink), Instant::now());
        let synced = tokio::task::spawn_blocking(move || syncing.sync()).await;
        self.ledger.clock.add(Stage::Sync, began);
        match synced {
            Ok(Ok(())) => {
                let seconds = began.elapsed().as_secs_f64();
                self.state.observer.event(Event::Took { what: "sync", seconds });
            }
            Ok(Err(e)) => self.state.abort(&e.into()),
            Err(_) => self.state.abort(&Error::internal("syncing panicked")),
        }
    }

    /// Whether nothing has failed so far.
    fn went_well(&self) -> bool {
        self.state.fatal().is_none()
            && !self.options.cancel.is_cancelled()
            && self.ledger.failed.load(Ordering::Relaxed) == 0
    }

    /// What is to be restored, with countdowns of its own.
    fn tree(&self, sink: &Arc<Sink>) -> Tree {
        let (node, entry) = (Arc::clone(sink.root()), self.from.entry.clone());
        if !self.options.include.is_empty() {
            node.only_if_used();
        }
        match self.name.clone() {
            None => Tree::Directory { folder: Folder::root(node), root: entry },
            Some(name) => Tree::Single { folder: Folder::holder(node), name, entry },
        }
    }
}

/// What the mark of an incomplete restore says.
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
