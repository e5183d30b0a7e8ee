//! Finds what a reference names: exactly what is listed first, then what its parts may mean.

use std::sync::Arc;

use rekopia_format::ObjectId;
use rekopia_format::directory::{Entry, EntryKind};
use rekopia_format::entry_name::EntryName;
use rekopia_format::snapshot::{Snapshot, Source};

use super::Repository;
use super::near::{alike, below, listed_as, longest_parent, no_such_id, no_such_source};
use super::objects::read_directory;
use super::read_ahead::ReadAhead;
use super::reference::{Reference, Resolved, RootReference};
use super::snapshots::{Selection, Snapshots};
use crate::error::{Error, ErrorKind, Result};
use crate::hint::Hint;

impl Repository {
    /// Finds what `reference` names.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with near misses, [`ErrorKind::Usage`] when it is ambiguous,
    /// [`ErrorKind::Corrupt`] when a directory on the way cannot be read.
    pub async fn resolve(&self, reference: &Reference, selection: &Selection) -> Result<Resolved> {
        let mut sub_path = reference.sub_path.clone();
        let mut notes = Vec::new();
        let snapshots = self.snapshots_for(&reference.root, &mut notes).await?;
        let listed = listed_as(&snapshots, &reference.text)?;
        let by_id = listed.is_none() && matches!(reference.root, RootReference::Id(_));
        let found = match listed {
            Some((source, rest)) => {
                sub_path = rest;
                self.chosen(&snapshots, &source, selection, &mut notes).await
            }
            None => self.root_of(&snapshots, &reference.root, selection, &mut sub_path, &mut notes).await,
        };
        let (root, snapshot) = match (found, by_id) {
            // What is named by its ID is what it is, whatever else there may be.
            (Ok(found), true) => found,
            (Err(e), true) if e.kind() == ErrorKind::NotFound => {
                return Err(self.beyond(snapshots.hidden(e), reference).await);
            }
            (Err(e), _) if e.kind() == ErrorKind::Usage => return Err(e),
            (found, false) => {
                let newest = found.as_ref().ok().and_then(|(_, snapshot)| snapshot.as_ref());
                match (snapshots.doubt(newest), found) {
                    (Some(doubt), Ok(found)) if self.salvages => {
                        notes.push(doubt.chain());
                        found
                    }
                    (Some(doubt), _) => return Err(doubt),
                    (None, Ok(found)) => found,
                    (None, Err(e)) if e.kind() == ErrorKind::NotFound => {
                        return Err(self.beyond(e, reference).await);
                    }
                    (None, Err(e)) => return Err(e),
                }
            }
            (Err(e), _) => return Err(e),
        };
        let (root, has_attributes) = match root {
            Root::Entry(entry) => (entry, true),
            Root::Object(entry) => (entry, false),
        };
        let id = snapshot.as_ref().map_or_else(|| root.name_text().to_owned(), |s| s.id.to_string());
        let (entry, walked) = match self.descend(&id, root.clone(), &sub_path).await {
            // After an ID people paste the original path, too.
            Err(e) if by_id && e.kind() == ErrorKind::NotFound => {
                let Some(rest) = original_rest(snapshot.as_ref(), &sub_path) else { return Err(e) };
                let (typed, shown) = (sub_path.join("/"), rest.join("/"));
                notes
                    .push(format!("{typed} is taken for the original path: using {shown:?} in the snapshot"));
                sub_path = rest;
                self.descend(&id, root, &sub_path).await?
            }
            other => other?,
        };
        let has_attributes = has_attributes || walked;
        Ok(Resolved { entry, has_attributes, snapshot, sub_path: sub_path.join("/"), notes })
    }

    /// Returns all snapshots; none where an object is named, which needs no manifest, and they cannot be listed.
    async fn snapshots_for(&self, root: &RootReference, notes: &mut Vec<String>) -> Result<Arc<Snapshots>> {
        match (self.snapshots().await, root) {
            (Err(e), RootReference::Id(id)) if self.has_object(id)? => {
                let why = e.chain();
                notes.push(format!("{id} is taken for an object: snapshots cannot be listed ({why})"));
                Ok(Arc::default())
            }
            (snapshots, _) => snapshots,
        }
    }

