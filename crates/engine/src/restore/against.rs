//! Compares a tree on the disk with a snapshot: every entry, every byte, and what is extra. Nothing is changed.
//!
//! Bytes are hashed on the disk and compared with content IDs, so that only metadata is read; objects that were compressed
//! as a whole hash their compressed stream, and are read.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::compare_disk::{DiskRange, Found, check_ranges};
use super::decode::decode_whole;
use super::differs::{Differences, other_kind};
use super::filter::Filter;
use super::ledger::Ledger;
use super::run::Run;
use super::run_state::RunState;
use super::slot::{FileSlot, Folder, SlotKind};
use super::tree::Tree;
use super::walked::Walked;
use super::walking::start_walk;
use crate::differs::Differs;
use crate::error::{Error, Result};
use crate::repository::contents::{Contents, corrupt};
use crate::repository::objects::Slice;
use crate::sink::{ExistingBytes, ExistingKind, ListedKind, Sink};

/// A comparison that is under way.
struct Against {
    view: Arc<Sink>,
    contents: Contents,
    filter: Filter,
    ledger: Arc<Ledger>,
    state: Arc<RunState>,
    /// Names of each directory that is being walked.
    names: HashMap<usize, HashSet<String>>,
    /// Directories that are not there, or something else: nothing below them is looked at.
    absent: HashSet<usize>,
    /// The first range of a file that holds other bytes, until all of it was looked at.
    wrong: HashMap<usize, Range<u64>>,
    /// Slices that can be compared only by reading their data.
    opaque: Vec<(Arc<FileSlot>, Slice)>,
}

impl Run<'_> {
    /// Compares what `view` shows with the tree of the run, with progress; what differs is in the ledger.
    pub(super) async fn against(&self, view: Arc<Sink>, tree: Tree) -> Result<()> {
        let ticker = self.ticker();
        let compared = against(self, view, tree).await;
        ticker.stop();
        compared
    }
}

async fn against(run: &Run<'_>, view: Arc<Sink>, tree: Tree) -> Result<()> {
    let options = run.options;
    let contents = run.repository.contents();
    let (walking, mut walked) =
        start_walk(&contents, options, &run.ledger.clock, options.cancel.also(&run.state.stop), tree)?;
    let mut against = Against {
        view,
        contents: contents.clone(),
        filter: Filter::new(&options.include, &options.exclude)?,
        ledger: Arc::clone(&run.ledger),
        state: Arc::clone(&run.state),
        names: HashMap::new(),
        absent: HashSet::new(),
        wrong: HashMap::new(),
        opaque: Vec::new(),
    };
    while let Some(batch) = walked.recv().await {
        let looking = tokio::task::spawn_blocking(move || {
            against.look(&batch);
            (against, batch)
        });
        let (looked, batch) = looking.await.map_err(|_| Error::internal("comparing panicked"))?;
        against = looked;
        against.read_opaque().await;
        against = tokio::task::spawn_blocking(move || {
            against.tell(batch);
            against
        })
        .await
        .map_err(|_| Error::internal("comparing panicked"))?;
        if run.state.stop.is_cancelled() {
            break;
        }
    }
    walking.end().await
}

impl Against {
    /// Hashes the bytes of a batch.
    fn look(&mut self, batch: &[Walked]) {
        for item in batch {
            if let Walked::Folder(folder) = item {
                self.enter(folder);
            }
        }
        let mut ranges = Vec::new();
        for item in batch {
            let Walked::Slices { slot, slices, .. } = item else { continue };
            if !self.is_comparable(slot) {
                continue;
            }
            let file = self.open(slot);
            for slice in slices.iter().filter(|slice| slice.len != Some(0)) {
                if slice.compressed {
                    self.opaque.push((Arc::clone(slot), *slice));
                    continue;
                }
                let (start, len, content) = (slice.start, slice.len.unwrap_or(0), slice.content);
                let token = (key(slot), start..start.saturating_add(len));
                ranges.push(DiskRange { file: file.clone(), start, len, content, token });
            }
        }
        let wrong = &mut self.wrong;
        check_ranges(self.contents.opener.hash(), ranges.into_iter(), |(slot, range), found| {
            if found != Found::Right {
                note(wrong, slot, range);
            }
        });
    }

