//! Gathers what the trees of a set need. Every distinct directory is read once, however many snapshots share it.
//!
//! ```text
//! roots ──► wave of directories and seek tables ──sort by pack──► rounds of reads ──► entries
//!               ▲                                                                       │
//!               └────────── directories and tables that nobody has seen ◄───────────────┘
//! ```
//!
//! A wave is a level of all trees at once, in the order of the packs. What was seen is a bit for each content of the index;
//! what does not fit into a wave is a bit, too. The keyed hash of everything that is read here is compared, so that no
//! directory can contain itself.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use futures::StreamExt;
use rekopia_format::directory::{DirectoryScanner, Entry, EntryKind};
use rekopia_format::object::SeekTableScanner;
use rekopia_format::{ContentId, ObjectId};

use super::bits::Bits;
use super::damage::Damage;
use super::needed::{Needed, not_indexed};
use crate::error::{Error, ErrorKind, Result};
use crate::observer::Cancel;
use crate::repository::contents::Contents;
use crate::repository::index::PackIdx;
use crate::repository::objects::{ObjectReader, Slice, SliceReader};
use crate::repository::read_ahead::ReadAhead;
use crate::restore::ledger::Ledger;

/// The contents that the trees need, and what is wrong with the trees.
pub(crate) struct Gathered {
    pub(crate) needed: Needed,
    pub(crate) damage: Damage,
}

/// The walk through all trees.
pub(crate) struct Gather<'a> {
    contents: &'a Contents,
    ledger: &'a Ledger,
    needed: Needed,
    damage: Damage,
    directories: Seen,
    tables: Seen,
    /// The contents that the next wave reads.
    wave: Vec<Item>,
    /// Objects of several contents, or compressed as a whole.
    odd: Vec<(ObjectId, What)>,
    odd_seen: HashSet<(ObjectId, What)>,
}

/// Contents that were met, and those of them for which the wave had no room.
struct Seen {
    all: Bits,
    later: Bits,
}

/// The purpose for which an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Directory,
    File,
    /// The list of contents of a file, in one content.
    Table,
}

/// A content that the next wave reads.
#[derive(Clone, Copy)]
struct Item {
    place: (PackIdx, u32),
    number: u32,
    id: ContentId,
    what: What,
    len: u32,
}

/// Contents of a wave at most; the rest of a level waits as bits.
const WAVE: usize = 1 << 16;
/// Plaintext bytes and contents of one round of reads; two are under way.
const ROUND_BYTES: u64 = 4 << 20;
const ROUND: usize = 512;

impl<'a> Gather<'a> {
    pub(crate) fn new(contents: &'a Contents, ledger: &'a Ledger) -> Self {
        let len = contents.index.len();
        let seen = || Seen { all: Bits::new(len), later: Bits::new(len) };
        Gather {
            contents,
            ledger,
            needed: Needed::new(len),
            damage: Damage::new(len),
            directories: seen(),
            tables: seen(),
            wave: Vec::new(),
            odd: Vec::new(),
            odd_seen: HashSet::new(),
        }
    }

    /// Walks everything below (and including) `roots`; `None` when it was to stop.
    ///
    /// # Errors
    /// Those of the index; what the storage does not give is damage.
    pub(crate) async fn run(
        mut self,
        roots: impl Iterator<Item = &Entry>,
        cancel: &Cancel,
    ) -> Result<Option<Gathered>> {
        for root in roots {
            self.entry(root)?;
        }
        loop {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            self.refill()?;
            if self.wave.is_empty() && self.odd.is_empty() {
                return Ok(Some(Gathered { needed: self.needed, damage: self.damage }));
            }
            let reading = async {
                self.read_wave().await?;
                self.read_odd().await
            };
            let Some(read) = cancel.run_until_cancelled(reading).await else { return Ok(None) };
            read?;
        }
    }

