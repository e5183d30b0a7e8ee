//! What packs look like from outside.

use std::collections::BTreeMap;

use rekopia_format::content::ContentOpener;
use rekopia_format::ecc::Ecc;
use rekopia_format::encryption::ContentCipher;
use rekopia_format::format_blob::{FormatBlob, RepositoryConfig};
use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::index::IndexFile;
use rekopia_format::key::derive_format_key;
use rekopia_format::pack::{Postamble, find_format_replica};
use rekopia_format::{BlobId, ContentId};
use rekopia_testkit::random::Random;
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::writer::{DirectoryWriter, Metadata, WriterOptions};

use crate::support::in_memory;

fn all(blobs: &MemoryBlobs) -> BTreeMap<String, Vec<u8>> {
    blobs.blobs.lock().unwrap().clone()
}

fn opener(blobs: &MemoryBlobs) -> ContentOpener {
    let format = FormatBlob::parse(&all(blobs)["kopia.repository"]).unwrap();
    let key = derive_format_key(&format.key_algo, b"test-password", &format.unique_id).unwrap();
    let config = key.open_envelope(&format.unique_id, &format.encrypted_block_format).unwrap();
    let config = RepositoryConfig::parse(&config).unwrap();
    let hash = KeyedHash::new(HashAlgorithm::parse(&config.hash).unwrap(), config.secret.as_bytes()).unwrap();
    let ecc = config.error_correction().map(|(_, percent)| Ecc::new(percent.into()).unwrap());
    ContentOpener::new(
        ContentCipher::new(&config.encryption, config.master_key.as_bytes()).unwrap(),
        ecc,
        hash,
    )
}

/// Contents, padding, local index and postamble lie where §3.7 and §3.8 want them, and say what the index says.
#[test]
fn geometry_of_packs() {
    let ecc = WriterOptions { ecc_percent: 10, hash: "HMAC-SHA256".into(), ..WriterOptions::default() };
    for options in [WriterOptions::default(), WriterOptions::of_version(1), ecc] {
        let max_pack_size = 100_000;
        let (blobs, mut writer) = in_memory(WriterOptions { max_pack_size, ..options });
        let mut random = Random::new(2);
        for number in 0..100 {
            let mut data = vec![0; random.below(8000) as usize];
            random.fill(&mut data);
            writer.put_content(if number % 3 == 0 { b'k' } else { 0 }, &data).unwrap();
        }
        writer.flush().unwrap();
        let (stored, opener, entries) = (all(&blobs), opener(&blobs), writer.entries());
        let packs: Vec<&String> = stored.keys().filter(|name| name.starts_with(['p', 'q'])).collect();
        let mut short = 0;
        for name in &packs {
            let bytes = &stored[*name];
            let mut here: Vec<_> = entries.iter().filter(|e| e.pack.as_str() == *name).collect();
            here.sort_by_key(|e| e.offset);
            let first = here[0].offset as usize;
            match find_format_replica(bytes) {
                Some(replica) => {
                    assert_eq!((replica, first), (&stored["kopia.repository"][..], replica.len() + 36 + 32))
                }
                None => assert_eq!(first, 32),
            }
            assert!(here.windows(2).all(|w| w[0].offset + w[0].packed_len == w[1].offset));
            let end = here.last().map_or(0, |e| (e.offset + e.packed_len) as usize);
            let postamble = Postamble::parse(&bytes[bytes.len() - 100..], bytes.len() as u64).unwrap();
            let local = postamble.offset as usize;
            assert_eq!(local % 4096, 0);
            assert!((1..=4096).contains(&(local - end)), "{end} to {local}");
            short += usize::from(end < max_pack_size);
            assert!(end < max_pack_size + 10_000);

            let mut sealed = bytes[local..local + postamble.len as usize].to_vec();
            let index = opener.open_blob(&postamble.iv, &mut sealed).unwrap();
            let index = IndexFile::parse(index, 28).unwrap();
            assert_eq!(index.len(), here.len());
            here.sort_by_key(|e| e.id);
            for (entry, want) in index.entries().map(Result::unwrap).zip(here) {
                assert_eq!(ContentId::from_key(entry.key).unwrap(), want.id);
                assert_eq!(index.pack_name(entry.pack).unwrap(), *name);
                assert_eq!((entry.offset, entry.packed_len), (want.offset, want.packed_len));
            }
        }
        assert!(packs.len() > 3 && short <= 2, "{short} of {} packs are short", packs.len());
    }
}

