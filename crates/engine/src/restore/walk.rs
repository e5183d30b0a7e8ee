//! Walks from a snapshot's root: finds entries with their slices, depth first in stored order.
//!
//! ```text
//! stack of directories ──the next ≤ 64──► read ahead in one round ──► scan ──► batches of Walked
//! ```
//!
//! A directory is scanned content by content: one of a million entries never is in memory as a whole. Its
//! subdirectories found so far are descended into before its next content is read, so that what waits on the stack is
//! bounded by the depth of the tree, not by its width.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rekopia_format::directory::{DirectoryScanner, Entry, EntryKind};
use rekopia_format::entry_name::EntryName;
use rekopia_format::{ContentId, ObjectId};
use tokio::sync::mpsc;

use super::clock::{Clock, Stage};
use super::filter::Filter;
use super::names::{Admitted, Names};
use super::slot::{FileSlot, Folder, SlotKind, attributes};
use super::walked::Walked;
use crate::error::{Error, ErrorKind, Result};
use crate::observer::Cancel;
use crate::repository::contents::Contents;
use crate::repository::objects::{ObjectReader, Slice, SliceReader};
use crate::repository::read_ahead::ReadAhead;

/// The start and the limits of a walk.
pub(crate) struct WalkOptions {
    pub(crate) filter: Filter,
    pub(crate) max_depth: Option<usize>,
    /// Plaintext bytes that may be read ahead.
    pub(crate) read_ahead_bytes: u64,
    pub(crate) clock: Arc<Clock>,
    pub(crate) cancel: Cancel,
}

/// Slices of one file in one message.
const SLICES_PER_MESSAGE: usize = 4096;
/// Entries in one batch of messages.
const BATCH: usize = 512;
/// Directories that are read ahead together.
const LOOK_AHEAD: usize = 64;
/// Levels of directories; a path of this depth cannot be opened on any system in one go.
const MAX_DEPTH: usize = 100_000;

/// Walks one tree.
pub(crate) struct Walk {
    contents: Contents,
    options: WalkOptions,
    ahead: ReadAhead,
    stack: Vec<Frame>,
    /// The objects of the directories on the stack: one that is below itself would be walked for ever.
    entered: HashSet<ObjectId>,
    /// Places on the stack whose directories have subdirectories that are not descended into yet, outermost first.
    waiting: Vec<usize>,
    out: mpsc::Sender<Vec<Walked>>,
    batch: Vec<Walked>,
}

/// A directory that is being scanned.
struct Frame {
    folder: Arc<Folder>,
    object: ObjectId,
    reader: ObjectReader,
    scanner: Option<DirectoryScanner>,
    /// Subdirectories found and not yet descended into.
    below: VecDeque<(Arc<Folder>, Entry)>,
    names: Names,
    whole: bool,
    /// Whether the first content was asked for.
    started: bool,
}

/// The error of a walk whose receiver is gone: the restore is over.
struct Stopped;

impl Walk {
    pub(crate) fn new(contents: Contents, options: WalkOptions, out: mpsc::Sender<Vec<Walked>>) -> Self {
        Walk {
            contents,
            options,
            ahead: ReadAhead::default(),
            stack: Vec::new(),
            entered: HashSet::new(),
            waiting: Vec::new(),
            out,
            batch: Vec::new(),
        }
    }

    /// Sends everything below (and including) the directory `root`, whose folder the caller made.
    pub(crate) async fn run_directory(mut self, folder: Arc<Folder>, root: &Entry) {
        let started = self.descend(folder, root);
        if started.is_ok() {
            let _ = self.run().await;
        }
        let _ = self.flush().await;
    }

    /// Sends a single file or symlink.
    pub(crate) async fn run_single(mut self, folder: Arc<Folder>, name: EntryName, root: &Entry) {
        self.batch.push(Walked::Folder(Arc::clone(&folder)));
        let slot = self.slot(&folder, name, root, false);
        let _ = self.send_file(slot, root).await;
        self.batch.push(Walked::Listed { folder, whole: false });
        let _ = self.flush().await;
    }

