//! Writes index files of entries (§4.1–4.3), and knows which of several entries for one content wins (§4.5).

use std::collections::HashMap;
use std::hash::Hash;

use rekopia_format::{BlobId, ContentId};

use super::{Error, Result};

/// An entry of an index: where a content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The ID of the content.
    pub id: ContentId,
    /// The pack that holds it.
    pub pack: BlobId,
    /// The start of the content, in bytes from the start of the pack.
    pub offset: u32,
    /// The stored bytes, error correction included.
    pub packed_len: u32,
    /// The plaintext bytes after decompression; layout 1 has no place for them.
    pub original_len: u32,
    /// The time of the entry, in seconds since 1970.
    pub timestamp: i64,
    /// Whether the content is marked as deleted, though still there.
    pub deleted: bool,
    /// A compressor's ID (§3.5), or 0.
    pub compression: u32,
    /// The version of the repository when the entry was written.
    pub format_version: u8,
}

impl IndexEntry {
    /// Returns what decides between entries of one content: the greatest wins.
    fn rank(&self) -> (i64, bool, &str) {
        (self.timestamp, !self.deleted, self.pack.as_str())
    }

    fn push_key(&self, out: &mut Vec<u8>) {
        out.push(self.id.prefix());
        out.extend_from_slice(self.id.hash());
    }

    fn offset_word(&self) -> [u8; 4] {
        (u32::from(self.deleted) << 31 | self.offset).to_be_bytes()
    }

    fn check(&self, what: &'static str, found: u32, limit: u64) -> Result<()> {
        let id = self.id;
        if u64::from(found) < limit {
            Ok(())
        } else {
            Err(Error::TooLarge { id, what, limit, found: found.into() })
        }
    }
}

/// Keeps the winning entry of every content, in key order.
pub(super) fn merge(entries: &mut Vec<IndexEntry>) {
    entries.sort_unstable_by(|a, b| a.id.cmp(&b.id).then_with(|| b.rank().cmp(&a.rank())));
    entries.dedup_by_key(|e| e.id);
}

/// Encodes an index file of layout 1 or 2; sorts the entries. Several entries of one content stay several.
///
/// # Errors
/// [`Error::TooLarge`] for an entry that the layout cannot hold.
pub fn encode(version: u8, entries: &mut [IndexEntry]) -> Result<Vec<u8>> {
    entries.sort_unstable_by(|a, b| a.id.cmp(&b.id).then_with(|| b.rank().cmp(&a.rank())));
    if version == 1 { encode_v1(entries) } else { encode_v2(entries) }
}

fn encode_v1(entries: &[IndexEntry]) -> Result<Vec<u8>> {
    let key_len = entries.first().map_or(255, |e| e.id.hash().len() + 1);
    let names_at = 8 + entries.len() * (key_len + 20);
    let mut out = Vec::with_capacity(names_at + 1024);
    out.extend([1, key_len as u8, 0, 20]);
    out.extend((entries.len() as u32).to_be_bytes());
    let (mut names, mut places) = (Vec::new(), HashMap::new());
    for entry in entries {
        entry.check("offset", entry.offset, 1 << 31)?;
        let pack = entry.pack.as_str().as_bytes();
        let place = *places.entry(pack).or_insert_with(|| {
            names.extend_from_slice(pack);
            names_at + names.len() - pack.len()
        });
        entry.push_key(&mut out);
        out.extend(&entry.timestamp.to_be_bytes()[2..]);
        out.extend([entry.format_version, pack.len() as u8]);
        out.extend((place as u32).to_be_bytes());
        out.extend(entry.offset_word());
        out.extend(entry.packed_len.to_be_bytes());
    }
    out.extend(names);
    Ok(out)
}

fn encode_v2(entries: &[IndexEntry]) -> Result<Vec<u8>> {
    let key_len = entries.first().map_or(17, |e| e.id.hash().len() + 1);
    let (mut packs, mut formats) = (Numbers::default(), Numbers::default());
    let mut long = false;
    for entry in entries {
        entry.check("offset", entry.offset, 1 << 30)?;
        entry.check("original length", entry.original_len, 1 << 28)?;
        entry.check("packed length", entry.packed_len, 1 << 28)?;
        packs.number(entry.pack.as_str());
        formats.number((entry.compression, entry.format_version));
        long |= entry.original_len.max(entry.packed_len) >= 1 << 24;
    }
    let size = match (long, packs.all.len() > 1 << 16, formats.all.len() > 1) {
        (true, ..) => 19,
        (_, true, _) => 18,
        (.., true) => 17,
        _ => 16,
    };
    let names_at = 17 + entries.len() * (key_len + size) + packs.all.len() * 5 + formats.all.len() * 6;
    let mut out = Vec::with_capacity(names_at + packs.all.len() * 54);
    out.extend([2, key_len as u8, 0, size as u8]);
    out.extend((entries.len() as u32).to_be_bytes());
    out.extend((packs.all.len() as u32).to_be_bytes());
    out.push(formats.all.len() as u8);
    out.extend([0; 4]);
    for entry in entries {
        let (original, packed) = (entry.original_len.to_be_bytes(), entry.packed_len.to_be_bytes());
        let pack = packs.number(entry.pack.as_str()).to_be_bytes();
        let format = formats.number((entry.compression, entry.format_version));
        let mut fields = [0; 19];
        fields[..4].copy_from_slice(&(entry.timestamp as u32).to_be_bytes());
        fields[4..8].copy_from_slice(&entry.offset_word());
        fields[8..11].copy_from_slice(&original[1..]);
        fields[11..14].copy_from_slice(&packed[1..]);
        fields[14..16].copy_from_slice(&pack[2..]);
        fields[16] = format as u8;
        fields[17] = pack[1];
        fields[18] = original[0] << 4 | packed[0];
        entry.push_key(&mut out);
        out.extend_from_slice(&fields[..size]);
    }
    let mut name_at = names_at as u32;
    for pack in &packs.all {
        out.push(pack.len() as u8);
        out.extend(name_at.to_be_bytes());
        name_at += pack.len() as u32;
    }
    for (compression, format_version) in &formats.all {
        out.extend(compression.to_be_bytes());
        out.extend([*format_version, 0]);
    }
    packs.all.iter().for_each(|pack| out.extend(pack.bytes()));
    Ok(out)
}