/// The marker of a session is there from its first pack to its index blob (§8.3).
#[test]
fn sessions_leave_markers_while_they_last() {
    let (blobs, mut writer) = in_memory(WriterOptions { now: 1_795_400_823, ..WriterOptions::default() });
    let count = |prefix: &str| all(&blobs).keys().filter(|name| name.starts_with(prefix)).count();
    writer.put_content(0, b"one").unwrap();
    assert_eq!((count("s"), count("p"), count("xn")), (1, 0, 0));
    writer.finish_packs().unwrap();
    assert_eq!((count("s"), count("p"), count("xn")), (1, 1, 0));
    writer.flush().unwrap();
    assert_eq!((count("s"), count("p"), count("xn")), (0, 1, 1));
    let pack = all(&blobs).into_keys().find(|name| name.starts_with('p')).unwrap();
    let session = pack.split('-').nth(1).unwrap();
    assert!(session.starts_with('s') && session.len() == 20 && session.ends_with("147"), "{session}");
    writer.flush().unwrap();
    assert_eq!((count("p"), count("xn")), (1, 1), "nothing new, nothing written");
}

/// Equal contents are stored once, the same bytes with another prefix once more, deleted ones again and later.
#[test]
fn deduplication() {
    let (blobs, mut writer) = in_memory(WriterOptions::default());
    let id = writer.put_content(0, b"same").unwrap();
    assert_eq!(writer.put_content(0, b"same").unwrap(), id);
    assert_ne!(writer.put_content(b'k', b"same").unwrap(), id);
    writer.flush().unwrap();
    assert_eq!(writer.entries().len(), 2);
    writer.delete_content(&id).unwrap();
    writer.flush().unwrap();
    let deleted = writer.entry(&id).unwrap();
    assert!(deleted.deleted);
    assert_eq!(writer.put_content(0, b"same").unwrap(), id);
    writer.flush().unwrap();
    let entry = writer.entry(&id).unwrap();
    assert!(!entry.deleted && entry.timestamp > deleted.timestamp && entry.pack != deleted.pack);
    assert!(all(&blobs).keys().all(|name| BlobId::parse(name).is_ok()));
}

/// The IDs of Appendix C come out of its secret: content, directory and all.
#[test]
fn content_ids_of_the_appendix() {
    let secret = "440fa5481565f150512ccf3aa0884575e2bfd6c8b0e0de05392750f2a29f5a94";
    let options = WriterOptions { secret: Some(hex::decode(secret).unwrap()), ..WriterOptions::default() };
    let (_, mut writer) = in_memory(options);
    let metadata = |mode| Metadata { mode, uid: 0, gid: 0, mtime_ns: 1_704_164_645_678_901_234 };
    let fox = "The quick brown fox. ".repeat(100);
    let fox = writer.put_file(b"fox.txt", metadata(0o644), fox.as_bytes()).unwrap();
    let link = writer.put_symlink(b"link", metadata(0o777), b"../hello.txt").unwrap();
    let hello = writer.put_file(b"hello.txt", metadata(0o640), b"hello, kopia\n").unwrap();
    let mut sub = DirectoryWriter::new(&writer);
    sub.add(&mut writer, &fox).unwrap();
    sub.add(&mut writer, &link).unwrap();
    let sub = sub.finish(&mut writer, b"sub", metadata(0o755)).unwrap();
    let mut root = DirectoryWriter::new(&writer);
    root.add(&mut writer, &sub).unwrap();
    root.add(&mut writer, &hello).unwrap();
    let root = root.finish(&mut writer, b"samplesrc", metadata(0o755)).unwrap();
    writer.flush().unwrap();
    assert_eq!(root.object.unwrap().to_string(), "kbb6c1754b61601cfc2fb0fa80cad261a");
    let mut ids: Vec<String> = writer.entries().iter().map(|e| e.id.to_string()).collect();
    ids.sort();
    assert_eq!(
        ids,
        [
            "4fad65f29caa9fac71a245a32f56ec92",
            "6e219ff09242fb596ebbddf24c0b3357",
            "ac78e839013cdd80357969fa2c54adab",
            "k984f99fdc13e06eaa534b754828bb119",
            "kbb6c1754b61601cfc2fb0fa80cad261a",
        ]
    );
}