    /// Takes contents into an empty wave that did not fit into an earlier one.
    fn refill(&mut self) -> Result<()> {
        let (directories, tables) = (&self.directories.later, &self.tables.later);
        if !self.wave.is_empty() || directories.count() + tables.count() == 0 {
            return Ok(());
        }
        let wave = &mut self.wave;
        self.contents.index.each(
            |number| directories.has(number) || tables.has(number),
            |number, id, location| {
                let whats = [(directories, What::Directory), (tables, What::Table)];
                for (_, what) in whats.into_iter().filter(|(later, _)| later.has(number)) {
                    let (place, len) = ((location.pack, location.offset), location.packed.original_len);
                    // A few more than fit belong to a content that is both.
                    if wave.len() < WAVE {
                        wave.push(Item { place, number, id, what, len });
                    }
                }
            },
        )?;
        for item in &self.wave {
            match item.what {
                What::Table => self.tables.later.clear(item.number),
                _ => self.directories.later.clear(item.number),
            };
        }
        Ok(())
    }

    async fn read_wave(&mut self) -> Result<()> {
        let mut wave = std::mem::take(&mut self.wave);
        wave.sort_unstable_by_key(|item| item.place);
        let contents = self.contents;
        let read = |round: Vec<Item>| async move {
            let ids: Vec<ContentId> = round.iter().map(|item| item.id).collect();
            let read = contents.read_round(&ids).await;
            (round, read)
        };
        let mut rounds = futures::stream::iter(rounds(wave)).map(read).buffered(2);
        while let Some((round, read)) = rounds.next().await {
            self.take_round(&round, &read)?;
        }
        Ok(())
    }

    fn take_round(&mut self, round: &[Item], read: &HashMap<ContentId, Result<Vec<u8>>>) -> Result<()> {
        for item in round {
            let taken = match read.get(&item.id) {
                Some(Ok(plain)) if item.what == What::Table => self.table(plain),
                Some(Ok(plain)) => self.directory(plain),
                Some(Err(e)) => Err(e.again()),
                None => Err(Error::internal("a content got lost")),
            };
            self.note(taken, |damage, e| damage.content(item.number, e.of_content(&item.id)))?;
        }
        Ok(())
    }

    /// Notes damage; other errors end the walk.
    fn note(&mut self, taken: Result<()>, note: impl FnOnce(&mut Damage, Error)) -> Result<()> {
        match taken {
            Err(e) if is_damage(&e) => {
                Ledger::add(&self.ledger.failed, 1);
                note(&mut self.damage, e);
                Ok(())
            }
            other => other,
        }
    }

    /// Takes the entries of a directory.
    fn directory(&mut self, plain: &[u8]) -> Result<()> {
        let mut entries = Vec::new();
        let mut scanner = DirectoryScanner::new();
        scanner.push(plain, |entry| entries.push(entry.ok())).map_err(damaged_directory)?;
        scanner.finish().map_err(damaged_directory)?;
        self.entries(&mut entries)?;
        self.end_directory();
        Ok(())
    }

    fn end_directory(&mut self) {
        self.needed.directories += 1;
        self.ledger.directories.store(self.needed.directories, Ordering::Relaxed);
    }

    fn entries(&mut self, entries: &mut Vec<Option<Entry>>) -> Result<()> {
        for entry in entries.drain(..) {
            match entry {
                Some(entry) => {
                    let taken = self.entry(&entry);
                    self.note(taken, |damage, _| damage.entry())?;
                }
                None => self.damage.entry(),
            }
        }
        Ok(())
    }