/// Distinct values, numbered in order of first use.
struct Numbers<T> {
    all: Vec<T>,
    number_of: HashMap<T, u32>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Numbers { all: Vec::new(), number_of: HashMap::new() }
    }
}

impl<T: Copy + Hash + Eq> Numbers<T> {
    fn number(&mut self, value: T) -> u32 {
        *self.number_of.entry(value).or_insert_with(|| {
            self.all.push(value);
            self.all.len() as u32 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekopia_format::index::IndexFile;

    fn entries(compressed: u32, original: u32) -> Vec<IndexEntry> {
        let p = BlobId::parse("p0123456789abcdef0123456789abcdef-s0011223344556677123").unwrap();
        let q = BlobId::parse("qfedcba9876543210fedcba9876543210-s0011223344556677123").unwrap();
        let entry = |id: &str, pack: &BlobId, numbers: [u32; 3], timestamp| IndexEntry {
            id: ContentId::parse(id).unwrap(),
            pack: pack.clone(),
            offset: numbers[0],
            packed_len: numbers[1],
            original_len: numbers[2],
            timestamp,
            deleted: false,
            compression: 0,
            format_version: 3,
        };
        let mut k = entry("k00112233445566778899aabbccddeeff", &q, [32, 500, original], 1_700_000_002);
        k.compression = compressed;
        let mut ff = entry("ff112233445566778899aabbccddeeff", &p, [1060, 100, 72], 1_700_000_001);
        ff.deleted = true;
        vec![k, ff, entry("00112233445566778899aabbccddeeff", &p, [32, 1028, 1000], 1_700_000_000)]
    }

    /// The files are those of §10.5.
    #[test]
    fn files_of_the_format_document() {
        let v1 = "01110014000000030000112233445566778899aabbccddeeff00006553f100033600000077000000200000040400ff112233\
                  445566778899aabbccddeeff00006553f10103360000007780000424000000646b00112233445566778899aabbccddeeff00\
                  006553f1020336000000ad00000020000001f4703031323334353637383961626364656630313233343536373839616263\
                  6465662d7330303131323233333434353536363737313233716665646362613938373635343332313066656463626139383\
                  7363534333231302d7330303131323233333434353536363737313233";
        assert_eq!(hex::encode(encode(1, &mut entries(0, 472)).unwrap()), v1);
        let v2 = "02110011000000030000000202000000000000112233445566778899aabbccddeeff6553f100000000200003e800040400\
                  000000ff112233445566778899aabbccddeeff6553f101800004240000480000640000006b00112233445566778899aabbcc\
                  ddeeff6553f102000000200007d00001f4000101360000008d36000000c300000000030000001101030070303132333435\
                  36373839616263646566303132333435363738396162636465662d73303031313232333334343535363637373132337166\
                  65646362613938373635343332313066656463626139383736353433323\
                  1302d7330303131323233333434353536363737313233";
        assert_eq!(hex::encode(encode(2, &mut entries(0x1101, 2000)).unwrap()), v2);
    }

    #[test]
    fn long_lengths_and_many_packs_are_read_back() {
        let mut all = entries(0x1101, 2000);
        all[0].original_len = (1 << 28) - 1;
        let pack = |i: u32| BlobId::parse(&format!("p{i:032x}")).unwrap();
        let id = |i: u32| ContentId::new(0, &[[0xee; 12].as_slice(), &i.to_be_bytes()].concat()).unwrap();
        let many = (0..70_000).map(|i| IndexEntry { id: id(i), pack: pack(i), offset: i, ..all[1].clone() });
        let mut all: Vec<IndexEntry> = many.collect();
        all.extend(entries(0, 1 << 27));
        let bytes = encode(2, &mut all).unwrap();
        let file = IndexFile::parse(&bytes, 28).unwrap();
        assert_eq!(file.len(), all.len());
        for (want, have) in all.iter().zip(file.entries()) {
            let have = have.unwrap();
            assert_eq!(ContentId::from_key(have.key).unwrap(), want.id);
            assert_eq!(file.pack_name(have.pack).unwrap(), want.pack.as_str());
            assert_eq!(
                (have.offset, have.packed_len, have.original_len),
                (want.offset, want.packed_len, want.original_len)
            );
            assert_eq!((have.timestamp, have.deleted), (want.timestamp as u64, want.deleted));
        }
        all[0].offset = 1 << 30;
        assert!(matches!(encode(2, &mut all), Err(Error::TooLarge { what: "offset", .. })));
    }

    #[test]
    fn merging_follows_time_then_state_then_pack() {
        let entry = |timestamp, deleted, pack: &str| IndexEntry {
            timestamp,
            deleted,
            pack: BlobId::parse(pack).unwrap(),
            ..entries(0, 0)[1].clone()
        };
        for (loser, winner) in [
            (entry(100, false, "pa"), entry(101, true, "pa")),
            (entry(100, true, "pz"), entry(100, false, "pa")),
            (entry(100, false, "pa"), entry(100, false, "pb")),
        ] {
            let mut both = vec![winner.clone(), loser];
            merge(&mut both);
            assert_eq!(both, [winner]);
        }
    }
}
