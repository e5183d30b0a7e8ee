//! Finds the trees that damage is in. Walked only where something is damaged: every distinct directory once more.

use std::collections::{HashMap, HashSet};

use rekopia_format::ObjectId;
use rekopia_format::directory::{DirectoryScanner, Entry, EntryKind};

use super::damage::Damage;
use super::gather::{damaged_directory, is_damage};
use super::needed::not_indexed;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::contents::Contents;
use crate::repository::objects::{ObjectReader, SliceReader};
use crate::repository::read_ahead::ReadAhead;

/// Walks trees with damage in them.
pub(crate) struct Affected<'a> {
    contents: &'a Contents,
    damage: &'a Damage,
    ahead: ReadAhead,
    /// Directories in which something is damaged, and what.
    known: HashMap<ObjectId, Below>,
    whole: HashSet<ObjectId>,
}

/// The damage below a directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Below {
    pub(crate) entries: u64,
    /// The first damaged entries, relative to the directory.
    pub(crate) first: Vec<String>,
}

/// An entry that cannot be read, met for the first time.
pub(crate) struct Bad {
    /// The path, relative to the root of the tree in which the entry was met.
    pub(crate) path: String,
    pub(crate) why: Error,
}

/// A directory that is being looked at.
struct Frame {
    object: ObjectId,
    name: String,
    below: Vec<(ObjectId, String)>,
    found: Below,
}

/// The entries of a directory that have to be read to be judged.
#[derive(Default)]
struct Listing {
    directories: Vec<(ObjectId, String)>,
    /// Files of several contents.
    files: Vec<(ObjectId, String)>,
    bad: Vec<(String, Error)>,
}

/// Paths of each directory that are kept.
const FIRST: usize = 20;
/// Directories that are read ahead together, and their plaintext bytes.
const TOGETHER: usize = 64;
const READ_AHEAD: u64 = 16 << 20;

impl<'a> Affected<'a> {
    pub(crate) fn new(contents: &'a Contents, damage: &'a Damage) -> Self {
        Affected {
            contents,
            damage,
            ahead: ReadAhead::default(),
            known: HashMap::new(),
            whole: HashSet::new(),
        }
    }

    /// Finds what is damaged in the tree `root`; calls `new` for entries of directories that no tree before had.
    ///
    /// # Errors
    /// Those of the index.
    pub(crate) async fn look(&mut self, root: &Entry, mut new: impl FnMut(Bad)) -> Result<Below> {
        let mut listing = Listing::default();
        self.sort_in(root, String::new(), &mut listing)?;
        let (mut found, mut stack) = (Below::default(), Vec::new());
        // The root is an entry of a directory that has no name.
        for (path, why) in self.bad_of(&mut listing).await? {
            found.note(&path);
            new(Bad { path, why });
        }
        let mut next = listing.directories.pop();
        loop {
            if let Some((object, name)) = next.take() {
                match self.known.get(&object).cloned() {
                    Some(below) => top(&mut stack, &mut found).add(&name, below),
                    None if self.whole.contains(&object) => {}
                    None => {
                        let frame = self.look_into(object, name, &stack, &mut new).await?;
                        stack.push(frame);
                    }
                }
            }
            let Some(frame) = stack.last_mut() else { return Ok(found) };
            next = frame.below.pop();
            if next.is_none()
                && let Some(done) = stack.pop()
            {
                if done.found.entries == 0 {
                    self.whole.insert(done.object);
                } else {
                    self.known.insert(done.object, done.found.clone());
                    top(&mut stack, &mut found).add(&done.name, done.found);
                }
            }
        }
    }

    async fn look_into(
        &mut self,
        object: ObjectId,
        name: String,
        stack: &[Frame],
        new: &mut impl FnMut(Bad),
    ) -> Result<Frame> {
        let mut frame = Frame { object, name, below: Vec::new(), found: Below::default() };
        let mut listing = Listing::default();
        match self.read(&object, &mut listing).await {
            Ok(()) => {}
            Err(e) if is_damage(&e) => {
                // The directory counts as one entry, by its own path; what of it could be read is not looked at.
                listing = Listing { bad: vec![(String::new(), e)], ..Listing::default() };
            }
            Err(e) => return Err(e),
        }
        let names = stack.iter().map(|above| above.name.as_str()).chain([frame.name.as_str()]);
        let path = joined(&Vec::from_iter(names));
        for (name, why) in self.bad_of(&mut listing).await? {
            frame.found.note(&name);
            new(Bad { path: joined(&[&path, &name]), why });
        }
        frame.below = listing.directories;
        let objects = frame.below.iter().rev().take(TOGETHER).filter(|(object, _)| {
            object.indirection() == 0 && !self.known.contains_key(object) && !self.whole.contains(object)
        });
        let ids: Vec<_> = objects.map(|(object, _)| *object.content()).collect();
        self.ahead.fill(self.contents, ids.into_iter(), READ_AHEAD).await;
        Ok(frame)
    }

