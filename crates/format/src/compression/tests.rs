use proptest::prelude::*;

use super::*;

const VECTORS: &[(&str, &str)] = &[
    (
        "gzip",
        "000010001f8b08000000000000ffcace2fc84c5448cecf2d284a2d2e56c84d551815a18508200000ffff8f14bee868010000",
    ),
    (
        "gzip-best-speed",
        "000010011f8b08000000000004ffecd0c10900200002c0555c2dc2478428b93f3445bfbef7bcedac8169e5b085882f2f366e000000ffff8f14bee868010000",
    ),
    (
        "gzip-best-compression",
        "000010021f8b08000000000002ffcace2fc84c5448cecf2d284a2d2e56c84d551815a18508200000ffff8f14bee868010000",
    ),
    ("zstd", "0000110028b52ffd44006800dd000024016b6f70696120636f6d7072657373206d6520015411042ca62a21e24792"),
    (
        "zstd-fastest",
        "0000110128b52ffd44006800dd000024016b6f70696120636f6d7072657373206d6520015411042ca62a21e24792",
    ),
    (
        "zstd-better-compression",
        "0000110228b52ffd44006800dd000024016b6f70696120636f6d7072657373206d6520015411042ca62a21e24792",
    ),
    (
        "zstd-best-compression",
        "0000110328b52ffd44006800dd000024016b6f70696120636f6d7072657373206d6520015411042ca62a21e24792",
    ),
    (
        "s2-default",
        "00001200ff06000053327354774f001f000009b9e84be802446b6f70696120636f6d7072657373206d6520111219004a00",
    ),
    (
        "s2-better",
        "00001201ff06000053327354774f001f000009b9e84be802446b6f70696120636f6d7072657373206d6520111219004a00",
    ),
    (
        "s2-parallel-4",
        "00001202ff06000053327354774f001f000009b9e84be802446b6f70696120636f6d7072657373206d6520111219004a00",
    ),
    (
        "s2-parallel-8",
        "00001203ff06000053327354774f001f000009b9e84be802446b6f70696120636f6d7072657373206d6520111219004a00",
    ),
    (
        "pgzip",
        "000013001f8b080000096e8800ffcace2fc84c5448cecf2d284a2d2e56c84d551815a18508000000ffff03008f14bee868010000",
    ),
    (
        "pgzip-best-speed",
        "000013011f8b080000096e8804ffcace2fc84c5448cecf2d284a2d2e56c84d551815a18508000000ffff03008f14bee868010000",
    ),
    (
        "pgzip-best-compression",
        "000013021f8b080000096e8802ffcace2fc84c5448cecf2d284a2d2e56c84d551815a18508000000ffff03008f14bee868010000",
    ),
    ("deflate-default", "00001500cace2fc84c5448cecf2d284a2d2e56c84d551815a185086000"),
    ("deflate-best-speed", "00001501cace2fc84c5448cecf2d284a2d2e56c84d551815a185086000"),
    ("deflate-best-compression", "00001502cace2fc84c5448cecf2d284a2d2e56c84d551815a185086000"),
];

fn decode(data: &[u8], len: Option<usize>, limit: usize) -> Result<Vec<u8>, Error> {
    let (id, stream) = split_header(data)?;
    let mut out = vec![1, 2, 3];
    Decoder::default().decode(id, stream, len, limit, &mut out).map(|()| out)
}

fn plain() -> Vec<u8> {
    b"kopia compress me ".repeat(20)
}

#[test]
fn vectors_of_every_algorithm() {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for (name, stored) in VECTORS {
        let stored = hex::decode(stored).unwrap();
        let (id, stream) = split_header(&stored).unwrap();
        for len in [Some(360), None] {
            decoder.decode(id, stream, len, 1000, &mut out).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(out, plain(), "{name} {len:?}");
        }
    }
}

#[test]
fn wrong_lengths_and_bombs_are_refused() {
    for (name, stored) in VECTORS {
        let stored = hex::decode(stored).unwrap();
        for (len, limit) in [(Some(359), 1000), (Some(361), 1000), (None, 359), (Some(360), 100)] {
            assert!(decode(&stored, len, limit).is_err(), "{name} {len:?} {limit}");
        }
    }
    let zeros = zstd_of(&vec![0; 1 << 24]);
    assert!(decode(&zeros, None, 1 << 20).is_err());
    assert!(decode(&zeros, Some(1 << 20), 1 << 28).is_err());
}

fn zstd_of(plain: &[u8]) -> Vec<u8> {
    [&0x1100u32.to_be_bytes()[..], &::zstd::bulk::compress(plain, 3).unwrap()].concat()
}

/// Trap 28: repeat offsets, which Snappy does not have, and blocks above 64 KiB.
#[test]
fn trap_28_s2_repeats() {
    // Literal "abcd", copy 4 from 4, then repeat that offset for 8 + 4 bytes.
    let block = [24u8, 3 << 2, b'a', b'b', b'c', b'd', 1, 4, 5 << 2 | 1, 0, 8];
    let plain = b"abcd".repeat(6);
    let mut chunk = vec![0xff, 6, 0, 0];
    chunk.extend_from_slice(b"S2sTwO");
    chunk.extend_from_slice(&[0, (block.len() + 4) as u8, 0, 0]);
    chunk.extend_from_slice(&s2::tests_masked_crc(&plain).to_le_bytes());
    chunk.extend_from_slice(&block);
    let data = [&0x1200u32.to_be_bytes()[..], &chunk].concat();
    assert_eq!(decode(&data, Some(24), 100).unwrap(), plain);
}

/// Trap 29: LZ4 exists though the current Kopia refuses it.
#[test]
fn trap_29_lz4() {
    use std::io::Write;
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(&plain()).unwrap();
    let data = [&0x1400u32.to_be_bytes()[..], &encoder.finish().unwrap()].concat();
    assert_eq!(decode(&data, Some(360), 1000).unwrap(), plain());
    assert!(matches!(decode(&data, None, 10), Err(Error::TooLong { .. })));
}

#[test]
fn several_gzip_members_are_one_stream() {
    use std::io::Write;
    let member = |data: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let data = [&0x1300u32.to_be_bytes()[..], &member(b"one "), &member(b"two")].concat();
    assert_eq!(decode(&data, Some(7), 100).unwrap(), b"one two");
    assert_eq!(decode(&data, None, 100).unwrap(), b"one two");
    // The first one alone would have the length.
    assert!(decode(&data, Some(4), 100).is_err());
}

#[test]
fn unknown_headers_are_refused() {
    assert_eq!(decode(&[0, 0], None, 10), Err(Error::NoHeader(2)));
    assert_eq!(decode(&[0, 0, 0x16, 0, 1], None, 10), Err(Error::Unsupported(0x1600)));
}

proptest! {
    #[test]
    fn damage_never_panics_and_never_exceeds_the_limit(
        which in 0..VECTORS.len(), flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4),
        cut in any::<u16>(), known in any::<bool>(),
    ) {
        let mut stored = hex::decode(VECTORS[which].1).unwrap();
        for (at, with) in flips {
            let at = 4 + usize::from(at) % (stored.len() - 4);
            stored[at] ^= with;
        }
        stored.truncate(4 + usize::from(cut) % (stored.len() - 3));
        if let Ok(out) = decode(&stored, known.then_some(360), 5000) {
            prop_assert!(out.len() <= 5000);
        }
    }
}
