//! Stored bytes → plaintext → hash.

use std::hint::black_box;

use anyhow::{Result, ensure};
use rekopia_format::compression::{Decoder, split_header};
use rekopia_format::ecc::Ecc;
use rekopia_format::encryption::ContentCipher;
use rekopia_format::hashing::{HashAlgorithm, HashStream, KeyedHash};
use rekopia_testkit::corpus::{Filling, Texture};
use rekopia_testkit::random::Random;
use rekopia_testkit::writer::{Compressor, Sealer};

use super::{Steps, Unit};

/// Sizes of contents: a small file, a piece of a large one.
const SIZES: [(usize, &str); 2] = [(4 << 10, "4 KiB"), (4 << 20, "4 MiB")];
const MASTER_KEY: [u8; 32] = [7; 32];

/// Every cipher; those that Kopia dropped, where any bytes open.
pub(super) fn decryption(steps: &mut Steps) -> Result<()> {
    let sealed = ["AES256-GCM-HMAC-SHA256", "CHACHA20-POLY1305-HMAC-SHA256"];
    for name in sealed.into_iter().chain(["AES-256-CTR", "SALSA20"]) {
        let cipher = ContentCipher::new(name, &MASTER_KEY)?;
        for (size, shown) in SIZES {
            let iv = [1; 16];
            let mut stored = vec![0; size];
            Random::new(1).fill(&mut stored);
            if sealed.contains(&name) {
                let plaintext = std::mem::take(&mut stored);
                Sealer::new(name, &MASTER_KEY, 0, Random::new(2))?.seal(&iv, &plaintext, &mut stored);
            }
            let times = steps.bytes / size;
            steps.time(
                &format!("decrypt {name}, {shown}"),
                Unit::Bytes(size as u64),
                times as u64,
                // Opened in place: each needs a copy.
                || Ok(vec![stored.clone(); times]),
                |copies| {
                    for copy in copies {
                        black_box(cipher.open_in_place(&iv, copy)?);
                    }
                    Ok(())
                },
            )?;
        }
    }
    let ecc = Ecc::new(2)?;
    let stored = ecc.encode(&noise(SIZES[1].0));
    let times = steps.bytes / SIZES[1].0;
    steps.time(
        "check error correction, nothing damaged, 4 MiB",
        Unit::Bytes(SIZES[1].0 as u64),
        times as u64,
        || Ok(vec![stored.clone(); times]),
        |copies| {
            for copy in copies {
                black_box(ecc.decode_in_place(copy)?);
            }
            Ok(())
        },
    )
}

/// Every family, on text; the rate is that of what comes out.
pub(super) fn decompression(steps: &mut Steps) -> Result<()> {
    for (size, shown) in SIZES {
        let text = text(size);
        for name in ["zstd-fastest", "zstd", "s2-default", "gzip", "deflate-default", "lz4"] {
            let mut stored = Vec::new();
            ensure!(Compressor::new(name)?.compress(&text, &mut stored), "{name} does not compress");
            let (id, stream) = split_header(&stored)?;
            let (mut decoder, mut out) = (Decoder::default(), Vec::with_capacity(size));
            let times = steps.bytes / size;
            steps.time(
                &format!("decompress {name}, {shown}"),
                Unit::Bytes(size as u64),
                times as u64,
                || Ok(()),
                |_| {
                    for _ in 0..times {
                        decoder.decode(id, stream, Some(size), size, &mut out)?;
                        black_box(&out);
                    }
                    Ok(())
                },
            )?;
            ensure!(out.is_empty() || out == text, "{name} gives something else");
        }
    }
    Ok(())
}

/// Every hash, one content at a time, and four where that is faster.
pub(super) fn hashing(steps: &mut Steps) -> Result<()> {
    for algorithm in HashAlgorithm::all() {
        let hash = KeyedHash::new(algorithm, &[3; 32])?;
        for (size, shown) in SIZES {
            let data = noise(steps.bytes);
            let times = steps.bytes / size;
            steps.time(
                &format!("hash {}, {shown}", algorithm.name()),
                Unit::Bytes(size as u64),
                times as u64,
                || Ok(()),
                |_| {
                    for chunk in data.chunks(size) {
                        black_box(hash.hash(chunk));
                    }
                    Ok(())
                },
            )?;
            if hash.width() == 1 {
                continue;
            }
            steps.time(
                &format!("hash {}, {shown}, four at once", algorithm.name()),
                Unit::Bytes(size as u64),
                times as u64,
                || Ok(()),
                |_| {
                    for four in data.chunks(4 * size) {
                        let mut streams = [hash.start(), hash.start(), hash.start(), hash.start()];
                        HashStream::update_many(streams.iter_mut().zip(four.chunks(size)));
                        for stream in streams {
                            black_box(stream.finish());
                        }
                    }
                    Ok(())
                },
            )?;
        }
    }
    Ok(())
}

fn noise(size: usize) -> Vec<u8> {
    let mut data = vec![0; size];
    Random::new(5).fill(&mut data);
    data
}

fn text(size: usize) -> Vec<u8> {
    let (mut filling, mut all, mut block) =
        (Filling::new(4, size as u64, Texture::Text), Vec::with_capacity(size), Vec::new());
    while filling.next_block(&mut block) {
        all.extend_from_slice(&block);
    }
    all
}