    async fn run(&mut self) -> std::result::Result<(), Stopped> {
        while let Some(depth) = self.stack.len().checked_sub(1) {
            if self.options.cancel.is_cancelled() {
                return Err(Stopped);
            }
            if let Some((folder, entry)) = self.stack[depth].below.pop_front() {
                if self.stack[depth].below.is_empty() {
                    self.waiting.pop_if(|place| *place == depth);
                }
                if depth + 1 > MAX_DEPTH {
                    self.fail(
                        folder.path(),
                        Error::new(ErrorKind::Corrupt, "directories are nested too deeply"),
                    );
                    self.batch.push(Walked::Listed { folder, whole: false });
                } else {
                    self.descend(folder, &entry)?;
                }
            } else if self.stack[depth].scanner.is_none() {
                if let Some(frame) = self.stack.pop() {
                    self.entered.remove(&frame.object);
                    self.batch.push(Walked::Listed { folder: frame.folder, whole: frame.whole });
                }
            } else {
                self.scan(depth).await?;
            }
            if self.batch.len() >= BATCH {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn descend(&mut self, folder: Arc<Folder>, entry: &Entry) -> std::result::Result<(), Stopped> {
        self.batch.push(Walked::Folder(Arc::clone(&folder)));
        match entry.object {
            Some(object) if !self.entered.insert(object) => {
                let what = format!("a directory that is inside itself (object {object})");
                self.fail(folder.path(), Error::new(ErrorKind::Corrupt, what));
                self.batch.push(Walked::Listed { folder, whole: false });
            }
            Some(object) => self.stack.push(Frame {
                folder,
                object,
                reader: ObjectReader::new(&object, None),
                scanner: Some(DirectoryScanner::new()),
                below: VecDeque::new(),
                names: Names::default(),
                whole: true,
                started: false,
            }),
            None => {
                self.fail(folder.path(), Error::new(ErrorKind::Corrupt, "the directory has no object"));
                self.batch.push(Walked::Listed { folder, whole: false });
            }
        }
        Ok(())
    }

    /// Scans the next content of the directory at `depth` on the stack.
    async fn scan(&mut self, depth: usize) -> std::result::Result<(), Stopped> {
        let started = Instant::now();
        self.look_ahead(depth).await;
        let frame = &mut self.stack[depth];
        let chunk = frame.reader.next(&self.contents, &mut self.ahead).await;
        let mut found: Vec<std::result::Result<Entry, (Option<String>, String)>> = Vec::new();
        let mut broken = None;
        match chunk {
            Ok(Some(chunk)) => {
                if let Some(scanner) = &mut frame.scanner {
                    let pushed = scanner.push(&chunk, |entry| {
                        found.push(entry.map_err(|e| (e.name.clone(), e.to_string())));
                    });
                    broken = pushed
                        .err()
                        .map(|e| Error::new(ErrorKind::Corrupt, "the directory is damaged").because(e));
                }
            }
            Ok(None) => {
                if let Some(Err(e)) = frame.scanner.take().map(DirectoryScanner::finish) {
                    broken = Some(Error::new(ErrorKind::Corrupt, "the directory is damaged").because(e));
                }
            }
            Err(e) => broken = Some(e),
        }
        self.options.clock.add(Stage::Walk, started);
        if let Some(error) = broken {
            frame.scanner = None;
            frame.whole = false;
            let path = frame.folder.path();
            self.fail(path, error);
        }
        self.take_entries(depth, found).await
    }

    /// Reads what is needed next in one round: this directory's content, and those of the directories after it.
    async fn look_ahead(&mut self, depth: usize) {
        let object = self.stack[depth].object;
        let started = std::mem::replace(&mut self.stack[depth].started, true);
        if started || object.indirection() > 0 || self.ahead.has(object.content()) {
            return;
        }
        let later = self.waiting.iter().rev().flat_map(|place| self.stack[*place].below.iter());
        let later = later.filter_map(|(_, e)| e.object);
        let ids = std::iter::once(object).chain(later).take(LOOK_AHEAD).map(|o| *o.content());
        self.ahead.fill(&self.contents, ids, self.options.read_ahead_bytes).await;
    }

    async fn take_entries(
        &mut self,
        depth: usize,
        found: Vec<std::result::Result<Entry, (Option<String>, String)>>,
    ) -> std::result::Result<(), Stopped> {
        let tables = found.iter().flatten().filter(|e| e.kind != EntryKind::Directory);
        let tables = tables.filter_map(|e| e.object).filter(|o| o.indirection() > 0).map(|o| *o.content());
        let tables: Vec<ContentId> = tables.collect();
        if !tables.is_empty() {
            self.ahead.fill(&self.contents, tables.into_iter(), self.options.read_ahead_bytes).await;
        }
        for entry in found {
            let folder = Arc::clone(&self.stack[depth].folder);
            match entry {
                Ok(entry) => self.take_entry(depth, &folder, entry).await?,
                Err((name, what)) => {
                    let name = name.unwrap_or_else(|| "(an entry without a usable name)".to_owned());
                    self.stack[depth].whole = false;
                    self.fail(folder.path_of(&name), Error::new(ErrorKind::Corrupt, what));
                }
            }
            if self.batch.len() >= BATCH {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn take_entry(
        &mut self,
        depth: usize,
        folder: &Arc<Folder>,
        entry: Entry,
    ) -> std::result::Result<(), Stopped> {
        let Some((name, may_clash)) = self.name_of(depth, folder, &entry) else { return Ok(()) };
        let is_dir = entry.kind == EntryKind::Directory;
        let filtered = !self.options.filter.is_empty();
        if filtered && !self.options.filter.admits(&folder.path_of(name.as_str()), is_dir) {
            return Ok(());
        }
        match &entry.kind {
            EntryKind::Directory => {
                if self.options.max_depth.is_some_and(|max| depth >= max) {
                    folder.cut();
                    return Ok(());
                }
                let child = Folder::below(folder, name, attributes(&entry));
                child.node.may_clash.store(may_clash, Ordering::Relaxed);
                if filtered && !self.options.filter.wants_folder(&child.path()) {
                    child.node.only_if_used();
                }
                self.stack[depth].below.push_back((child, entry));
                if self.waiting.last() != Some(&depth) {
                    self.waiting.push(depth);
                }
                Ok(())
            }
            EntryKind::Unknown(kind) => {
                let path = folder.path_of(name.as_str());
                self.fail(path, Error::new(ErrorKind::Corrupt, format!("unknown kind of entry {kind:?}")));
                Ok(())
            }
            EntryKind::File | EntryKind::Symlink => {
                let slot = self.slot(folder, name, &entry, may_clash);
                self.send_file(slot, &entry).await
            }
        }
    }

    /// Returns what an entry is called in its directory, and whether a name before it differs only in case or
    /// normalisation; `None`: it cannot be restored.
    fn name_of(&mut self, depth: usize, folder: &Folder, entry: &Entry) -> Option<(EntryName, bool)> {
        let name = match &entry.name {
            Ok(name) => name.clone(),
            Err(bad) => {
                let path = folder.path_of(&bad.raw);
                match self.another_name(depth, &bad.raw) {
                    Ok((name, is_usual)) => {
                        let restored_as = name.clone();
                        self.batch.push(Walked::Renamed { path, restored_as, is_usual });
                        name
                    }
                    Err(why) => {
                        self.fail(path, Error::new(ErrorKind::Corrupt, why));
                        return None;
                    }
                }
            }
        };
        match self.stack[depth].names.admit(name) {
            Admitted::First { name, clashes } => Some((name, clashes)),
            Admitted::Twin { restored_as, path_hint } => {
                let path = folder.path_of(&path_hint);
                let what =
                    format!("the directory has this name twice; restored as {:?}", restored_as.as_str());
                self.batch.push(Walked::Failed { path, error: Error::new(ErrorKind::Corrupt, what) });
                Some((restored_as, false))
            }
        }
    }

    /// Returns what an entry is called whose stored name is none; and whether that is what Kopia calls it, too (design
    /// §5.4).
    fn another_name(&self, depth: usize, raw: &str) -> std::result::Result<(EntryName, bool), &'static str> {
        let without = raw.trim_start_matches('/');
        let (name, is_usual) = match EntryName::parse(without) {
            Ok(name) => (name, raw != without),
            Err(_) => {
                let plain = match without {
                    "." => "_".to_owned(),
                    ".." => "__".to_owned(),
                    _ => without.replace('/', "_"),
                };
                (EntryName::parse(&plain).map_err(|_| "the name is not one that a file can have")?, false)
            }
        };
        if self.stack[depth].names.has(&name) {
            return Err("another entry has the name that this one would be restored under");
        }
        Ok((name, is_usual))
    }

    fn slot(&self, folder: &Arc<Folder>, name: EntryName, entry: &Entry, may_clash: bool) -> Arc<FileSlot> {
        let kind = if entry.kind == EntryKind::Symlink { SlotKind::Symlink } else { SlotKind::File };
        FileSlot::new(folder, name, kind, (entry.size, entry.object), attributes(entry), may_clash)
    }

    async fn send_file(&mut self, slot: Arc<FileSlot>, entry: &Entry) -> std::result::Result<(), Stopped> {
        let Some(object) = entry.object else {
            self.fail_slot(&slot, Error::new(ErrorKind::Corrupt, "the entry has no object"));
            return Ok(());
        };
        // The length of a direct object is in the index; that of a compressed one only in the entry.
        let len = if object.is_compressed() { Some(entry.size) } else { None };
        let mut reader = SliceReader::new(&object, len);
        loop {
            let slices = reader.next(&self.contents, &mut self.ahead, SLICES_PER_MESSAGE).await;
            let located: Result<Vec<Slice>> =
                slices.and_then(|s| s.into_iter().map(|s| self.with_length(s)).collect());
            match located {
                Ok(slices) => {
                    let last = slices.is_empty() || object.indirection() == 0;
                    self.batch.push(Walked::Slices { slot: Arc::clone(&slot), slices, last });
                    if last {
                        return Ok(());
                    }
                    if self.batch.len() >= BATCH || object.indirection() > 1 {
                        self.flush().await?;
                    }
                }
                Err(error) => {
                    self.fail_slot(&slot, error);
                    return Ok(());
                }
            }
        }
    }

    fn with_length(&self, slice: Slice) -> Result<Slice> {
        let location = self.contents.locate(&slice.content)?;
        Ok(Slice { len: slice.len.or(Some(u64::from(location.packed.original_len))), ..slice })
    }

    /// Fails the entry; no slices follow.
    fn fail_slot(&mut self, slot: &Arc<FileSlot>, error: Error) {
        slot.fail(error, false);
        self.batch.push(Walked::Slices { slot: Arc::clone(slot), slices: Vec::new(), last: true });
    }

    fn fail(&mut self, path: String, error: Error) {
        self.batch.push(Walked::Failed { path, error });
    }

    async fn flush(&mut self) -> std::result::Result<(), Stopped> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() { Ok(()) } else { self.out.send(batch).await.map_err(|_| Stopped) }
    }
}
