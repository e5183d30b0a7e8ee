//! Finds out whether every tree is there: each directory is looked at once, however many snapshots share it.

use std::collections::{HashMap, HashSet};

use rekopia_blob::BlobErrorKind;
use rekopia_format::ObjectId;
use rekopia_format::directory::{Entry, EntryKind};

use super::listed_packs::ListedPacks;
use super::objects::read_directory;
use super::read_ahead::ReadAhead;
use crate::error::{Error, ErrorKind, Result};

/// The first thing that is missing in a tree.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    /// The path of the missing thing, relative to the root; empty: the root itself.
    pub(crate) path: String,
    pub(crate) why: String,
    /// Whether the storage refuses to give it: nothing is known to be lost.
    pub(crate) is_denied: bool,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", shown(&self.path), self.why)
    }
}

impl Missing {
    /// Makes an answer of a failed read; errors that say nothing about the tree end the walk.
    fn of(path: &str, e: Error) -> Result<Self> {
        match e.kind() {
            ErrorKind::Corrupt | ErrorKind::Storage => Ok(Missing {
                path: path.to_owned(),
                why: e.chain(),
                is_denied: e.is_from_storage(BlobErrorKind::Denied),
            }),
            _ => Err(e),
        }
    }

    /// Makes the answer for a snapshot that has no root.
    pub(crate) fn of_no_root() -> Self {
        Missing::new("", "the snapshot has none")
    }

    fn new(path: &str, why: &str) -> Self {
        Missing { path: path.to_owned(), why: why.to_owned(), is_denied: false }
    }
}

/// The trees that were looked at so far.
pub(crate) struct Trees<'a> {
    packs: &'a ListedPacks,
    ahead: ReadAhead,
    /// Directories that were looked at, with the first thing that is missing below them.
    known: HashMap<ObjectId, Option<Missing>>,
}

/// A directory that is being looked at.
struct Frame {
    object: ObjectId,
    path: String,
    below: Vec<(ObjectId, String)>,
    missing: Option<Missing>,
}

/// Plaintext bytes of directories that are read ahead.
const READ_AHEAD: u64 = 16 << 20;
/// Directories that are read ahead together.
const TOGETHER: usize = 64;

impl<'a> Trees<'a> {
    pub(crate) fn new(packs: &'a ListedPacks) -> Self {
        Trees { packs, ahead: ReadAhead::default(), known: HashMap::new() }
    }

    /// Returns the first thing that is missing in the tree `root`; `None` when all of it is there.
    ///
    /// # Errors
    /// On a defect of ours: what the storage does not give is missing, too.
    pub(crate) async fn missing(&mut self, root: &Entry) -> Result<Option<Missing>> {
        let Some(object) = root.object else { return Ok(Some(Missing::new("", "it has no object"))) };
        if root.kind != EntryKind::Directory {
            return self.missing_in_file(root, "").await;
        }
        let mut open: HashSet<ObjectId> = HashSet::new();
        let mut stack: Vec<Frame> = Vec::new();
        let mut next = Some((object, String::new()));
        loop {
            if let Some((object, path)) = next.take() {
                let known = match open.contains(&object) {
                    true => Some(Some(Missing::new(&path, "a directory that is inside itself"))),
                    false => self.known.get(&object).cloned(),
                };
                match known {
                    Some(missing) => note(&mut stack, missing),
                    None => {
                        open.insert(object);
                        stack.push(self.look_into(object, path).await?);
                    }
                }
            }
            let Some(frame) = stack.last_mut() else { break };
            next = frame.below.pop();
            if next.is_none()
                && let Some(done) = stack.pop()
            {
                open.remove(&done.object);
                self.known.insert(done.object, done.missing.clone());
                note(&mut stack, done.missing);
            }
        }
        Ok(self.known.get(&object).cloned().flatten())
    }

    async fn look_into(&mut self, object: ObjectId, path: String) -> Result<Frame> {
        let mut frame = Frame { object, path, below: Vec::new(), missing: None };
        let mut entries = Vec::new();
        let contents = &self.packs.contents;
        match read_directory(contents, &mut self.ahead, &object, |entry| entries.push(entry)).await {
            Ok(()) => {}
            Err(e) => {
                frame.missing = Some(Missing::of(&frame.path, e)?);
                return Ok(frame);
            }
        }
        for entry in entries {
            let name = entry.name.as_ref().map_or("?", |name| name.as_str());
            let path = if frame.path.is_empty() { name.to_owned() } else { format!("{}/{name}", frame.path) };
            match (&entry.kind, entry.object) {
                (EntryKind::Directory, Some(object)) => frame.below.push((object, path)),
                _ => {
                    if let Some(missing) = self.missing_in_file(&entry, &path).await? {
                        frame.missing.get_or_insert(missing);
                    }
                }
            }
        }
        let ids = frame.below.iter().rev().take(TOGETHER).filter(|(id, _)| !self.known.contains_key(id));
        let ids: Vec<_> = ids.filter(|(id, _)| id.indirection() == 0).map(|(id, _)| *id.content()).collect();
        self.ahead.fill(&self.packs.contents, ids.into_iter(), READ_AHEAD).await;
        Ok(frame)
    }

    async fn missing_in_file(&mut self, entry: &Entry, path: &str) -> Result<Option<Missing>> {
        let Some(object) = &entry.object else {
            let needs_one = matches!(entry.kind, EntryKind::File | EntryKind::Directory);
            return Ok(needs_one.then(|| Missing::new(path, "it has no object")));
        };
        match self.packs.check_object(object, &mut self.ahead).await {
            Ok(()) => Ok(None),
            Err(e) => Missing::of(path, e).map(Some),
        }
    }
}

/// Notes something missing in a directory for the one above.
fn note(stack: &mut [Frame], missing: Option<Missing>) {
    if let (Some(frame), Some(missing)) = (stack.last_mut(), missing) {
        frame.missing.get_or_insert(missing);
    }
}

fn shown(path: &str) -> std::borrow::Cow<'_, str> {
    if path.is_empty() { "the root".into() } else { crate::error::shown(path) }
}
