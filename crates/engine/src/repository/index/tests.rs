use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rekopia_format::index::IndexFile;
use rekopia_format::{BlobId, ContentId};
use rekopia_testkit::writer::{IndexEntry, encode_index};

use super::*;
use crate::error::ErrorKind;

/// Makes a folder on a disk: `/tmp` may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

/// Returns one of few IDs. All of them begin alike, so that they share a bucket.
fn id(number: u16) -> ContentId {
    let mut hash = [0; 16];
    hash[14..].copy_from_slice(&number.to_be_bytes());
    ContentId::new([0, b'k', b'm'][usize::from(number % 3)], &hash).unwrap()
}

fn entry() -> impl Strategy<Value = IndexEntry> {
    let place = (0u32..9, 0u32..1 << 20, 0u32..5000, 0u32..5000);
    (0u16..700, place, 0i64..6, any::<bool>(), 0u32..3).prop_map(
        |(number, place, timestamp, deleted, which)| {
            let (pack, offset, packed_len, original_len) = place;
            let letter = if pack % 2 == 0 { 'q' } else { 'p' };
            IndexEntry {
                id: id(number),
                pack: BlobId::parse(&format!("{letter}{pack:032x}")).unwrap(),
                offset,
                packed_len,
                original_len,
                timestamp,
                deleted,
                compression: [0, 0x1100, 0x1101][which as usize],
                format_version: 1,
            }
        },
    )
}

fn blobs() -> impl Strategy<Value = Vec<Vec<IndexEntry>>> {
    proptest::collection::vec(proptest::collection::vec(entry(), 1..300), 1..8)
}

/// Indexes these blobs, with at most so many records in memory.
fn builder(blobs: &[Vec<IndexEntry>], max_records: usize, dir: Option<&Path>) -> IndexBuilder {
    let limit = IndexLimit { bytes: 1, dir: dir.map(Path::to_owned) };
    let mut builder = IndexBuilder::new(limit);
    builder.max_records = max_records;
    for entries in blobs {
        let bytes = encode_index(2, &mut entries.clone()).unwrap();
        builder.add(&IndexFile::parse(&bytes, 0).unwrap()).unwrap();
    }
    builder
}

fn assert_same(index: &ContentIndex, memory: &ContentIndex) {
    assert_eq!(index.len(), memory.len());
    for number in 0..=u16::MAX / 64 {
        let id = id(number);
        assert_eq!(index.find(&id).unwrap(), memory.find(&id).unwrap(), "{id}");
    }
    assert_eq!(index.manifest_contents().unwrap(), memory.manifest_contents().unwrap());
    assert_eq!(index.metadata_extents(), memory.metadata_extents());
    assert_eq!(index.packs, memory.packs);
}

/// Returns distinct contents, so many that memory for a hundred is too little.
fn many() -> Vec<Vec<IndexEntry>> {
    let of = |number: u16| IndexEntry {
        id: id(number),
        pack: BlobId::parse(&format!("p{:032x}", number / 50)).unwrap(),
        offset: u32::from(number) * 100,
        packed_len: 100,
        original_len: 90,
        timestamp: 5,
        deleted: false,
        compression: 0,
        format_version: 1,
    };
    (0..1000).map(of).collect::<Vec<_>>().chunks(70).map(<[_]>::to_vec).collect()
}

proptest! {
    #[test]
    fn an_index_in_a_file_is_the_one_in_memory(
        blobs in blobs(), max_records in 1usize..400, watermark in proptest::option::of(0u64..6),
    ) {
        let dir = folder();
        let memory = builder(&blobs, usize::MAX, None).freeze(watermark).unwrap();
        let index = builder(&blobs, max_records, Some(dir.path())).freeze(watermark).unwrap();
        assert_same(&index, &memory);
        prop_assert!(index.warning().is_none() && memory.file_bytes() == 0);
        let distinct: std::collections::BTreeSet<_> = blobs.iter().flatten().map(|e| e.id).collect();
        if distinct.len() > max_records && memory.len() > 0 {
            prop_assert_eq!(index.file_bytes(), memory.len() as u64 * 36);
        }
        prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn little_of_an_index_in_a_file_is_in_memory() {
    let dir = folder();
    let below = dir.path().join("made");
    let index = builder(&many(), 100, Some(&below)).freeze(None).unwrap();
    assert_eq!((index.len(), index.file_bytes()), (1000, 36_000));
    assert!(index.bytes() < 200, "{}", index.bytes());
    assert_eq!(fs::read_dir(&below).unwrap().count(), 0, "the file has no name");
}

#[test]
fn without_a_disk_everything_stays_in_memory_and_that_is_said() {
    let memory = builder(&many(), usize::MAX, None).freeze(None).unwrap();
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let nowhere = dir.path().join("not/there");
    let shm = Path::new("/dev/shm");
    for (place, why) in [
        (None, "no cache folder"),
        (Some(&*file), "Not a directory"),
        (Some(&*nowhere), "No such file"),
        (shm.exists().then_some(shm), if shm.exists() { "it is memory" } else { "no cache folder" }),
    ] {
        let index = builder(&many(), 100, place).freeze(None).unwrap();
        assert_same(&index, &memory);
        assert_eq!(index.file_bytes(), 0);
        let warning = index.warning().unwrap();
        assert!(warning.contains(why), "{why}: {warning}");
    }
}

#[test]
fn what_was_written_comes_back_when_the_rest_cannot_be_written() {
    let dir = folder();
    let mut builder = builder(&many(), 100, Some(dir.path()));
    builder.limit.dir = None;
    let index = builder.freeze(None).unwrap();
    assert_same(&index, &self::builder(&many(), usize::MAX, None).freeze(None).unwrap());
    assert!(index.warning().unwrap().contains("no cache folder") && index.file_bytes() == 0);
}

#[test]
fn a_file_that_cannot_be_read_is_not_a_missing_content() {
    let dir = folder();
    let index = builder(&many(), 100, Some(dir.path())).freeze(None).unwrap();
    assert!(index.find(&id(7)).unwrap().is_some());
    let mut cut = 0;
    for fd in fs::read_dir("/proc/self/fd").unwrap() {
        let path = fd.unwrap().path();
        if fs::read_link(&path).is_ok_and(|to| to.starts_with(dir.path())) {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
            cut += 1;
        }
    }
    assert_eq!(cut, 1, "the file of the runs is gone");
    let error = index.find(&id(7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.chain().contains("cannot be read from the cache folder"), "{}", error.chain());
}
