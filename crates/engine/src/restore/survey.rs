//! Walks for a proof: compares each directory of the snapshot with the target, which is only looked at.

use std::collections::HashMap;
use std::ffi::CString;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::extras::Extras;
use super::filter::Filter;
use super::ledger::Ledger;
use super::options::{Overwrite, RefuseExisting, RestoreOptions};
use super::proof::Proof;
use super::slot::{FileSlot, Folder, SlotKind, wrong_length};
use super::walked::Walked;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::repository::listed_packs::ListedPacks;
use crate::repository::objects::Slice;
use crate::sink::{Listed, ListedKind, Listing, Sink, folding};

/// Follows the walk and compares each directory with the target.
pub(super) struct Survey {
    packs: Arc<ListedPacks>,
    /// The target, only to be looked at; `None`: nothing is compared.
    pub(super) view: Option<Arc<Sink>>,
    /// Whether extras are to be deleted.
    pub(super) mirrors: bool,
    /// The kinds of entries that may not exist.
    refuse: RefuseExisting,
    filter: Filter,
    keeps_existing: bool,
    ledger: Arc<Ledger>,
    /// The names of each directory that is being walked.
    names: HashMap<usize, Names>,
    state: RandomState,
    /// Bytes of the files so far, by their contents.
    pub(super) file_bytes: u64,
    pub(super) proof: Proof,
}

/// The names of a directory while it is walked.
#[derive(Default)]
struct Names {
    /// Hash of each name, with its kind in the lowest bits, and the bytes of a file.
    wanted: Vec<(u64, u64)>,
    /// Hashes of the keys that case-folding file systems may take for the names.
    folded: Vec<u64>,
}

/// Bits of a hash that hold the kind.
const KIND: u64 = 3;

impl Survey {
    /// Makes a survey that has compared nothing with the target yet.
    pub(super) fn new(
        repository: &Repository,
        packs: &Arc<ListedPacks>,
        options: &RestoreOptions,
        ledger: &Arc<Ledger>,
    ) -> Result<Self> {
        Ok(Survey {
            packs: Arc::clone(packs),
            view: None,
            mirrors: false,
            refuse: options.refuse_existing,
            filter: Filter::new(&options.include, &options.exclude)?,
            keeps_existing: options.overwrite == Overwrite::Never,
            ledger: Arc::clone(ledger),
            names: HashMap::new(),
            state: RandomState::new(),
            file_bytes: 0,
            proof: Proof { extras: Extras::new(repository.spill_dir()), ..Proof::default() },
        })
    }

    /// Goes on with what the walk found next.
    pub(super) fn after(mut self, batch: Vec<Walked>) -> Self {
        batch.into_iter().for_each(|item| self.take(item));
        self
    }

    fn take(&mut self, item: Walked) {
        match item {
            Walked::Folder(folder) => {
                self.names.entry(key_of(&folder)).or_default();
                if let Some(parent) = folder.parent() {
                    let parent = Arc::clone(parent);
                    self.want(&parent, folder.name(), ListedKind::Directory, 0);
                }
            }
            Walked::Slices { slot, slices, last } => self.take_slices(&slot, &slices, last),
            Walked::Failed { path, error } => self.doubt(path, error),
            Walked::Renamed { is_usual: true, .. } => {}
            Walked::Renamed { path, .. } => {
                self.doubt(path, Error::new(ErrorKind::Corrupt, "no file can have this name"));
            }
            Walked::Listed { folder, whole } => {
                let names = self.names.remove(&key_of(&folder)).unwrap_or_default();
                if let Some(view) = self.view.clone().filter(|_| whole && !folder.is_cut()) {
                    if let Err(e) = self.compare(&view, &folder, names) {
                        self.doubt(folder.path(), e);
                    }
                    view.close_again(&folder.node);
                }
            }
        }
    }

    fn take_slices(&mut self, slot: &Arc<FileSlot>, slices: &[Slice], last: bool) {
        let bytes: u64 = slices.iter().filter_map(|s| s.len).sum();
        let total = slot.object_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        for slice in slices.iter().filter(|slice| slice.len != Some(0)) {
            let there = self.packs.contents.locate(&slice.content);
            if let Err(e) = there.and_then(|location| self.packs.check(&slice.content, &location)) {
                self.doubt(slot.path(), e);
                break;
            }
        }
        if !last {
            return;
        }
        if let Some((error, _)) = slot.take_failure() {
            self.doubt(slot.path(), error);
        } else if total != slot.size && !slot.is_checkpointed() {
            self.doubt(slot.path(), wrong_length(total, slot.size));
        }
        // By the contents, not by what the entry says: a size that lies takes no room.
        let (kind, size) = match slot.kind {
            SlotKind::File => (ListedKind::File, total),
            SlotKind::Symlink => (ListedKind::Symlink, 0),
        };
        self.file_bytes = self.file_bytes.saturating_add(size);
        self.want(&slot.folder, slot.name.as_str(), kind, size);
    }