    /// Takes note of what an entry needs.
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.needed.odd_names += u64::from(entry.name.is_err());
        let is_directory = match entry.kind {
            EntryKind::Directory => true,
            EntryKind::File => {
                self.needed.files += 1;
                false
            }
            EntryKind::Symlink => {
                self.needed.symlinks += 1;
                false
            }
            EntryKind::Unknown(_) => return Err(Error::new(ErrorKind::Corrupt, "unknown kind of entry")),
        };
        let Some(object) = entry.object else {
            return Err(Error::new(ErrorKind::Corrupt, "the entry has no object"));
        };
        match (is_directory, object.indirection(), object.is_compressed()) {
            (true, 0, false) => self.want(object.content(), What::Directory),
            (true, ..) => {
                self.want_odd(object, What::Directory);
                Ok(())
            }
            (false, 0, compressed) => {
                let len = compressed.then_some(entry.size);
                let slice = Slice { content: *object.content(), compressed, start: 0, len };
                self.needed.want(&self.contents.index, &slice)
            }
            (false, 1, false) => self.want(object.content(), What::Table),
            (false, ..) => {
                self.want_odd(object, What::File);
                Ok(())
            }
        }
    }

    /// Puts a content into the wave, unless it was met before for this purpose.
    fn want(&mut self, id: &ContentId, what: What) -> Result<()> {
        let Some((number, location)) = self.contents.index.place(id)? else { return Err(not_indexed(id)) };
        let seen = if what == What::Table { &mut self.tables } else { &mut self.directories };
        if !seen.all.set(number) {
            return Ok(());
        }
        if self.wave.len() < WAVE {
            let (place, len) = ((location.pack, location.offset), location.packed.original_len);
            self.wave.push(Item { place, number, id: *id, what, len });
        } else {
            seen.later.set(number);
        }
        Ok(())
    }

    fn want_odd(&mut self, object: ObjectId, what: What) {
        if self.odd_seen.insert((object, what)) {
            self.odd.push((object, what));
        }
    }

    /// Takes the list of contents of a file.
    fn table(&mut self, plain: &[u8]) -> Result<()> {
        let what = "the list of contents of an object is damaged";
        let damaged = |e| Error::new(ErrorKind::Corrupt, what).because(e);
        let mut parts = Vec::new();
        let mut scanner = SeekTableScanner::new();
        scanner.push(plain, |part| parts.push(part)).map_err(damaged)?;
        scanner.finish().map_err(damaged)?;
        // What follows a part that is missing is needed all the same.
        let mut first_wrong = Ok(());
        for part in parts {
            let (object, len) = (part.object, Some(part.len));
            if object.indirection() > 0 {
                self.want_odd(object, What::File);
                continue;
            }
            let compressed = object.is_compressed();
            let slice = Slice { content: *object.content(), compressed, start: part.start, len };
            first_wrong = first_wrong.and(self.needed.want(&self.contents.index, &slice));
        }
        first_wrong
    }

    async fn read_odd(&mut self) -> Result<()> {
        for (object, what) in std::mem::take(&mut self.odd) {
            let taken = match what {
                What::Directory => self.odd_directory(&object).await,
                _ => self.odd_file(&object).await,
            };
            self.note(taken, |damage, e| damage.object(object, e))?;
        }
        Ok(())
    }

    async fn odd_directory(&mut self, object: &ObjectId) -> Result<()> {
        let (mut reader, mut ahead) = (ObjectReader::new(object, None), ReadAhead::default());
        let (mut scanner, mut entries) = (DirectoryScanner::new(), Vec::new());
        while let Some(chunk) = reader.next(self.contents, &mut ahead).await? {
            scanner.push(&chunk, |entry| entries.push(entry.ok())).map_err(damaged_directory)?;
            self.entries(&mut entries)?;
        }
        scanner.finish().map_err(damaged_directory)?;
        self.end_directory();
        Ok(())
    }

    async fn odd_file(&mut self, object: &ObjectId) -> Result<()> {
        let (mut reader, mut ahead) = (SliceReader::new(object, None), ReadAhead::default());
        let mut first_wrong = Ok(());
        loop {
            let slices = reader.next(self.contents, &mut ahead, 4096).await?;
            if slices.is_empty() {
                return first_wrong;
            }
            for slice in &slices {
                first_wrong = first_wrong.and(self.needed.want(&self.contents.index, slice));
            }
        }
    }
}

/// Whether an error says that something cannot be read, and not that nothing works.
pub(crate) fn is_damage(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Storage | ErrorKind::Archived)
}

pub(crate) fn damaged_directory(e: rekopia_format::directory::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the directory is damaged").because(e)
}

/// Cuts a wave into rounds.
fn rounds(wave: Vec<Item>) -> Vec<Vec<Item>> {
    let mut rounds: Vec<Vec<Item>> = Vec::new();
    let mut bytes = 0;
    for item in wave {
        bytes += u64::from(item.len);
        match rounds.last_mut().filter(|round| round.len() < ROUND && bytes <= ROUND_BYTES) {
            Some(round) => round.push(item),
            None => {
                bytes = u64::from(item.len);
                rounds.push(vec![item]);
            }
        }
    }
    rounds
}