    /// Checks that a directory is there.
    fn enter(&mut self, folder: &Arc<Folder>) {
        self.names.entry(folder_key(folder)).or_default();
        let (Some(parent), Some(name)) = (folder.parent(), folder.node.entry_name()) else {
            return self.compare_root(folder);
        };
        if let Some(names) = self.names.get_mut(&folder_key(parent)) {
            names.insert(folder.name().to_owned());
        }
        if self.absent.contains(&folder_key(parent)) {
            self.absent.insert(folder_key(folder));
            return;
        }
        let found = self.view.found(&parent.node, name);
        let differences = match found {
            Ok(Some(found)) if found.kind == ExistingKind::Directory => {
                let mut differences = Differences::default();
                if let Some(wanted) = &folder.node.attributes {
                    differences.attributes(&found.attributes, wanted, &self.view.options.policy, false);
                }
                self.report(folder.path(), &differences);
                return;
            }
            Ok(Some(found)) => other_kind(found.kind, "a directory"),
            Ok(None) => {
                Differences::one(Differs::Missing, "a directory is missing, with all below it".into())
            }
            Err(e) => {
                self.absent.insert(folder_key(folder));
                return self.state.fail(&self.ledger, folder.path(), &e.into(), false);
            }
        };
        self.absent.insert(folder_key(folder));
        self.report(folder.path(), &differences);
    }

    fn compare_root(&mut self, folder: &Arc<Folder>) {
        let Some(wanted) = folder.node.attributes.as_ref().filter(|_| folder.counts()) else { return };
        match self.view.found_root() {
            Ok(found) => {
                let mut differences = Differences::default();
                differences.attributes(&found, wanted, &self.view.options.policy, false);
                self.report(String::new(), &differences);
            }
            Err(e) => self.state.fail(&self.ledger, String::new(), &e.into(), false),
        }
    }

    /// Whether a file or link of the same length is in its place: only then are its bytes looked at.
    fn is_comparable(&mut self, slot: &Arc<FileSlot>) -> bool {
        if self.absent.contains(&folder_key(&slot.folder)) || slot.has_failed() {
            return false;
        }
        if slot.before.get().is_none() {
            let found = self.view.found(&slot.folder.node, &slot.name);
            let found = found.unwrap_or_else(|e| {
                slot.fail(e.into(), false);
                None
            });
            let _ = slot.before.set(found);
        }
        slot.existing().is_some_and(|found| {
            found.kind == kind_of(slot) && (is_length_open(slot) || found.size == slot.size)
        })
    }

    fn open(&self, slot: &Arc<FileSlot>) -> Option<Arc<ExistingBytes>> {
        let opened = match slot.kind {
            SlotKind::File => self.view.open_existing(&slot.folder.node, &slot.name),
            SlotKind::Symlink => self.view.read_link(&slot.folder.node, &slot.name),
        };
        opened.map(Arc::new).map_err(|e| slot.fail(e.into(), false)).ok()
    }

    /// Reads the objects that hash to something else than what is on the disk.
    async fn read_opaque(&mut self) {
        for (slot, slice) in std::mem::take(&mut self.opaque) {
            match self.is_as_decoded(&slot, &slice).await {
                Ok(true) => {}
                Ok(false) => note(&mut self.wrong, key(&slot), slice.start..slot.size.max(slice.start)),
                Err(e) => slot.fail(e, false),
            }
        }
    }

    async fn is_as_decoded(&self, slot: &Arc<FileSlot>, slice: &Slice) -> Result<bool> {
        let stored = self.contents.read(&slice.content).await?;
        let (slot, slice) = (Arc::clone(slot), *slice);
        let file = self.open(&slot);
        let comparing = tokio::task::spawn_blocking(move || {
            let mut plain = Vec::new();
            decode_whole(&stored, slice.len, slot.size, &mut plain)
                .map_err(|e| corrupt(e, &slice.content))?;
            let mut held = vec![0; plain.len()];
            let is_there =
                file.is_some_and(|file| file.read_at(slice.start, &mut held).is_ok_and(|whole| whole));
            Ok(is_there && held == plain)
        });
        comparing.await.map_err(|_| Error::internal("comparing panicked"))?
    }

    /// Tells of what ended in a batch.
    fn tell(&mut self, batch: Vec<Walked>) {
        for item in batch {
            match item {
                Walked::Slices { slot, slices, last } => {
                    let bytes: u64 = slices.iter().filter_map(|slice| slice.len).sum();
                    slot.object_bytes.fetch_add(bytes, Ordering::Relaxed);
                    Ledger::add(&self.ledger.done_bytes, bytes);
                    if last {
                        self.tell_of(&slot);
                    }
                }
                Walked::Listed { folder, whole } => self.leave(&folder, whole),
                Walked::Failed { path, error } => self.state.fail(&self.ledger, path, &error, false),
                Walked::Renamed { path, restored_as, .. } => {
                    let name = restored_as.as_str();
                    self.ledger.warn(format!("{path}: no file can have this name; {name:?} is compared"));
                }
                Walked::Folder(_) => {}
            }
        }
    }

