//! Builds the frozen index of index blobs, in memory or, where that is too small, through sorted runs in a file.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::PoisonError;

use rekopia_format::index::{IndexFile, RawIndexEntry};
use rekopia_format::{BlobId, ContentId};

use super::fanout::FanOut;
use super::limit::{IndexError, IndexLimit};
use super::merge::Merging;
use super::packs::Packs;
use super::record::{DELETED, LEN_BITS, LEN_MASK, Record, is_there, tail, winner};
use super::spill::{RecordFile, SortedFile};
use super::table::{ContentIndex, Extents, Records, extend};

/// Collects the entries of index blobs.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    records: Vec<Record>,
    /// Records that may be in memory.
    pub(super) max_records: usize,
    pub(super) limit: IndexLimit,
    runs: Option<Runs>,
    warning: Option<String>,
    packs: Packs,
    compressions: Vec<u32>,
    manifests: Vec<ContentId>,
    /// Contents with manifests that only the packs' own indexes name.
    local_manifests: Vec<ContentId>,
}

/// Sorted runs of records, one after the other in a file.
#[derive(Debug)]
struct Runs {
    file: RecordFile,
    runs: Vec<Range<usize>>,
}

/// Fewer records than this are never too many.
const MIN_RECORDS: usize = 1 << 10;
/// Records per fan-out bucket, on average, as powers of two: in memory, and in a file.
const BUCKET_BITS: u32 = 3;
const FILE_BUCKET_BITS: u32 = 7;

