//! Damage: the right entries fail, for the right reason, and the rest is restored.

use std::path::Path;
use std::sync::Arc;

use rekopia::{ErrorKind, ObjectId, OnError, RestoreOptions, Source};
use rekopia_testkit::fixture::{Fixture, copy_dir};
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{
    DirectoryWriter, Entry, EntryKind, Metadata, NewSnapshot, RepositoryWriter, WriterOptions,
};

use crate::support::{open, open_at, open_blobs, quick, restore, verify};

pub(crate) const METADATA: Metadata =
    Metadata { mode: 0o755, uid: 0, gid: 0, mtime_ns: 1_700_000_000_123_456_789 };

/// A repository in memory with one directory, made by `fill`.
pub(crate) async fn built(
    options: WriterOptions,
    fill: impl FnOnce(&mut RepositoryWriter) -> Vec<Entry<'static>>,
) -> (MemoryBlobs, rekopia::Repository) {
    let memory = MemoryBlobs::default();
    let password = options.password.clone();
    let mut writer = RepositoryWriter::create(memory.clone(), options).unwrap();
    let entries = fill(&mut writer);
    let mut root = DirectoryWriter::new(&writer);
    entries.iter().for_each(|entry| root.add(&mut writer, entry).unwrap());
    let root = root.finish(&mut writer, b"p", METADATA).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/p".into() };
    writer.put_snapshot(&NewSnapshot::new(source, writer.now() * 1_000_000_000, root)).unwrap();
    writer.flush().unwrap();
    let repository = open_blobs(Arc::new(memory.clone()), &password).await.unwrap();
    (memory, repository)
}

pub(crate) fn file(writer: &mut RepositoryWriter, name: &str, data: &[u8]) -> Entry<'static> {
    writer.put_file(name.as_bytes().to_vec(), METADATA, data).unwrap()
}

