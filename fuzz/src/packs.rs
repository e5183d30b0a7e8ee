//! Where contents are: index files, the ends of packs, the index inside a pack.

use std::sync::OnceLock;

use rekopia_format::content::ContentOpener;
use rekopia_format::encryption::ContentCipher;
use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::index::{Error, IndexFile, PackRef};
use rekopia_format::pack::{Postamble, find_format_replica};
use rekopia_format::{BlobId, ContentId};
use rekopia_testkit::random::Random;
use rekopia_testkit::writer::{IndexEntry, Sealer, encode_index};

use crate::input::Input;

/// An index file of layout 1 or 2.
pub fn index(data: &[u8]) {
    check_index(data);
}

/// An index file that is written from the input must say what was written.
pub fn index_round_trip(data: &[u8]) {
    let mut input = Input(data);
    let version = 1 + input.byte() % 2;
    let mut entries = Vec::new();
    while !input.is_empty() && entries.len() < 200 {
        let prefix = input.pick(&[0, b'k', b'm', b'x']);
        let mut hash = [0; 16];
        let taken = input.take(4);
        hash[..taken.len()].copy_from_slice(taken);
        let name = format!("p{:02x}", input.byte());
        entries.push(IndexEntry {
            id: ContentId::new(prefix, &hash).expect("a good prefix"),
            pack: BlobId::parse(&name).expect("a good name"),
            offset: input.u32() & 0x3fff_ffff,
            packed_len: 28 + u32::from(input.u16()),
            original_len: input.u32() & 0x0fff_ffff,
            timestamp: 1_700_000_000 + i64::from(input.u16()),
            deleted: input.byte() % 2 == 1,
            compression: u32::from(input.u16()),
            format_version: 1 + input.byte() % 3,
        });
    }
    let bytes = encode_index(version, &mut entries).expect("fields fit");
    let file = IndexFile::parse(&bytes, 28).expect("what was written");
    assert_eq!(file.len(), entries.len(), "entries");
    for (number, wanted) in entries.iter().enumerate() {
        let found = file.entry(number).expect("what was written");
        assert_eq!(ContentId::from_key(found.key).expect("a key"), wanted.id, "key");
        assert_eq!(file.pack_name(found.pack).expect("a pack"), wanted.pack.as_str(), "pack");
        assert_eq!((found.offset, found.packed_len), (wanted.offset, wanted.packed_len), "place");
        assert_eq!((found.timestamp as i64, found.deleted), (wanted.timestamp, wanted.deleted), "time");
        if version == 2 {
            assert_eq!(found.original_len, wanted.original_len, "length");
            assert_eq!(
                (found.compression, found.format_version),
                (wanted.compression, wanted.format_version)
            );
        } else {
            assert_eq!(found.original_len, wanted.packed_len - 28, "length");
        }
    }
}

/// Reads all of an index file; the names of packs with and without the memo have to agree.
fn check_index(data: &[u8]) {
    let Ok(file) = IndexFile::parse(data, 28) else { return };
    assert!(file.len() <= data.len(), "{} entries in {} bytes", file.len(), data.len());
    assert!(file.entry(file.len()).is_err(), "an entry behind the last");
    let mut memo = file.pack_memo::<usize>();
    for entry in file.entries() {
        let Ok(entry) = entry else { continue };
        assert_eq!(entry.key.len(), file.key_len(), "length of a key");
        assert!(entry.offset < 1 << 31, "an offset of 32 bits");
        let _ = ContentId::from_key(entry.key).map(|id| assert!(id.iv().len() <= 16, "a long iv"));
        let name = file.pack_name(entry.pack);
        let len = memo.get(&file, entry.pack, |name| Ok::<_, Error>(name.len()));
        assert_eq!(name.as_ref().map(|n| n.len()).ok(), len.ok(), "the memo says otherwise");
        let _: (PackRef, _) = (entry.pack, name.map(BlobId::parse));
    }
}

/// The end of a pack: as it comes, with its checksum mended, and searched for.
pub fn postamble(data: &[u8]) {
    let mut input = Input(data);
    let start = u64::from(input.u32());
    let pack_len = start + input.0.len() as u64;
    check_tail(input.0, pack_len);
    // A random checksum is never right: give the last fields one.
    let fields = &input.0[input.0.len().saturating_sub(60)..];
    let mut mended = input.0[..input.0.len() - fields.len()].to_vec();
    mended.extend_from_slice(fields);
    mended.extend_from_slice(&crc32(fields).to_be_bytes());
    mended.push(fields.len() as u8 + 4);
    check_tail(&mended, start + mended.len() as u64);
    for found in Postamble::search(input.0, start, 16) {
        let end = found.offset.checked_add(found.len).expect("an end that is a number");
        assert!(end <= pack_len, "{found:?} ends outside its pack of {pack_len} bytes");
        assert_eq!(found.iv.len(), 16, "length of the iv");
        let _ = found.local_index(input.0, pack_len);
    }
    if let Some(blob) = find_format_replica(data) {
        crate::configuration::format_blob(blob);
    }
}

fn check_tail(tail: &[u8], pack_len: u64) {
    let Ok(postamble) = Postamble::parse(tail, pack_len) else { return };
    let end = postamble.offset + postamble.len;
    assert!(end <= pack_len, "{postamble:?} ends outside its pack of {pack_len} bytes");
    if let Some(index) = postamble.local_index(tail, pack_len) {
        assert_eq!(index.len() as u64, postamble.len, "length of the local index");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A local index that is sealed as a writer does, opened and read.
pub fn local_index(data: &[u8]) {
    static OPENER: OnceLock<ContentOpener> = OnceLock::new();
    let key = [7; 32];
    let opener = OPENER.get_or_init(|| {
        let cipher = ContentCipher::new("AES256-GCM-HMAC-SHA256", &key).expect("a cipher");
        let hash = HashAlgorithm::parse("BLAKE2B-256-128").expect("a hash");
        ContentOpener::new(cipher, None, KeyedHash::new(hash, &key).expect("a key"))
    });
    let iv = opener.hash().hash(data);
    let mut stored = Vec::new();
    let mut sealer = Sealer::new("AES256-GCM-HMAC-SHA256", &key, 0, Random::new(1)).expect("a cipher");
    sealer.seal(&iv, data, &mut stored);
    let plain = opener.open_blob(&iv, &mut stored).expect("what was sealed");
    assert_eq!(plain, data, "opened to something else");
    check_index(plain);
    let mut raw = data.to_vec();
    assert!(opener.open_blob(&iv, &mut raw).is_err(), "bytes that nobody sealed were opened");
}