    fn tell_of(&mut self, slot: &Arc<FileSlot>) {
        let wrong = self.wrong.remove(&key(slot));
        if let Some(names) = self.names.get_mut(&folder_key(&slot.folder)) {
            names.insert(slot.name.as_str().to_owned());
        }
        if self.absent.contains(&folder_key(&slot.folder)) {
            return;
        }
        if let Some((error, _)) = slot.take_failure() {
            return self.state.fail(&self.ledger, slot.path(), &error, false);
        }
        let differences = self.differences(slot, wrong);
        if differences.is_empty() {
            let (count, bytes) = match slot.kind {
                SlotKind::File => (&self.ledger.files, slot.object_bytes.load(Ordering::Relaxed)),
                SlotKind::Symlink => (&self.ledger.symlinks, 0),
            };
            Ledger::add(count, 1);
            Ledger::add(&self.ledger.bytes, bytes);
        }
        self.report(slot.path(), &differences);
    }

    fn differences(&self, slot: &FileSlot, wrong: Option<Range<u64>>) -> Differences {
        let is_link = slot.kind == SlotKind::Symlink;
        let Some(found) = slot.existing() else {
            return Differences::one(Differs::Missing, "missing".into());
        };
        if found.kind != kind_of(slot) {
            return other_kind(found.kind, if is_link { "a symbolic link" } else { "a file" });
        }
        let mut differences = Differences::default();
        let wanted = match is_length_open(slot) {
            true => slot.object_bytes.load(Ordering::Relaxed),
            false => slot.size,
        };
        match wrong {
            _ if !is_link && found.size != wanted => {
                differences.push(Differs::Size, format!("{} bytes instead of {wanted}", found.size));
            }
            Some(_) if is_link => differences.push(Differs::Link, "leads elsewhere".into()),
            Some(range) => {
                let words = format!("other bytes between {} and {}", range.start, range.end);
                differences.push(Differs::Bytes, words);
            }
            None if is_link && found.size != slot.object_bytes.load(Ordering::Relaxed) => {
                differences.push(Differs::Link, "leads elsewhere".into());
            }
            None => {}
        }
        let policy = &self.view.options.policy;
        differences.attributes(&found.attributes, &slot.attributes, policy, is_link);
        differences
    }

    /// Ends a directory that was walked: whatever else is in it is extra.
    fn leave(&mut self, folder: &Arc<Folder>, whole: bool) {
        let names = self.names.remove(&folder_key(folder)).unwrap_or_default();
        if self.absent.remove(&folder_key(folder)) {
            return;
        }
        if folder.counts() {
            Ledger::add(&self.ledger.directories, 1);
        }
        if whole && folder.counts() && !folder.is_cut() {
            self.extras(folder, &names);
        }
        self.view.close_again(&folder.node);
    }

    fn extras(&mut self, folder: &Arc<Folder>, names: &HashSet<String>) {
        let mut extras: Vec<(String, bool)> = Vec::new();
        let listed = self.view.list(&folder.node, |listed| {
            let name = listed.name.to_string_lossy();
            let is_dir = listed.kind == ListedKind::Directory;
            let path = folder.path_of(&name);
            let counts = self.filter.is_empty() || self.filter.takes(&path, is_dir);
            if !names.contains(&*name) && counts {
                extras.push((path, is_dir));
            }
            Ok(())
        });
        if let Err(e) = listed {
            self.state.fail(&self.ledger, folder.path(), &e.into(), false);
        }
        extras.sort();
        for (path, is_dir) in extras {
            let what = if is_dir { "extra, with all below it" } else { "extra" };
            self.report(path, &Differences::one(Differs::Extra, what.into()));
        }
    }

    fn report(&self, path: String, differences: &Differences) {
        if !differences.is_empty() {
            self.state.differs(&self.ledger, path, differences);
        }
    }
}

/// Whether the length need not be right: a file of a checkpoint may hold less than the source had; a link records no
/// length.
fn is_length_open(slot: &FileSlot) -> bool {
    slot.is_checkpointed() || slot.kind == SlotKind::Symlink
}

fn kind_of(slot: &FileSlot) -> ExistingKind {
    if slot.kind == SlotKind::File { ExistingKind::File } else { ExistingKind::Symlink }
}

/// Keeps the first wrong range of a slot.
fn note(wrong: &mut HashMap<usize, Range<u64>>, slot: usize, range: Range<u64>) {
    let first = wrong.entry(slot).or_insert_with(|| range.clone());
    if range.start < first.start {
        *first = range;
    }
}

/// Returns the key of a slot that is on its way: its address.
fn key(slot: &Arc<FileSlot>) -> usize {
    Arc::as_ptr(slot) as usize
}

fn folder_key(folder: &Arc<Folder>) -> usize {
    Arc::as_ptr(folder) as usize
}