    async fn bad_of(&mut self, listing: &mut Listing) -> Result<Vec<(String, Error)>> {
        let mut bad = std::mem::take(&mut listing.bad);
        for (object, name) in std::mem::take(&mut listing.files) {
            if let Some(why) = self.file(&object).await? {
                bad.push((name, why));
            }
        }
        Ok(bad)
    }

    async fn read(&mut self, object: &ObjectId, listing: &mut Listing) -> Result<()> {
        if let Some(why) = self.of_single(object)? {
            return Err(why);
        }
        let (mut reader, mut scanner) = (ObjectReader::new(object, None), DirectoryScanner::new());
        while let Some(chunk) = reader.next(self.contents, &mut self.ahead).await? {
            let mut entries = Vec::new();
            scanner.push(&chunk, |entry| entries.push(entry)).map_err(damaged_directory)?;
            for entry in entries {
                match entry {
                    Ok(entry) => {
                        let name = match &entry.name {
                            Ok(name) => name.as_str().to_owned(),
                            Err(bad) => bad.raw.to_string(),
                        };
                        self.sort_in(&entry, name, listing)?;
                    }
                    Err(e) => {
                        let name =
                            e.name.clone().unwrap_or_else(|| "(an entry without a usable name)".into());
                        listing.bad.push((name, Error::new(ErrorKind::Corrupt, e.to_string())));
                    }
                }
            }
        }
        scanner.finish().map_err(damaged_directory).map(drop)
    }

    /// Takes note of an entry: it is bad, or has to be looked into, or neither.
    fn sort_in(&self, entry: &Entry, name: String, listing: &mut Listing) -> Result<()> {
        let corrupt = |what: &str| Error::new(ErrorKind::Corrupt, what);
        let is_directory = entry.kind == EntryKind::Directory;
        match (&entry.kind, entry.object) {
            (EntryKind::Unknown(_), _) => listing.bad.push((name, corrupt("unknown kind of entry"))),
            (_, None) => listing.bad.push((name, corrupt("the entry has no object"))),
            (_, Some(object)) if is_directory => listing.directories.push((object, name)),
            (_, Some(object)) if object.indirection() > 0 => listing.files.push((object, name)),
            (_, Some(object)) if object.is_compressed() && entry.size == 0 => {}
            (_, Some(object)) => listing.bad.extend(self.of_single(&object)?.map(|why| (name, why))),
        }
        Ok(())
    }

    /// Returns why an object of one content cannot be read; of another, whether it was found damaged as a whole.
    fn of_single(&self, object: &ObjectId) -> Result<Option<Error>> {
        if let Some(why) = self.damage.of_object(object) {
            return Ok(Some(why));
        }
        let content = object.content();
        Ok(match self.contents.index.place(content)? {
            None => Some(not_indexed(content)),
            Some((number, _)) => self.damage.of_content(number, content),
        })
    }

    /// Returns why a file of several contents cannot be read.
    async fn file(&mut self, object: &ObjectId) -> Result<Option<Error>> {
        if let Some(why) = self.of_single(object)? {
            return Ok(Some(why));
        }
        let (contents, damage) = (self.contents, self.damage);
        let mut reader = SliceReader::new(object, None);
        loop {
            let slices = match reader.next(contents, &mut self.ahead, 4096).await {
                Ok(slices) if slices.is_empty() => return Ok(None),
                Ok(slices) => slices,
                Err(e) if is_damage(&e) => return Ok(Some(e)),
                Err(e) => return Err(e),
            };
            for slice in slices.iter().filter(|slice| slice.len != Some(0)) {
                let content = &slice.content;
                let why = match contents.index.place(content)? {
                    None => Some(not_indexed(content)),
                    Some((number, _)) => damage.of_content(number, content),
                };
                if why.is_some() {
                    return Ok(why);
                }
            }
        }
    }
}

impl Below {
    fn note(&mut self, path: &str) {
        self.entries += 1;
        if self.first.len() < FIRST {
            self.first.push(path.to_owned());
        }
    }

    /// Adds what is damaged in a directory of this name.
    fn add(&mut self, name: &str, below: Below) {
        self.entries += below.entries;
        let room = FIRST.saturating_sub(self.first.len());
        self.first.extend(below.first.iter().take(room).map(|path| joined(&[name, path])));
    }
}

/// Returns where what is found is added: the innermost open directory, or the tree itself.
fn top<'b>(stack: &'b mut [Frame], found: &'b mut Below) -> &'b mut Below {
    match stack.last_mut() {
        Some(frame) => &mut frame.found,
        None => found,
    }
}

fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}