    /// Takes note of the first doubt.
    fn doubt(&mut self, path: String, error: Error) {
        self.proof.doubt.get_or_insert((path, error));
    }

    fn want(&mut self, folder: &Arc<Folder>, name: &str, kind: ListedKind, size: u64) {
        self.proof.uses_our_names |= name.starts_with(".rekopia-old-");
        let Some(names) = self.names.get_mut(&key_of(folder)) else { return };
        names.wanted.push((self.state.hash_one(name.as_bytes()) & !KIND | kind as u64, size));
        if let Some(key) = folding::other_key(name) {
            names.folded.push(self.state.hash_one(key.as_bytes()) & !KIND);
        }
    }

    /// Compares a directory of the snapshot with what the target lists there.
    fn compare(&mut self, view: &Arc<Sink>, folder: &Arc<Folder>, mut names: Names) -> Result<()> {
        names.wanted.sort_unstable();
        names.folded.sort_unstable();
        let wanted_bytes: u64 = names.wanted.iter().map(|(_, size)| size).sum();
        let mut found_bytes = 0;
        let mut trouble = None;
        let listing = view.list(&folder.node, |listed| {
            self.proof.extras.deletion.of += 1;
            let hash = self.state.hash_one(listed.name.to_bytes()) & !KIND;
            match names.find(hash) {
                Some((wanted, size)) => {
                    found_bytes += size;
                    if self.refuses(wanted) {
                        let path = folder.path_of(&listed.name.to_string_lossy());
                        self.proof.refusal.get_or_insert(path);
                    }
                    if !self.mirrors {
                        return Ok(());
                    }
                    if let Err(e) = self.in_the_way(view, folder, wanted, &listed) {
                        trouble = Some(e);
                    }
                }
                None if !self.mirrors => {}
                None => {
                    if let Err(e) = self.extra(view, folder, &names, &listed) {
                        trouble = Some(e);
                    }
                }
            }
            Ok(())
        })?;
        if listing != Listing::Elsewhere {
            self.proof.absent_bytes += wanted_bytes.saturating_sub(found_bytes);
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Returns the hash of what file systems that fold names may take a name for.
    fn key_hash(&self, name: &str) -> u64 {
        let key = folding::other_key(name);
        self.state.hash_one(key.as_deref().unwrap_or(name).as_bytes()) & !KIND
    }

    /// Whether nothing may exist where an entry of this kind is wanted.
    fn refuses(&self, wanted: u64) -> bool {
        match wanted {
            DIRECTORY => self.refuse.directories,
            FILE => self.refuse.files,
            _ => self.refuse.symlinks,
        }
    }

    /// Counts an entry that is to be moved aside.
    fn in_the_way(
        &mut self,
        view: &Arc<Sink>,
        folder: &Arc<Folder>,
        wanted: u64,
        listed: &Listed<'_>,
    ) -> Result<()> {
        let stays = matches!(
            (wanted, listed.kind),
            (_, ListedKind::Symlink) | (DIRECTORY, ListedKind::Directory) | (FILE, ListedKind::File)
        );
        if stays || self.keeps_existing || listed.is_protected {
            return Ok(());
        }
        let seen = view.survey(&folder.node, listed.name, &mut |_, _| ())?;
        self.proof.extras.deletion.of += seen.entries.saturating_sub(1);
        if seen.mount.is_none() && seen.protected.is_none() {
            let path = folder.path_of(&listed.name.to_string_lossy());
            self.proof.extras.count(path, listed.kind == ListedKind::Directory, seen.entries);
            self.proof.freed_bytes += seen.bytes;
        }
        Ok(())
    }

    /// Takes note of an entry that the snapshot does not have.
    fn extra(
        &mut self,
        view: &Arc<Sink>,
        folder: &Arc<Folder>,
        names: &Names,
        listed: &Listed<'_>,
    ) -> Result<()> {
        let ledger = &self.ledger;
        let path = folder.path_of(&listed.name.to_string_lossy());
        if listed.is_protected {
            ledger.protect(&path);
            return Ok(());
        }
        if listed.name.to_str().is_ok_and(|name| names.may_be(self.key_hash(name)))
            && view.folds(&folder.node, listed.name)
        {
            ledger.warn(format!("{path} stays: on this file system it is a name that the snapshot has"));
            return Ok(());
        }
        let is_dir = listed.kind == ListedKind::Directory;
        let filters = !self.filter.is_empty();
        let mut below: Vec<(Vec<u8>, bool)> = Vec::new();
        let seen = view.survey(&folder.node, listed.name, &mut |path, is_dir| {
            if filters {
                below.push((path.to_owned(), is_dir));
            }
        })?;
        self.proof.extras.deletion.of += seen.entries.saturating_sub(1);
        if let Some(mount) = seen.mount {
            let mount = folder.path_of(&String::from_utf8_lossy(&mount));
            ledger.warn(format!("{path} stays: something is mounted at {mount}"));
            return Ok(());
        }
        let own = u64::from(seen.protected.is_some());
        if let Some(protected) = seen.protected {
            ledger.protect(&folder.path_of(&String::from_utf8_lossy(&protected)));
        }
        let root = folder.path().into_bytes();
        if !filters {
            self.proof.extras.push(&root, listed.name);
            self.proof.extras.count(path, is_dir, seen.entries.saturating_sub(own));
            self.proof.freed_bytes += seen.bytes;
            return Ok(());
        }
        for (path, entries) in taken(&self.filter, &root, below) {
            let cut = path.iter().rposition(|byte| *byte == b'/');
            let (dir, name) = cut.map_or((&[][..], &path[..]), |at| (&path[..at], &path[at + 1..]));
            if let Ok(name) = CString::new(name) {
                self.proof.extras.push(dir, &name);
                self.proof.extras.count(String::from_utf8_lossy(&path).into_owned(), entries > 1, entries);
            }
        }
        Ok(())
    }
}

/// Returns the key of a directory that is being walked: its address.
fn key_of(folder: &Arc<Folder>) -> usize {
    Arc::as_ptr(folder) as usize
}

const DIRECTORY: u64 = ListedKind::Directory as u64;
const FILE: u64 = ListedKind::File as u64;

impl Names {
    /// Returns the kind and bytes of the wanted name with this hash.
    fn find(&self, hash: u64) -> Option<(u64, u64)> {
        let at = self.wanted.partition_point(|(wanted, _)| *wanted < hash);
        self.wanted
            .get(at)
            .filter(|(wanted, _)| wanted & !KIND == hash)
            .map(|(wanted, size)| (wanted & KIND, *size))
    }

    /// Whether a wanted name has this key.
    fn may_be(&self, key: u64) -> bool {
        self.find(key).is_some() || self.folded.binary_search(&key).is_ok()
    }
}

/// Returns the highest entries at and below an extra that go whole: the filter takes all that is in them. With how many
/// entries each counts for; paths are from the root.
fn taken(filter: &Filter, root: &[u8], below: Vec<(Vec<u8>, bool)>) -> Vec<(Vec<u8>, u64)> {
    let full = |path: &[u8]| {
        let slash: &[u8] = if root.is_empty() { b"" } else { b"/" };
        [root, slash, path].concat()
    };
    // Entries come before those below them: from the end, each knows whether all in it goes.
    let mut goes: HashMap<Vec<u8>, (bool, u64, u64)> = HashMap::new();
    for (path, is_dir) in below.iter().rev() {
        let shown = String::from_utf8_lossy(&full(path)).into_owned();
        let (all_below, has, entries) = goes.get(path).copied().unwrap_or((true, 0, 0));
        let own = match is_dir {
            true => all_below && (has > 0 && filter.admits(&shown, true) || filter.takes(&shown, true)),
            false => filter.takes(&shown, false),
        };
        goes.insert(path.clone(), (own, has, entries + 1));
        if let Some(at) = path.iter().rposition(|byte| *byte == b'/') {
            let above = goes.entry(path[..at].to_vec()).or_insert((true, 0, 0));
            *above = (above.0 && own, above.1 + 1, above.2 + entries + 1);
        }
    }
    let goes_whole = |path: &[u8]| goes.get(path).is_some_and(|(own, ..)| *own);
    let highest = below.into_iter().filter(|(path, _)| {
        let above = path.iter().rposition(|byte| *byte == b'/').map(|at| &path[..at]);
        goes_whole(path) && !above.is_some_and(goes_whole)
    });
    highest.map(|(path, _)| (full(&path), goes.get(&path).map_or(1, |(.., entries)| *entries))).collect()
}
