//! A whole restore or verification: resolve → prove → passes → delete extra → sync → report.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rekopia_format::directory::{Entry, EntryKind};

use super::clock::Stage;
use super::extra;
use super::finish::Outcome;
use super::options::{RestoreOptions, SyncMode};
use super::pass::{Pass, Tree};
use super::report::Report;
use super::reread;
use super::slot::Folder;
use super::walk::attributes;
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Cancel, Event, Observer, Pace, Progress};
use crate::repository::Repository;
use crate::repository::objects::{ObjectReader, ReadAhead};
use crate::repository::reference::Resolved;
use crate::sink::{AttributePolicy, DirNode, Sink, SinkOptions};

/// How to verify.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Recompute the keyed hash of every content, beyond its authenticated decryption.
    pub hash: bool,
    /// Bytes for pack data, plaintext and listings; 0: the default of a restore.
    pub memory_bytes: u64,
    /// Requests in flight; 0: as the storage suggests.
    pub parallel: usize,
    /// Threads; 0: as many as cores.
    pub threads: usize,
    /// Stops the work when set.
    pub cancel: Cancel,
}

impl Repository {
    /// Restores what `from` names: a directory's contents into `target`, a file or symlink to `target`.
    ///
    /// A report comes back also when entries failed or the run was stopped; look at [`Report::is_complete`].
    ///
    /// # Errors
    /// Only for failures before anything was written: [`ErrorKind::Corrupt`] when the root cannot be read,
    /// [`ErrorKind::Destination`] when the target cannot be used or lacks space, [`ErrorKind::Usage`].
    pub async fn restore(
        &self,
        from: &Resolved,
        target: &Path,
        options: &RestoreOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Report> {
        let started = Instant::now();
        self.prove_root(&from.entry).await?;
        let outcome = Arc::new(Outcome::new(options, observer)?);
        let is_dir = from.entry.kind == EntryKind::Directory;
        let (root, name) = if is_dir { (target, None) } else { split_target(target)? };
        let policy = AttributePolicy { owner: options.owner, mode: options.modes, times: options.times };
        let sink_options = SinkOptions { policy, delete_extra: options.delete_extra, sparse: options.sparse };
        let root_attributes = (is_dir && from.has_attributes).then(|| attributes(&from.entry));
        let sink = Arc::new(Sink::open(root, root_attributes, sink_options)?);
        self.check_space(&sink, from, options)?;
        if !options.dry_run {
            sink.begin()?;
        }
        let folder = Folder::root(Arc::clone(sink.root()));
        let tree = match name {
            None => Tree::Directory { folder, root: from.entry.clone() },
            Some(name) => Tree::Single { folder, name, entry: from.entry.clone() },
        };
        // A dry run plans everything and touches nothing, as if the target were empty.
        let writes_to = (!options.dry_run).then(|| Arc::clone(&sink));
        let pass = Pass { repository: self, options, sink: writes_to, outcome: Arc::clone(&outcome) };

        let ticker = Ticker::start(self, &outcome, from);
        let ran = pass.run(tree).await;
        ticker.stop();
        ran?;
        let done = |outcome: &Outcome| {
            outcome.fatal().is_none()
                && !options.cancel.is_cancelled()
                && outcome.tally.failed.load(Ordering::Relaxed) == 0
        };
        if options.delete_extra && is_dir && !options.dry_run && !sink.was_absent() {
            if !options.include.is_empty() || !options.exclude.is_empty() {
                outcome
                    .tally
                    .warn("nothing extra was deleted, because only a part was to be restored".into());
            } else if done(&outcome) {
                extra::delete_extra(self, &sink, &from.entry, options, &outcome).await?;
            } else {
                outcome.tally.warn("nothing extra was deleted, because not everything was restored".into());
            }
        }
        if options.verify && !options.dry_run && outcome.fatal().is_none() && !options.cancel.is_cancelled() {
            reread::reread(self, &sink, &reread_tree(&from.entry, &sink, target)?, options, &outcome).await?;
        }
        if options.sync == SyncMode::End && !options.dry_run {
            let (syncing, began) = (Arc::clone(&sink), Instant::now());
            let synced = tokio::task::spawn_blocking(move || syncing.sync()).await;
            outcome.tally.clock.add(Stage::Sync, began);
            synced.map_err(|_| Error::internal("syncing panicked"))??;
            let seconds = began.elapsed().as_secs_f64();
            outcome.observer.event(Event::Took { what: "sync", seconds });
        }
        self.report(&outcome, options, started)
    }

    /// Reads and authenticates everything that `from` names, without writing.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the root cannot be read; damage below is in the report.
    pub async fn verify(
        &self,
        from: &Resolved,
        options: &VerifyOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Report> {
        let started = Instant::now();
        let defaults = RestoreOptions::default();
        let options = RestoreOptions {
            hash: options.hash,
            memory_bytes: if options.memory_bytes > 0 { options.memory_bytes } else { defaults.memory_bytes },
            parallel: options.parallel,
            threads: options.threads,
            cancel: options.cancel.clone(),
            ..defaults
        };
        self.prove_root(&from.entry).await?;
        let outcome = Arc::new(Outcome::new(&options, observer)?);
        let folder = Folder::root(DirNode::root(None));
        let tree = match from.entry.kind {
            EntryKind::Directory => Tree::Directory { folder, root: from.entry.clone() },
            _ => Tree::Single { folder, name: single_name()?, entry: from.entry.clone() },
        };
        let pass = Pass { repository: self, options: &options, sink: None, outcome: Arc::clone(&outcome) };
        let ticker = Ticker::start(self, &outcome, from);
        let ran = pass.run(tree).await;
        ticker.stop();
        ran?;
        let mut report = self.report(&outcome, &options, started)?;
        report.verification = true;
        Ok(report)
    }

    /// Reads the root's listing (its beginning, when it is huge) before the target is touched.
    async fn prove_root(&self, entry: &Entry) -> Result<()> {
        let object = entry.object.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the root has no object"))?;
        let contents = self.contents();
        if entry.kind != EntryKind::Directory {
            return contents.locate(object.content()).map(drop);
        }
        let (mut reader, mut ahead) = (ObjectReader::new(&object, None), ReadAhead::default());
        let mut scanner = rekopia_format::directory::DirectoryScanner::new();
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

    /// Refuses only when a lower bound of what is needed does not fit.
    fn check_space(&self, sink: &Sink, from: &Resolved, options: &RestoreOptions) -> Result<()> {
        let filtered =
            !options.include.is_empty() || !options.exclude.is_empty() || options.max_depth.is_some();
        if !sink.is_fresh() || filtered || options.sparse {
            return Ok(());
        }
        let size = from.entry.summary.as_ref().map_or(from.entry.size, |s| s.size);
        match sink.available_bytes()? {
            Some(available) if size > available => {
                let what = format!("{size} bytes are needed, {available} are available in the target");
                Err(Error::new(ErrorKind::Destination, what))
            }
            _ => Ok(()),
        }
    }

    fn report(&self, outcome: &Outcome, options: &RestoreOptions, started: Instant) -> Result<Report> {
        outcome.close_log()?;
        let mut report = outcome.tally.report();
        let (requests, bytes) = self.traffic();
        report.requests = requests;
        report.fetched_bytes = bytes;
        let usage = self.usage();
        report.retries = usage.retries;
        report.latency_seconds = usage.latency_us as f64 / 1e6;
        report.seconds = started.elapsed().as_secs_f64();
        report.cancelled = options.cancel.is_cancelled();
        report.fatal = outcome.fatal();
        report.planned = options.dry_run.then(|| outcome.tally.planned());
        Ok(report)
    }
}

/// Contents of the root's listing that are read as a proof.
const PROVEN_CONTENTS: usize = 64;
/// Time between two progress events.
const TICK: Duration = Duration::from_millis(200);

fn split_target(target: &Path) -> Result<(&Path, Option<rekopia_format::entry_name::EntryName>)> {
    if target.is_dir() {
        let what = format!(
            "{} is a directory, but a single file is to be restored: name the file",
            target.display()
        );
        return Err(Error::new(ErrorKind::Usage, what));
    }
    let bad = || Error::new(ErrorKind::Usage, format!("{} is not the name of a file", target.display()));
    let name = target.file_name().and_then(|n| n.to_str()).ok_or_else(bad)?;
    let name = rekopia_format::entry_name::EntryName::parse(name).map_err(|_| bad())?;
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent, Some(name)))
}

/// The tree once more, with countdowns of its own.
fn reread_tree(entry: &Entry, sink: &Sink, target: &Path) -> Result<Tree> {
    let folder = Folder::root(Arc::clone(sink.root()));
    match entry.kind {
        EntryKind::Directory => Ok(Tree::Directory { folder, root: entry.clone() }),
        _ => {
            let name = target.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let name = rekopia_format::entry_name::EntryName::parse(name);
            let name = name.map_err(|_| Error::internal("the name was checked before"))?;
            Ok(Tree::Single { folder, name, entry: entry.clone() })
        }
    }
}

fn single_name() -> Result<rekopia_format::entry_name::EntryName> {
    rekopia_format::entry_name::EntryName::parse("file").map_err(|_| Error::internal("a plain name"))
}

/// Sends progress a few times a second until it is stopped.
struct Ticker(tokio::task::JoinHandle<()>);

impl Ticker {
    fn start(repository: &Repository, outcome: &Arc<Outcome>, from: &Resolved) -> Self {
        let (traffic, outcome) = (Arc::clone(&repository.contents().traffic), Arc::clone(outcome));
        let summary = from.entry.summary.as_ref();
        let known_entries = summary.map_or(1, |s| s.files + s.dirs + s.symlinks);
        let known_bytes = summary.map_or(from.entry.size, |s| s.size);
        Ticker(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            let mut pace = Pace::default();
            loop {
                ticks.tick().await;
                let (t, get) = (&outcome.tally, |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed));
                let (bytes, total_bytes) = (get(&t.done_bytes), known_bytes.max(get(&t.total_bytes)));
                let rate = pace.rate(Instant::now(), bytes);
                outcome.observer.event(Event::Progress(Progress {
                    entries: get(&t.files) + get(&t.directories) + get(&t.symlinks) + get(&t.failed),
                    total_entries: known_entries.max(get(&t.total_entries)),
                    bytes,
                    total_bytes,
                    fetched_bytes: get(&traffic.bytes),
                    requests: get(&traffic.requests),
                    failures: get(&t.failed),
                    bytes_per_second: rate,
                    eta_seconds: total_bytes.saturating_sub(bytes).checked_div(rate),
                }));
            }
        }))
    }

    fn stop(self) {
        self.0.abort();
    }
}