fn damage(repo: &Path, prefix: &str, with: impl Fn(&mut Vec<u8>)) {
    let mut stack = vec![repo.join(prefix)];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            with(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_fail_alone_and_nothing_leaves_the_target() {
    let (_, repository) = built(WriterOptions::default(), |w| {
        ["../escape", "..", ".", "", "a/b", "nul\0", "good"]
            .iter()
            .map(|n| file(w, n, n.as_bytes()))
            .collect()
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let report = restore(&repository, "u@h", &target, &quick()).await.unwrap();
    // All are named; those that can be are restored under another name.
    assert_eq!((report.files, report.failed), (5, 6), "{:?}", report.failures);
    assert_eq!(std::fs::read(target.join("good")).unwrap(), b"good");
    assert_eq!(std::fs::read(target.join(".._escape")).unwrap(), b"../escape");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_are_both_restored_and_reported() {
    let (_, repository) = built(WriterOptions::default(), |w| {
        vec![file(w, "name", b"one"), file(w, "other", b"x"), file(w, "name", b"two")]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let report = restore(&repository, "u@h", dir.path(), &quick()).await.unwrap();
    assert_eq!((report.files, report.failed), (3, 1));
    let mut found: Vec<Vec<u8>> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| std::fs::read(e.unwrap().path()).unwrap()).collect();
    found.sort();
    assert_eq!(found, [b"one".to_vec(), b"two".to_vec(), b"x".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_disagree_are_an_error_and_leave_no_file() {
    let (_, repository) = built(WriterOptions::default(), |w| {
        let (mut long, mut short) = (file(w, "long", b"12345"), file(w, "short", b"1234567"));
        (long.kind, short.kind) = (EntryKind::File(6), EntryKind::File(3));
        let mut odd = file(w, "odd", b"x");
        odd.kind = EntryKind::Other('p');
        let mut lost = file(w, "lost", b"x");
        lost.object = ObjectId::parse("00112233445566778899aabbccddeeff").ok();
        vec![long, short, odd, lost, file(w, "right", b"12345")]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let report = restore(&repository, "u@h", dir.path(), &quick()).await.unwrap();
    let failed: Vec<&str> = report.failures().iter().map(|f| f.path.as_str()).collect();
    assert_eq!(failed, ["long", "lost", "odd", "short"]);
    assert!(report.failures().iter().all(|f| f.kind == ErrorKind::Corrupt));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_round_trips() {
    for version in [1, 2, 3] {
        for (hash, encryption, compression, ecc_percent) in [
            ("BLAKE2B-256-128", "AES256-GCM-HMAC-SHA256", Some("zstd"), 0),
            ("HMAC-SHA3-256", "CHACHA20-POLY1305-HMAC-SHA256", Some("pgzip"), 0),
            ("BLAKE3-256", "AES256-GCM-HMAC-SHA256", Some("deflate-default"), 20),
            ("HMAC-SHA224", "AES256-GCM-HMAC-SHA256", Some("lz4"), 2),
            ("BLAKE2S-128", "CHACHA20-POLY1305-HMAC-SHA256", None, 0),
        ] {
            let options = WriterOptions {
                hash: hash.into(),
                encryption: encryption.into(),
                compression: compression.map(str::to_owned),
                // Error correction does not exist in version 1.
                ecc_percent: if version == 1 { 0 } else { ecc_percent },
                splitter: "FIXED-128K".into(),
                max_pack_size: 300_000,
                key_algo: "pbkdf2-sha256-600000".into(),
                ..WriterOptions::of_version(version)
            };
            let big = b"some text that repeats ".repeat(40_000);
            let (_, repository) =
                built(options, |w| vec![file(w, "big", &big), file(w, "empty", b""), file(w, "small", b"s")])
                    .await;
            let dir = tempfile::tempdir().unwrap();
            let options = quick().hash(true);
            let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
            assert!(report.is_complete(), "{version} {hash} {compression:?}: {:?}", report.failures);
            assert_eq!(std::fs::read(dir.path().join("big")).unwrap(), big);
            // And once more onto itself.
            let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
            assert!(report.is_complete(), "{version} {hash} {compression:?}: {:?}", report.failures);
            assert_eq!(std::fs::read(dir.path().join("big")).unwrap(), big);
        }
    }
}

/// Each content authenticates; of those that are hashed side by side, the right one is found false.
#[tokio::test(flavor = "multi_thread")]
async fn a_content_under_a_false_name_is_found_by_its_hash() {
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    let (_, repository) = built(options, |w| {
        let bytes = |seed: u8| (0..500_000u32).map(move |n| (n.wrapping_mul(n) >> 7) as u8 ^ seed);
        let mut files: Vec<_> =
            (0..5).map(|n| file(w, &format!("{n}"), &bytes(n).collect::<Vec<_>>())).collect();
        let alone = file(w, "alone", b"what belongs there");
        let id = *alone.object.as_ref().unwrap().content();
        w.put_false_content(id, b"what does not, but", w.now() + 1).unwrap();
        files.insert(2, alone);
        files
    })
    .await;
    for hash in [false, true] {
        let options = rekopia::VerifyOptions::default().hash(hash).threads(1);
        let report = verify(&repository, "u@h", &options).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = quick().hash(hash);
        let restored = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
        for report in [report, restored] {
            let failed: Vec<&str> = report.failures().iter().map(|f| f.path.as_str()).collect();
            assert_eq!(failed, if hash { &["alone"][..] } else { &[] });
            assert_eq!(report.files, 6 - failed.len() as u64);
            assert!(
                report.failures().iter().all(|f| f.kind == ErrorKind::Corrupt && f.message.contains("hash"))
            );
        }
        assert_eq!(dir.path().join("alone").exists(), !hash);
    }
}

/// Only a false name lets a folder hold itself; the walk has to end there.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_holds_itself_is_damage() {
    let (_, repository) = built(WriterOptions::default(), |w| {
        let inner = file(w, "a", b"a");
        let mut folder = DirectoryWriter::new(w);
        folder.add(w, &inner).unwrap();
        let folder = folder.finish(w, b"folder".to_vec(), METADATA).unwrap();
        let id = *folder.object.as_ref().unwrap().content();
        let entry = format!(r#"{{"name":"again","type":"d","mode":"0755","obj":"{id}"}}"#);
        let itself = format!(r#"{{"stream":"kopia:directory","entries":[{entry}],"summary":null}}"#);
        w.put_false_content(id, itself.as_bytes(), w.now() + 1).unwrap();
        vec![folder]
    })
    .await;
    let report = verify(&repository, "u@h", &rekopia::VerifyOptions::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let restored = restore(&repository, "u@h", dir.path(), &quick()).await.unwrap();
    for report in [report, restored] {
        assert!(!report.is_complete());
        assert!(report.failures().iter().all(|f| f.kind == ErrorKind::Corrupt), "{:?}", report.failures());
    }
    assert!(!dir.path().join("folder/again").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_without_index_and_lost_packs_are_damage() {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    copy_dir(&fixture.repo(), &repo);
    std::fs::remove_dir_all(repo.join("x")).unwrap();
    assert_eq!(open_at(&repo, &fixture.password).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(open_at(&empty, "x").await.unwrap_err().kind(), ErrorKind::NoRepository);
    copy_dir(&fixture.repo(), &repo);
    std::fs::remove_dir_all(repo.join("p")).unwrap();
    let repository = open_at(&repo, &fixture.password).await.unwrap();
    let report = restore(&repository, "latest", &dir.path().join("t"), &quick()).await.unwrap();
    assert_eq!(report.files + report.symlinks, 0);
    assert!(
        report.failures().iter().all(|f| f.kind == ErrorKind::Corrupt && f.message.contains("in pack p"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_files_stay_as_they_were_when_their_data_is_damaged() {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("t"));
    copy_dir(&fixture.repo(), &repo);
    let repository = open(&fixture).await;
    let first = &fixture.snapshots[0].manifest_id;
    restore(&repository, first, &target, &quick()).await.unwrap();
    for entry in ["config/secret.key", "config/settings.yaml"] {
        std::fs::write(target.join(entry), format!("mine: {entry}")).unwrap();
    }
    let before = Tree::read(&target);
    damage(&repo, "p", |bytes| bytes.iter_mut().skip(40).step_by(50).for_each(|b| *b ^= 1));
    let repository = open_at(&repo, &fixture.password).await.unwrap();
    let options = quick().delete_extra(true);
    std::fs::write(target.join("extra"), "stays, since not everything is restored").unwrap();
    let report = restore(&repository, first, &target, &options).await.unwrap();
    assert!(report.failed > 0 && report.deleted == 0);
    assert!(report.failures().iter().all(|f| !f.mixed));
    let after = Tree::read(&target);
    for entry in ["config/secret.key", "config/settings.yaml"] {
        assert_eq!(after.entries[entry], before.entries[entry]);
    }
    assert!(target.join("extra").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_at_the_first_error_gives_its_kind() {
    let fixture = Fixture::load("damaged-pack-missing");
    let snapshot = fixture.snapshots.iter().find(|s| s.expect_error).unwrap();
    let repository = open(&fixture).await;
    let dir = tempfile::tempdir().unwrap();
    let options = quick().on_error(OnError::Stop);
    let target = dir.path().join("t");
    // Known before anything is written: the pack is not listed.
    let error = restore(&repository, &snapshot.manifest_id, &target, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!target.exists());
}
