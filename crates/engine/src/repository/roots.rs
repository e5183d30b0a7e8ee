//! Finds directory trees that no manifest names, by their structure: directories that are in no other.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use rekopia_format::compression::Decoder;
use rekopia_format::content::decode_object;
use rekopia_format::directory::{DirectoryScanner, Entry, EntryKind};
use rekopia_format::object::SeekTableScanner;
use rekopia_format::{ContentId, ObjectId, Time};

use super::Repository;
use super::contents::Contents;
use super::objects::ObjectReader;
use super::read_ahead::ReadAhead;
use super::snapshots::Snapshots;
use crate::error::{ErrorKind, Result};
use crate::observer::{Event, Observer, Phase, Progress};

/// A directory that is in no other directory, and that no snapshot names: perhaps the root of a snapshot whose manifest is
/// lost, of one that was deleted, or of a backup that did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootCandidate {
    /// The ID by which the directory can be listed and restored.
    pub object: ObjectId,
    /// The newest time of anything in it.
    pub newest: Time,
    /// Number of entries directly in the directory.
    pub entries: u64,
    /// Number of files in and below the directory, as its subdirectories record.
    pub files: u64,
    /// Bytes of the files in and below the directory.
    pub bytes: u64,
}

/// Contents that are read in one round.
const ROUND: usize = 256;
/// The largest plaintext of a directory's content.
const LONGEST: usize = 1 << 28;
/// Levels of seek tables of a directory; real ones have one.
const MAX_INDIRECTION: usize = 3;

/// The directories that the contents hold.
#[derive(Default)]
struct Found {
    directories: Vec<RootCandidate>,
    /// Directories that others hold.
    inside: HashSet<ObjectId>,
    tables: Vec<ContentId>,
}

impl Repository {
    /// Finds directories that are in no other one and that none of `snapshots` names; newest first. Reads all metadata.
    ///
    /// # Errors
    /// On a defect of ours. What cannot be read is passed over.
    pub async fn root_candidates(
        &self,
        snapshots: &Snapshots,
        observer: Arc<dyn Observer>,
    ) -> Result<Vec<RootCandidate>> {
        observer.event(Event::Phase { phase: Phase::Scanning });
        let contents = self.contents();
        let ids = contents.index.directory_contents()?;
        let mut found = Found::default();
        let mut progress = Progress { total_entries: ids.len() as u64, ..Progress::default() };
        for round in ids.chunks(ROUND) {
            for (id, result) in contents.read_round(round).await {
                match result {
                    Ok(plain) => found.take(full_id(&contents, &id, &plain), &plain),
                    Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Storage) => {}
                    Err(e) => return Err(e),
                }
            }
            progress.entries += round.len() as u64;
            observer.event(Event::Progress(progress));
        }
        for table in std::mem::take(&mut found.tables) {
            found.take_indirect(&contents, table).await?;
        }
        let roots = snapshots.all().iter().filter_map(|s| s.root.as_ref()?.object);
        found.inside.extend(roots);
        let mut candidates = found.directories;
        candidates.retain(|candidate| !found.inside.contains(&candidate.object));
        candidates.sort_by_key(|candidate| Reverse((candidate.newest, candidate.object)));
        Ok(candidates)
    }
}

/// Returns the whole ID of a content: the index keeps only its last bytes, the hash of what it names is all of it.
fn full_id(contents: &Contents, id: &ContentId, plain: &[u8]) -> ContentId {
    ContentId::new(id.prefix(), &contents.opener.hash().hash(plain)).unwrap_or(*id)
}

impl Found {
    fn take(&mut self, id: ContentId, plain: &[u8]) {
        let direct = ObjectId::direct(id);
        if self.take_directory(direct, &mut [plain].into_iter()) {
            return;
        }
        let mut scanner = SeekTableScanner::new();
        if scanner.push(plain, |_| {}).is_ok() && scanner.finish().is_ok() {
            self.tables.push(id);
            return;
        }
        // Format version 1 compresses objects as a whole.
        let mut object = Vec::new();
        if decode_object(&mut Decoder::default(), plain, None, LONGEST, &mut object).is_ok()
            && let Ok(compressed) = ObjectId::parse(&format!("Z{id}"))
        {
            self.take_directory(compressed, &mut [object.as_slice()].into_iter());
        }
    }

    /// Takes these bytes for a directory, if they are one.
    fn take_directory(&mut self, object: ObjectId, chunks: &mut dyn Iterator<Item = &[u8]>) -> bool {
        let mut candidate = RootCandidate { object, newest: Time::MIN, entries: 0, files: 0, bytes: 0 };
        let mut inside = Vec::new();
        let mut scanner = DirectoryScanner::new();
        for chunk in chunks {
            let pushed = scanner.push(chunk, |entry| {
                let Ok(entry) = entry else { return };
                candidate.add(&entry);
                if entry.kind == EntryKind::Directory {
                    inside.extend(entry.object);
                }
            });
            if pushed.is_err() {
                return false;
            }
        }
        if scanner.finish().is_err() {
            return false;
        }
        self.directories.push(candidate);
        self.inside.extend(inside);
        true
    }

    /// Takes a directory that is so long that it has a seek table, itself perhaps with one.
    async fn take_indirect(&mut self, contents: &Contents, table: ContentId) -> Result<()> {
        for levels in 1..=MAX_INDIRECTION {
            let Ok(object) = ObjectId::parse(&format!("{}{table}", "I".repeat(levels))) else {
                return Ok(());
            };
            let (mut reader, mut ahead) = (ObjectReader::new(&object, None), ReadAhead::default());
            let mut chunks = Vec::new();
            loop {
                match reader.next(contents, &mut ahead).await {
                    Ok(Some(chunk)) => chunks.push(chunk),
                    Ok(None) => break,
                    Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Storage) => return Ok(()),
                    Err(e) => return Err(e),
                }
            }
            if self.take_directory(object, &mut chunks.iter().map(Vec::as_slice)) {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl RootCandidate {
    fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        let summary = entry.summary.as_deref();
        self.newest = self.newest.max(summary.map_or(entry.mtime, |s| s.max_time));
        match (&entry.kind, summary) {
            (EntryKind::Directory, Some(below)) => {
                self.files = self.files.saturating_add(below.files);
                self.bytes = self.bytes.saturating_add(below.size);
            }
            (EntryKind::File, _) => {
                self.files = self.files.saturating_add(1);
                self.bytes = self.bytes.saturating_add(entry.size);
            }
            _ => {}
        }
    }
}
