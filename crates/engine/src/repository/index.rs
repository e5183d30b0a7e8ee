//! Where contents are: one frozen, sorted table of all index entries.
//!
//! ```text
//! index blobs ──add──► Vec<Record> ──freeze──► sorted by hash, one record per content, fan-out on the leading bits
//! ```
//!
//! A record is 36 bytes whatever the hash: it keeps the last 16 bytes of the hash (what the encryption binds, §3.3)
//! and the prefix letter. The fan-out adds half a byte per entry, so the table stays under 40 bytes per entry.

use std::cmp::Ordering;
use std::collections::HashMap;

use rekopia_format::content::Packed;
use rekopia_format::index::{IndexFile, RawIndexEntry};
use rekopia_format::{BlobId, ContentId};

/// A pack, by its position in the table of pack names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackIdx(pub(crate) u32);

/// Where a content is stored and how to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) pack: PackIdx,
    /// Bytes from the start of the pack.
    pub(crate) offset: u32,
    pub(crate) packed: Packed,
    pub(crate) deleted: bool,
}

impl Location {
    /// The bytes of the pack that hold the content.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        let start = u64::from(self.offset);
        start..start + u64::from(self.packed.packed_len)
    }
}

/// Collects the entries of index blobs.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    records: Vec<Record>,
    packs: Vec<BlobId>,
    pack_numbers: HashMap<BlobId, u32>,
    compressions: Vec<u32>,
    manifests: Vec<ContentId>,
}

/// The merged entries, ready for lookups.
#[derive(Debug)]
pub(crate) struct ContentIndex {
    records: Vec<Record>,
    /// `fanout[b]..fanout[b + 1]` are the records whose leading `fanout_bits` bits are `b`.
    fanout: Vec<u32>,
    fanout_bits: u32,
    packs: Vec<BlobId>,
    compressions: Vec<u32>,
    manifests: Vec<ContentId>,
}