impl IndexBuilder {
    /// Makes a builder without entries.
    pub(crate) fn new(limit: IndexLimit) -> Self {
        let max_records = match limit.bytes {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX) / size_of::<Record>(),
        };
        IndexBuilder {
            records: Vec::new(),
            max_records: max_records.max(MIN_RECORDS),
            limit,
            runs: None,
            warning: None,
            packs: Packs::default(),
            compressions: Vec::new(),
            manifests: Vec::new(),
            local_manifests: Vec::new(),
        }
    }

    /// Makes room for about `entries` more entries, so that the table does not move while it grows.
    pub(crate) fn reserve(&mut self, entries: usize) {
        self.records.reserve_exact(entries.min(self.max_records));
    }

    /// Takes note of which packs there are, and how many bytes each has: from now on, a content that is in several
    /// packs is read where it is.
    pub(crate) fn know_packs(&mut self, listed: HashMap<BlobId, u64>) {
        self.packs.know(listed);
    }

    /// Adds all entries of an index blob.
    pub(crate) fn add(&mut self, file: &IndexFile<'_>) -> Result<(), IndexError> {
        let mut last_pack: Option<(&str, u32)> = None;
        for i in 0..file.len() {
            let entry = file.entry(i)?;
            let name = file.pack_name(entry.pack)?;
            // Neighbours mostly share a pack, and a name is much longer than its number.
            let pack = match last_pack {
                Some((last, number)) if last == name => number,
                _ => self.packs.indexed_number(name)?,
            };
            last_pack = Some((name, pack));
            self.add_entry(&entry, pack, false)?;
        }
        Ok(())
    }

    /// Adds all entries of the index that was found at the end of the pack `found_in`. Deletions may be of contents in
    /// other packs; everything else is in this one, also where another name stands: then the blob has changed places
    /// with that one. Tells whether it has.
    pub(crate) fn add_local(&mut self, file: &IndexFile<'_>, found_in: &BlobId) -> Result<bool, IndexError> {
        let mut own = None;
        let mut is_misnamed = false;
        for i in 0..file.len() {
            let entry = file.entry(i)?;
            let name = file.pack_name(entry.pack)?;
            let pack = match own {
                _ if entry.deleted => self.packs.number(name)?,
                Some(own) => own,
                None => {
                    is_misnamed = name != found_in.as_str();
                    let number = match is_misnamed {
                        true => self.packs.misnamed(found_in)?,
                        false => self.packs.number(name)?,
                    };
                    *own.insert(number)
                }
            };
            self.add_entry(&entry, pack, true)?;
        }
        Ok(is_misnamed)
    }

    fn add_entry(&mut self, entry: &RawIndexEntry<'_>, pack: u32, local: bool) -> Result<(), IndexError> {
        let record = self.record(entry, pack)?;
        if record.prefix() == b'm' {
            let manifests = if local { &mut self.local_manifests } else { &mut self.manifests };
            manifests.push(ContentId::from_key(entry.key)?);
        }
        if self.records.len() >= self.max_records {
            self.make_room()?;
        }
        self.records.push(record);
        Ok(())
    }

    /// Keeps the winner of each content (§4.5) and drops what was deleted up to the watermark.
    ///
    /// # Errors
    /// [`IndexError::ReadBack`] when a file was written and is needed, but cannot be read.
    pub(crate) fn freeze(mut self, watermark: Option<u64>) -> Result<ContentIndex, IndexError> {
        for manifests in [&mut self.manifests, &mut self.local_manifests] {
            manifests.sort_unstable();
            manifests.dedup();
        }
        let known = &self.manifests;
        self.local_manifests.retain(|id| known.binary_search(id).is_err());
        if self.runs.is_some() {
            self.sort_and_keep_winners(None);
            let merged = self.write_run().and_then(|()| self.merge(watermark));
            match merged {
                Ok((sorted, fanout, extents)) => {
                    return Ok(self.frozen(Records::File { sorted, extents }, fanout));
                }
                Err(why) => self.stay_in_memory(&why)?,
            }
        }
        self.sort_and_keep_winners(watermark);
        if self.records.capacity() > self.records.len() + self.records.len() / 4 {
            self.records.shrink_to_fit();
        }
        let mut fanout = FanOut::new(self.records.len(), BUCKET_BITS);
        self.records.iter().for_each(|record| fanout.push(record.key().0));
        let records = Records::Memory(std::mem::take(&mut self.records));
        Ok(self.frozen(records, fanout.finish()))
    }

    fn frozen(self, records: Records, fanout: FanOut) -> ContentIndex {
        let IndexBuilder { packs, compressions, manifests, local_manifests, warning, .. } = self;
        let (packs, indexed) = packs.into_parts();
        ContentIndex { records, fanout, packs, indexed, compressions, manifests, local_manifests, warning }
    }

    /// Takes records out of memory, where there is a place for them.
    fn make_room(&mut self) -> Result<(), IndexError> {
        self.sort_and_keep_winners(None);
        // Entries that say the same as others made room.
        if self.records.len() <= self.max_records / 2 {
            return Ok(());
        }
        self.write_run().or_else(|why| self.stay_in_memory(&why))
    }

    /// Writes what is in memory, sorted.
    fn write_run(&mut self) -> io::Result<()> {
        let runs = match self.runs.take() {
            Some(runs) => runs,
            None => Runs { file: self.begin_file()?, runs: Vec::new() },
        };
        let Runs { file, runs } = self.runs.insert(runs);
        let start = file.len();
        for record in &self.records {
            file.push(*record)?;
        }
        file.flush()?;
        runs.push(start..file.len());
        self.records.clear();
        Ok(())
    }

    /// Merges all runs into one file; they are not needed any more.
    fn merge(&self, watermark: Option<u64>) -> io::Result<(SortedFile, FanOut, Extents)> {
        let Some(Runs { file, runs }) = &self.runs else { return Err(io::Error::other("there are no runs")) };
        let mut merging = Merging::new(file, runs, self.limit.bytes)?;
        let (mut sorted, mut extents) = (self.begin_file()?, Extents::new());
        let mut fanout = FanOut::new(file.len(), FILE_BUCKET_BITS);
        while let Some(mut record) = merging.next()? {
            while let Some(other) = merging.next_if(record.key())? {
                record = winner(record, other, &self.packs);
            }
            if is_there(&record, watermark) {
                fanout.push(record.key().0);
                extend(&mut extents, &record, self.packs.name(record.pack()));
                sorted.push(record)?;
            }
        }
        Ok((sorted.finish()?, fanout.finish(), extents))
    }

    fn begin_file(&self) -> io::Result<RecordFile> {
        let dir = self.limit.dir.as_deref();
        RecordFile::begin(dir.ok_or_else(|| io::Error::other("there is no cache folder"))?)
    }

    /// Gives up the file: its records come back into memory.
    fn stay_in_memory(&mut self, why: &io::Error) -> Result<(), IndexError> {
        let place = self.limit.dir.as_ref().map_or_else(String::new, |dir| format!(" ({})", dir.display()));
        self.warning = Some(format!(
            "the index is larger than the memory it should take, and stays in memory all the same: \
             it cannot be written to the cache folder{place}: {why}"
        ));
        self.max_records = usize::MAX;
        if let Some(Runs { file, runs }) = self.runs.take() {
            let mut reader = file.run(0..runs.last().map_or(0, |run| run.end), 256 << 10);
            while let Some(record) = reader.next().map_err(|source| IndexError::ReadBack { source })? {
                self.records.push(record);
            }
        }
        Ok(())
    }

    fn sort_and_keep_winners(&mut self, watermark: Option<u64>) {
        sort(&mut self.records);
        let packs = &self.packs;
        let (mut kept, mut i) = (0usize, 0usize);
        while let Some(&first) = self.records.get(i) {
            let mut best = first;
            i += 1;
            while let Some(next) = self.records.get(i).filter(|r| r.key() == first.key()) {
                best = winner(best, *next, packs);
                i += 1;
            }
            if is_there(&best, watermark) {
                self.records[kept] = best;
                kept += 1;
            }
        }
        self.records.truncate(kept);
    }

    fn record(&mut self, entry: &RawIndexEntry<'_>, pack: u32) -> Result<Record, IndexError> {
        if entry.key_id != 0 {
            return Err(IndexError::UnknownKey(entry.key_id));
        }
        for len in [entry.packed_len, entry.original_len] {
            if len > LEN_MASK {
                return Err(IndexError::TooLong(len));
            }
        }
        let in_file = self.runs.as_ref().map_or(0, |runs| runs.file.len());
        if in_file + self.records.len() >= u32::MAX as usize {
            return Err(IndexError::TooMany("four billion entries"));
        }
        let id = ContentId::from_key(entry.key)?;
        let compression = self.compression_number(entry.compression)?;
        Ok(Record {
            tail: tail(&id),
            // Times beyond 2106 cannot be written in layout 2 either.
            timestamp: u32::try_from(entry.timestamp).unwrap_or(u32::MAX),
            offset: entry.offset & !DELETED | if entry.deleted { DELETED } else { 0 },
            pack: pack << 8 | compression,
            packed: u32::from(id.prefix() >> 4) << LEN_BITS | entry.packed_len,
            original: u32::from(id.prefix() & 15) << LEN_BITS | entry.original_len,
        })
    }

    fn compression_number(&mut self, header: u32) -> Result<u32, IndexError> {
        let found = self.compressions.iter().position(|c| *c == header);
        let number = found.unwrap_or_else(|| {
            self.compressions.push(header);
            self.compressions.len() - 1
        });
        u32::try_from(number)
            .ok()
            .filter(|n| *n < 256)
            .ok_or(IndexError::TooMany("256 compression algorithms"))
    }
}

/// Sorts by key, on two threads when that pays.
fn sort(records: &mut [Record]) {
    if records.len() < 200_000 {
        records.sort_unstable_by_key(Record::key);
        return;
    }
    let middle = records.len() / 2;
    let (low, pivot, high) = records.select_nth_unstable_by_key(middle, Record::key);
    let _ = pivot;
    let low = std::sync::Mutex::new(low);
    let sort_low = || low.lock().unwrap_or_else(PoisonError::into_inner).sort_unstable_by_key(Record::key);
    std::thread::scope(|scope| {
        let beside = std::thread::Builder::new().spawn_scoped(scope, sort_low);
        high.sort_unstable_by_key(Record::key);
        // A limit of threads makes it slower, no more.
        if beside.is_err() {
            sort_low();
        }
    });
}