    async fn root_of(
        &self,
        snapshots: &Snapshots,
        root: &RootReference,
        selection: &Selection,
        sub_path: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Result<(Root, Option<Snapshot>)> {
        let mut sources: Vec<&Source> = snapshots.by_source().into_keys().collect();
        let source = match root {
            RootReference::Id(id) => return self.root_of_id(snapshots, id).await,
            RootReference::Latest => selection.only(&sources, "sources", "latest", notes)?.clone(),
            RootReference::Identity { user, host } => {
                sources.retain(|s| s.user == *user && s.host == *host);
                let named = format!("{user}@{host}");
                if sources.is_empty() {
                    return Err(no_such_source(snapshots, &named));
                }
                selection.only(&sources, "paths", &named, notes)?.clone()
            }
            RootReference::Path(path) => {
                let longest = sources.iter().filter_map(|s| below(&s.path, path).map(|_| s.path.len())).max();
                sources.retain(|s| below(&s.path, path).is_some() && Some(s.path.len()) == longest);
                if sources.is_empty() {
                    return Err(no_such_source(snapshots, path));
                }
                let source = selection.only(&sources, "identities", path, notes)?;
                *sub_path = below(&source.path, path).unwrap_or_default();
                notes.push(format!("{path} found in {source}"));
                source.clone()
            }
            RootReference::Source(wanted) if snapshots.of_source(wanted).is_empty() => {
                let (parent, rest) = longest_parent(snapshots, wanted)
                    .ok_or_else(|| no_such_source(snapshots, &wanted.to_string()))?;
                notes.push(format!("no source {wanted}: using {} in {parent}", rest.join("/")));
                *sub_path = rest;
                parent
            }
            RootReference::Source(wanted) => wanted.clone(),
        };
        self.chosen(snapshots, &source, selection, notes).await
    }

    /// Chooses the snapshot that is wanted. One that no index leads to is taken only when all of it is there, else the
    /// next older.
    async fn chosen(
        &self,
        snapshots: &Snapshots,
        source: &Source,
        selection: &Selection,
        notes: &mut Vec<String>,
    ) -> Result<(Root, Option<Snapshot>)> {
        let candidates = snapshots.of_source(source);
        let mut selection = selection.clone();
        loop {
            let snapshot = choose(snapshots, source, &selection, &candidates)?;
            let id = &snapshot.id;
            match self.check_salvaged(snapshots, snapshot).await {
                Ok(()) => {
                    if snapshots.is_salvaged(snapshot) {
                        notes.push(format!(
                            "snapshot {id} of {source} is in no index: it was found in its pack"
                        ));
                    }
                    let root = snapshot.root.clone();
                    let root = root.ok_or_else(|| Error::internal("a chosen snapshot has a root"))?;
                    return Ok((Root::Entry(root), Some(snapshot.clone())));
                }
                Err(e) if e.kind() == ErrorKind::Corrupt => {
                    let why = e.chain();
                    notes.push(format!(
                        "snapshot {id} of {source} is in no index and not whole ({why}): it is passed over"
                    ));
                    selection.passed_over.push(id.to_string());
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Whether this is the ID of an object whose contents the index has.
    fn has_object(&self, id: &str) -> Result<bool> {
        match ObjectId::parse(id) {
            Ok(object) => Ok(self.contents().index.find(object.content())?.is_some()),
            Err(_) => Ok(false),
        }
    }

    async fn root_of_id(&self, snapshots: &Snapshots, id: &str) -> Result<(Root, Option<Snapshot>)> {
        let by_id: Vec<&Snapshot> = snapshots
            .all()
            .iter()
            .filter(|s| s.id.as_str() == id || (id.len() >= 8 && s.id.as_str().starts_with(id)))
            .collect();
        if let Some(exact) =
            by_id.iter().find(|s| s.id.as_str() == id).or(by_id.first().filter(|_| by_id.len() == 1))
        {
            let root = Resolved::root_of(exact)?;
            return Ok((Root::Entry(root.entry), root.snapshot));
        }
        if by_id.len() > 1 {
            let names: Vec<&str> = by_id.iter().map(|s| s.id.as_str()).collect();
            return Err(Error::new(ErrorKind::Usage, format!("{id} may be any of {}", names.join(", "))));
        }
        let not_found = || no_such_id(snapshots, id);
        let object = ObjectId::parse(id).map_err(|_| not_found())?;
        // A root object's attributes are in its snapshots; the newest knows best.
        let named =
            snapshots.all().iter().filter(|s| s.root.as_ref().is_some_and(|r| r.object == Some(object)));
        if let Some(snapshot) = named.max_by_key(|s| s.start)
            && let Some(root) = snapshot.root.clone()
        {
            return Ok((Root::Entry(root), Some(snapshot.clone())));
        }
        if !self.has_object(id)? {
            return Err(not_found());
        }
        Ok((Root::Object(self.bare_entry(id, &object).await?), None))
    }

    /// Makes an entry for an object that no directory names: its length is that of its contents, its name its ID.
    async fn bare_entry(&self, id: &str, object: &ObjectId) -> Result<Entry> {
        let (size, prefix) = self.object_len(object).await?;
        let kind = if prefix == b'k' { EntryKind::Directory } else { EntryKind::File };
        let size = if kind == EntryKind::Directory { 0 } else { size };
        Ok(Entry::of_object(EntryName::parse(id), kind, *object, size))
    }

    /// Goes down from the tree `id`; says whether there was anything to go down.
    pub(crate) async fn descend(
        &self,
        id: &str,
        mut entry: Entry,
        names: &[String],
    ) -> Result<(Entry, bool)> {
        let (mut parent, mut so_far) = (id.to_owned(), String::new());
        for (depth, name) in names.iter().enumerate() {
            so_far = format!("{so_far}/{name}");
            if entry.kind != EntryKind::Directory {
                let what = format!("no {so_far}: its parent is not a directory");
                // The ID of the parent, which is a directory.
                let parent = [&[id.to_owned()], &names[..depth.saturating_sub(1)]].concat().join("/");
                return Err(match depth {
                    0 => Error::new(ErrorKind::NotFound, what),
                    _ => Error::not_found(what, Hint::ListDirectory { directory: parent }),
                });
            }
            let mut found = None;
            let mut near = Vec::new();
            self.for_each_entry(&entry, |e| {
                if e.name.as_ref().is_ok_and(|n| n.as_str() == name) {
                    found = Some(e);
                } else if let Ok(n) = &e.name
                    && near.len() < 5
                    && alike(n.as_str(), name)
                {
                    near.push(n.as_str().to_owned());
                }
            })
            .await?;
            entry = found.ok_or_else(|| {
                let hint =
                    if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
                let what = format!("no {so_far} in the snapshot{hint}");
                Error::not_found(what, Hint::ListDirectory { directory: parent.clone() })
            })?;
            parent = format!("{parent}/{name}");
        }
        Ok((entry, !names.is_empty()))
    }

    /// Calls `each` for every entry of a directory, in stored order; unusable entries are skipped.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when its contents cannot be read or are no directory; a storage's errors as they are.
    pub async fn for_each_entry(&self, directory: &Entry, each: impl FnMut(Entry)) -> Result<()> {
        let object = directory
            .object
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a directory without an object"))?;
        read_directory(&self.contents(), &mut ReadAhead::default(), &object, each).await
    }
}

enum Root {
    Entry(Entry),
    Object(Entry),
}

fn choose<'a>(
    snapshots: &Snapshots,
    source: &Source,
    selection: &Selection,
    candidates: &[&'a Snapshot],
) -> Result<&'a Snapshot> {
    selection.choose(candidates).ok_or_else(|| {
        let complete = candidates.iter().filter(|s| s.incomplete.is_none()).count();
        let why = match (selection.as_of, candidates.len(), complete) {
            (_, 0, _) => return no_such_source(snapshots, &source.to_string()),
            _ if !candidates.iter().any(|s| selection.has_tags(s)) => "none has these tags".to_owned(),
            (Some(_), ..) => "none is that old".to_owned(),
            (None, _, 0) => "all are incomplete (--incomplete takes them)".to_owned(),
            (None, _, n) => format!("it has {n} complete"),
        };
        Error::not_found(format!("no such snapshot of {source}: {why}"), Hint::ListSnapshots)
    })
}

impl Selection {
    /// Returns the one source of several; the identity of whoever asks decides where it can.
    fn only<'a>(
        &self,
        sources: &[&'a Source],
        what: &str,
        named: &str,
        notes: &mut Vec<String>,
    ) -> Result<&'a Source> {
        let own =
            |s: &&Source| self.prefer.as_ref().is_some_and(|(user, host)| s.user == *user && s.host == *host);
        let mine: Vec<&Source> = sources.iter().copied().filter(own).collect();
        match (sources, mine.as_slice()) {
            ([one], _) => Ok(one),
            ([], _) => Err(Error::new(ErrorKind::NotFound, "the repository has no snapshots")),
            (many, [one]) => {
                notes.push(format!("{one} is taken, which is yours, of {} {what}", many.len()));
                Ok(one)
            }
            (many, _) => {
                let names: Vec<String> = many.iter().take(10).map(|s| s.to_string()).collect();
                let more = if many.len() > 10 { ", …" } else { "" };
                let what =
                    format!("{named:?} needs one of {} {what}: {}{more}", many.len(), names.join(", "));
                Err(Error::new(ErrorKind::Usage, what))
            }
        }
    }
}

/// Returns what is left of the snapshot's original path, where it was typed after an ID.
fn original_rest(snapshot: Option<&Snapshot>, sub_path: &[String]) -> Option<Vec<String>> {
    let (source, typed) = (&snapshot?.source, sub_path.join("/"));
    below(&source.path, &format!("/{typed}")).or_else(|| below(&source.path, &typed))
}