/// An index entry that cannot be represented or makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Parse(#[from] rekopia_format::index::Error),
    #[error(transparent)]
    Id(#[from] rekopia_format::ids::InvalidId),
    #[error("the index holds more than {0}")]
    TooMany(&'static str),
    #[error("content of {0} bytes is too long")]
    TooLong(u32),
    #[error("content uses encryption key {0}, but there is only key 0")]
    UnknownKey(u8),
}

#[derive(Debug, Clone, Copy)]
struct Record {
    /// Last 16 bytes of the hash.
    tail: [u8; 16],
    timestamp: u32,
    /// Bit 31: deleted; below: offset in the pack.
    offset: u32,
    /// Bits 8..32: pack; bits 0..8: position in the table of compression IDs.
    pack: u32,
    /// Bits 28..32: high nibble of the prefix letter; below: packed length.
    packed: u32,
    /// Bits 28..32: low nibble of the prefix letter; below: original length.
    original: u32,
}

const LEN_BITS: u32 = 28;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;
const DELETED: u32 = 1 << 31;
/// Records per fan-out bucket, on average, as a power of two.
const BUCKET_BITS: u32 = 3;

impl Record {
    fn prefix(&self) -> u8 {
        ((self.packed >> LEN_BITS) as u8) << 4 | (self.original >> LEN_BITS) as u8
    }

    fn key(&self) -> (u128, u8) {
        (u128::from_be_bytes(self.tail), self.prefix())
    }

    fn is_deleted(&self) -> bool {
        self.offset & DELETED != 0
    }
}

impl IndexBuilder {
    /// Room for about `entries` more entries, so that the table does not move while it grows.
    pub(crate) fn reserve(&mut self, entries: usize) {
        self.records.reserve_exact(entries);
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
                _ => self.pack_number(name)?,
            };
            last_pack = Some((name, pack));
            let record = self.record(&entry, pack)?;
            if record.prefix() == b'm' {
                self.manifests.push(ContentId::from_key(entry.key)?);
            }
            self.records.push(record);
        }
        Ok(())
    }

    /// Sorts, keeps the winner of each content (§4.5) and drops what was deleted up to the watermark.
    pub(crate) fn freeze(mut self, watermark: Option<u64>) -> ContentIndex {
        sort(&mut self.records);
        let packs = &self.packs;
        let mut kept = 0usize;
        let mut i = 0usize;
        while let Some(&first) = self.records.get(i) {
            let mut winner = first;
            i += 1;
            while let Some(next) = self.records.get(i).filter(|r| r.key() == first.key()) {
                if precedence(next, &winner, packs) == Ordering::Greater {
                    winner = *next;
                }
                i += 1;
            }
            let gone = winner.is_deleted() && watermark.is_some_and(|w| u64::from(winner.timestamp) <= w);
            if !gone {
                self.records[kept] = winner;
                kept += 1;
            }
        }
        self.records.truncate(kept);
        if self.records.capacity() > kept + kept / 4 {
            self.records.shrink_to_fit();
        }
        self.manifests.sort_unstable();
        self.manifests.dedup();
        let (fanout, fanout_bits) = fan_out(&self.records);
        ContentIndex {
            records: self.records,
            fanout,
            fanout_bits,
            packs: self.packs,
            compressions: self.compressions,
            manifests: self.manifests,
        }
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

    fn pack_number(&mut self, name: &str) -> Result<u32, IndexError> {
        let id = BlobId::parse(name)?;
        if let Some(&number) = self.pack_numbers.get(&id) {
            return Ok(number);
        }
        let number = u32::try_from(self.packs.len()).ok().filter(|n| *n < 1 << 24);
        let number = number.ok_or(IndexError::TooMany("16 million packs"))?;
        self.packs.push(id.clone());
        self.pack_numbers.insert(id, number);
        Ok(number)
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

impl ContentIndex {
    /// Where `id` is; deleted contents included, since they are readable until they are dropped (§4.5).
    pub(crate) fn find(&self, id: &ContentId) -> Option<Location> {
        let key = (u128::from_be_bytes(tail(id)), id.prefix());
        let bucket = bucket_of(key.0, self.fanout_bits);
        let first = *self.fanout.get(bucket)? as usize;
        let last = *self.fanout.get(bucket + 1)? as usize;
        let candidates = self.records.get(first..last)?;
        let record = &candidates[candidates.binary_search_by_key(&key, Record::key).ok()?];
        Some(Location {
            pack: PackIdx(record.pack >> 8),
            offset: record.offset & !DELETED,
            packed: Packed {
                packed_len: record.packed & LEN_MASK,
                original_len: record.original & LEN_MASK,
                compression: self.compressions.get((record.pack & 0xff) as usize).copied()?,
            },
            deleted: record.is_deleted(),
        })
    }

    /// The name of a pack that a [`Location`] of this index points to.
    pub(crate) fn pack(&self, pack: PackIdx) -> &BlobId {
        &self.packs[pack.0 as usize]
    }

    /// From the first to the last byte of contents in each metadata pack (`q…`).
    pub(crate) fn metadata_extents(&self) -> HashMap<PackIdx, std::ops::Range<u64>> {
        let mut extents: HashMap<PackIdx, std::ops::Range<u64>> = HashMap::new();
        // Only metadata has a prefix letter.
        for record in self.records.iter().filter(|r| r.prefix() != 0) {
            let pack = PackIdx(record.pack >> 8);
            if !self.pack(pack).as_str().starts_with('q') {
                continue;
            }
            let start = u64::from(record.offset & !DELETED);
            let end = start + u64::from(record.packed & LEN_MASK);
            let extent = extents.entry(pack).or_insert(start..end);
            extent.start = extent.start.min(start);
            extent.end = extent.end.max(end);
        }
        extents
    }

    /// How many packs the entries name.
    pub(crate) fn pack_count(&self) -> usize {
        self.packs.len()
    }

    /// Contents with prefix `m` that are not deleted: they hold the manifests (§6.1).
    pub(crate) fn manifest_contents(&self) -> Vec<ContentId> {
        self.manifests.iter().filter(|id| self.find(id).is_some_and(|l| !l.deleted)).copied().collect()
    }

    /// Contents in the index.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes that the table holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (self.records.capacity() * size_of::<Record>() + self.fanout.capacity() * 4) as u64
    }
}

fn tail(id: &ContentId) -> [u8; 16] {
    let iv = id.iv();
    let mut tail = [0; 16];
    tail[16 - iv.len()..].copy_from_slice(iv);
    tail
}

/// §4.5: the later entry wins, then the one that is not deleted, then the greater pack name.
fn precedence(a: &Record, b: &Record, packs: &[BlobId]) -> Ordering {
    let name = |r: &Record| &packs[(r.pack >> 8) as usize];
    a.timestamp
        .cmp(&b.timestamp)
        .then_with(|| b.is_deleted().cmp(&a.is_deleted()))
        .then_with(|| name(a).cmp(name(b)))
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
    std::thread::scope(|scope| {
        scope.spawn(|| low.sort_unstable_by_key(Record::key));
        high.sort_unstable_by_key(Record::key);
    });
}

fn fan_out(records: &[Record]) -> (Vec<u32>, u32) {
    let bits = (usize::BITS - records.len().leading_zeros()).saturating_sub(BUCKET_BITS);
    let mut fanout = Vec::with_capacity((1 << bits) + 1);
    let mut next = 0usize;
    for bucket in 0..=1usize << bits {
        while records.get(next).is_some_and(|r| bucket_of(r.key().0, bits) < bucket) {
            next += 1;
        }
        fanout.push(u32::try_from(next).unwrap_or(u32::MAX));
    }
    (fanout, bits)
}

fn bucket_of(tail: u128, bits: u32) -> usize {
    if bits == 0 { 0 } else { (tail >> (128 - bits)) as usize }
}
