//! Writes and restores with every algorithm.

use rekopia_testkit::writer::splitter::Splitter;
use rekopia_testkit::writer::{Error, RepositoryWriter, WriterOptions};

use rekopia_testkit::storage::MemoryBlobs;

use crate::support::{make_tree, there_and_back};

const COMPRESSORS: [&str; 18] = [
    "gzip",
    "gzip-best-speed",
    "gzip-best-compression",
    "zstd",
    "zstd-fastest",
    "zstd-better-compression",
    "zstd-best-compression",
    "s2-default",
    "s2-better",
    "s2-parallel-4",
    "s2-parallel-8",
    "pgzip",
    "pgzip-best-speed",
    "pgzip-best-compression",
    "lz4",
    "deflate-default",
    "deflate-best-speed",
    "deflate-best-compression",
];

const HASHES: [&str; 11] = [
    "BLAKE2B-256-128",
    "BLAKE2B-256",
    "BLAKE2S-128",
    "BLAKE2S-256",
    "BLAKE3-256",
    "BLAKE3-256-128",
    "HMAC-SHA256",
    "HMAC-SHA256-128",
    "HMAC-SHA224",
    "HMAC-SHA3-224",
    "HMAC-SHA3-256",
];

fn versions() -> [WriterOptions; 3] {
    [WriterOptions::of_version(1), WriterOptions::of_version(2), WriterOptions::default()]
}

/// Every hash with every cipher; compressors, versions and key derivation take turns.
#[tokio::test(flavor = "multi_thread")]
async fn every_hash_and_cipher() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 200_000);
    for (number, hash) in HASHES.into_iter().enumerate() {
        for (other, encryption) in
            ["AES256-GCM-HMAC-SHA256", "CHACHA20-POLY1305-HMAC-SHA256"].into_iter().enumerate()
        {
            let options = WriterOptions {
                hash: hash.into(),
                encryption: encryption.into(),
                compression: Some(COMPRESSORS[(number * 2 + other) % 18].into()),
                splitter: "DYNAMIC-128K-RABINKARP".into(),
                ..versions()[(number + other) % 3].clone()
            };
            there_and_back(options, dir.path()).await;
        }
    }
}

/// Every compressor for data and for metadata, as contents and (version 1) as objects.
#[tokio::test(flavor = "multi_thread")]
async fn every_compressor() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 300_000);
    for name in COMPRESSORS {
        for version in [WriterOptions::of_version(1), WriterOptions::default()] {
            let (compression, metadata_compression) = (Some(name.into()), Some(name.into()));
            let splitter = "FIXED-128K".into();
            let options = WriterOptions { compression, metadata_compression, splitter, ..version };
            there_and_back(options, dir.path()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 1000);
    let pbkdf2 = WriterOptions { key_algo: "pbkdf2-sha256-600000".into(), ..WriterOptions::default() };
    there_and_back(pbkdf2, dir.path()).await;
    let unkeyed = WriterOptions { secret: Some(Vec::new()), ..WriterOptions::default() };
    there_and_back(unkeyed, dir.path()).await;
    let short =
        WriterOptions { secret: Some(vec![1; 16]), hash: "BLAKE3-256".into(), ..WriterOptions::default() };
    there_and_back(short, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn error_correction() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 100_000);
    for ecc_percent in [1, 2, 7, 20, 100] {
        there_and_back(WriterOptions { ecc_percent, ..WriterOptions::default() }, dir.path()).await;
    }
}

/// Splitters with chunks small enough for the tree; and chunks so small that seek tables are five levels deep.
#[tokio::test(flavor = "multi_thread")]
async fn splitters_and_deep_objects() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 3_000_000);
    for splitter in Splitter::names().filter(|name| !name.contains("4M") && !name.contains("8M")) {
        there_and_back(WriterOptions { splitter, ..WriterOptions::default() }, dir.path()).await;
    }
    for version in versions() {
        let options =
            WriterOptions { chunk_size: Some(512), max_pack_size: 300_000, index_every: 1000, ..version };
        there_and_back(options, dir.path()).await;
    }
}

/// In between: version 1 with the new index layout, and upgraded repositories that keep their replicas.
#[tokio::test(flavor = "multi_thread")]
async fn mixed_settings() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 50_000);
    let zstd = Some(String::from("zstd"));
    let new_layout = WriterOptions { index_version: 2, compression: zstd, ..WriterOptions::of_version(1) };
    there_and_back(new_layout, dir.path()).await;
    there_and_back(WriterOptions { enable_password_change: false, ..WriterOptions::default() }, dir.path())
        .await;
    there_and_back(WriterOptions { index_version: 1, ..WriterOptions::default() }, dir.path()).await;
}

#[test]
fn equal_seeds_give_equal_repositories() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 10_000);
    let written = |seed| {
        let blobs = MemoryBlobs::default();
        let mut writer =
            RepositoryWriter::create(blobs.clone(), WriterOptions { seed, ..WriterOptions::default() })
                .unwrap();
        writer.put_tree(dir.path()).unwrap();
        writer.flush().unwrap();
        blobs.blobs.lock().unwrap().clone()
    };
    assert_eq!(written(1), written(1));
    assert_ne!(written(1), written(2));
}

#[test]
fn impossible_options_are_refused() {
    let default = WriterOptions::default;
    for options in [
        WriterOptions { hash: "MD5".into(), ..default() },
        WriterOptions { encryption: "ROT13".into(), ..default() },
        WriterOptions { compression: Some("rar".into()), ..default() },
        WriterOptions { splitter: "DYNAMIC-3M-BUZHASH".into(), ..default() },
        WriterOptions { key_algo: String::new(), ..default() },
        WriterOptions { ecc_percent: 20, ..WriterOptions::of_version(1) },
        WriterOptions { ecc_percent: 101, ..default() },
        WriterOptions { chunk_size: Some(100), ..default() },
        WriterOptions { index_version: 3, ..default() },
    ] {
        let what = format!("{options:?}");
        assert!(RepositoryWriter::create(MemoryBlobs::default(), options).is_err(), "{what}");
    }
    let (_, mut writer) = crate::support::in_memory(default());
    assert!(matches!(writer.put_content(b'A', b"x"), Err(Error::Id(_))));
}
