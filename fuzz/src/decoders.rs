//! Stored bytes → plaintext: compression, error correction, contents.

use std::io::{Read, Write};
use std::sync::OnceLock;

use rekopia_format::compression::{Decoder, Family, gunzip};
use rekopia_format::content::{ContentOpener, Packed, decode_object};
use rekopia_format::ecc::Ecc;
use rekopia_format::encryption::ContentCipher;
use rekopia_format::hashing::{HashAlgorithm, KeyedHash};
use rekopia_format::{ContentId, index_blob};
use rekopia_testkit::random::Random;
use rekopia_testkit::writer::Sealer;

use crate::input::Input;

/// Bytes that a decoder may have beside what it gives back.
const SLACK: usize = 64 << 10;

/// Decodes with a length or without; never more than the limit may come out or be kept.
fn decode(id: u32, stream: &[u8], len: Option<usize>, limit: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let done = Decoder::default().decode(id, stream, len, limit, &mut out);
    let most = len.unwrap_or(limit).min(limit);
    assert!(out.len() <= most, "{} bytes came out, at most {most} may", out.len());
    assert!(out.capacity() <= 2 * most + SLACK, "{} bytes for {most}", out.capacity());
    done.ok()?;
    assert!(len.is_none_or(|len| len == out.len()), "another length than {len:?}: {}", out.len());
    Some(out)
}

/// A stream of one family, without its length, with it, and with a wrong one.
fn family(id: u32, data: &[u8]) -> Option<Vec<u8>> {
    let mut input = Input(data);
    let limit = usize::from(input.u16()) * 4;
    let unknown = decode(id, input.0, None, limit);
    let known = decode(id, input.0, Some(limit), limit);
    if let (Some(known), Some(unknown)) = (&known, &unknown) {
        assert_eq!(known, unknown, "the length changes what comes out");
    }
    let found = unknown.as_ref()?;
    let exact = decode(id, input.0, Some(found.len()), limit);
    assert_eq!(exact.as_ref(), Some(found), "the right length is refused");
    if !found.is_empty() {
        assert!(decode(id, input.0, Some(found.len() - 1), limit).is_none(), "it was cut");
    }
    assert!(decode(id, input.0, Some(found.len() + 1), limit + 1).is_none(), "it was padded");
    unknown
}

/// Zstandard.
pub fn zstd(data: &[u8]) {
    family(0x1100, data);
}

/// LZ4 frames.
pub fn lz4(data: &[u8]) {
    family(0x1400, data);
}

/// S2 and Snappy, beside a second decoder.
pub fn s2(data: &[u8]) {
    let ours = family(0x1200, data);
    let mut input = Input(data);
    let limit = usize::from(input.u16()) * 4;
    let mut theirs = Vec::new();
    let reader = minlz::s2::Reader::new(input.0);
    let done = reader.take(limit as u64 + 1).read_to_end(&mut theirs);
    if let (Some(ours), Ok(_)) = (ours, done) {
        assert_eq!(ours, theirs, "the second decoder says otherwise");
    }
}

/// gzip: libdeflate with a length, zlib-rs without.
pub fn gzip(data: &[u8]) {
    let ours = family(0x1000, data);
    let mut input = Input(data);
    let limit = usize::from(input.u16()) * 4;
    let mut plain = Vec::new();
    let done = gunzip(input.0, limit, &mut plain);
    assert_eq!(ours, done.ok().map(|()| plain), "a manifest would be another");
    // Random checksums are never right: two members that are.
    let half = input.0.len() / 3;
    let (first, second) = input.0.split_at(half);
    let stream = [member(first), member(second)].concat();
    let both = decode(0x1000, &stream, None, input.0.len());
    assert_eq!(both.as_deref(), Some(input.0), "two members are not one after the other");
    if first.len() != second.len() {
        let cut = decode(0x1000, &stream, Some(first.len()), input.0.len());
        assert!(cut.is_none() || second.is_empty(), "the second member was cut off");
    }
}

fn member(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Raw deflate: libdeflate with a length, zlib-rs without.
pub fn deflate(data: &[u8]) {
    family(0x1500, data);
}

/// Whole objects: the header picks the family.
pub fn object(data: &[u8]) {
    let mut input = Input(data);
    let limit = usize::from(input.u16());
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    let _ = Family::of(input.u32());
    // One decoder for several streams: what a damaged one leaves must not touch the next.
    let middle = usize::from(input.u16());
    let (first, second) = (input.take(middle), input.0);
    let _ = decode_object(&mut decoder, first, None, limit, &mut out);
    let again = decode_object(&mut decoder, second, None, limit, &mut out).ok().map(|()| out.clone());
    let mut fresh = Vec::new();
    let alone = decode_object(&mut Decoder::default(), second, None, limit, &mut fresh).ok().map(|()| fresh);
    assert_eq!(again, alone, "an earlier stream changes a later one");
}

/// Error correction: what was encoded comes back, exactly or not at all.
pub fn ecc(data: &[u8]) {
    let mut input = Input(data);
    let percent = u32::from(input.byte());
    let flips: Vec<(u32, u8)> = (0..input.byte() % 12).map(|_| (input.u32(), input.byte())).collect();
    let repeat = usize::from(input.byte() % 32);
    let Ok(code) = Ecc::new(percent) else {
        assert!(!(1..=100).contains(&percent), "{percent} % is an overhead");
        return;
    };
    let mut raw = input.0.to_vec();
    let _ = code.decode_in_place(&mut raw);
    // Long inputs are several blocks.
    let plain = input.0.repeat(1 + repeat);
    let stored = code.encode(&plain);
    let mut damaged = stored.clone();
    for (at, xor) in &flips {
        let at = *at as usize % damaged.len();
        damaged[at] ^= xor;
    }
    let changed = stored.iter().zip(&damaged).filter(|(a, b)| a != b).count();
    let decoded = code.decode_in_place(&mut damaged);
    match decoded {
        Ok(found) => assert_eq!(found, plain, "{changed} bytes changed, and it decodes to something else"),
        Err(e) => assert!(changed > 2, "{changed} bytes changed, but {e}"),
    }
}

/// Openers of all ciphers, with and without error correction.
fn openers() -> &'static [(&'static str, u8, ContentOpener)] {
    static OPENERS: OnceLock<Vec<(&str, u8, ContentOpener)>> = OnceLock::new();
    OPENERS.get_or_init(|| {
        let today = ["AES256-GCM-HMAC-SHA256", "CHACHA20-POLY1305-HMAC-SHA256"];
        let removed = ["AES-256-CTR", "NONE", "SALSA20", "SALSA20-HMAC"];
        let all = today.iter().flat_map(|name| [(*name, 0), (*name, 2)]).chain(removed.map(|name| (name, 0)));
        all.filter_map(|(name, percent)| {
            let cipher = ContentCipher::new(name, &[7; 32]).ok()?;
            let ecc = (percent > 0).then(|| Ecc::new(percent.into()).expect("an overhead"));
            let hash = HashAlgorithm::parse("BLAKE2B-256-128").expect("a hash");
            Some((name, percent, ContentOpener::new(cipher, ecc, KeyedHash::new(hash, &[7; 32]).ok()?)))
        })
        .collect()
    })
}

/// Contents: the input as stored bytes, and sealed as a plaintext that need not be one.
pub fn content(data: &[u8]) {
    let mut input = Input(data);
    let all = openers();
    let (name, percent, opener) = &all[usize::from(input.byte()) % all.len()];
    let compression = input.pick(&[0, 0x1000, 0x1100, 0x1200, 0x1400, 0x1500, 0x7777]);
    let original_len = u32::from(input.u16());
    let packed = Packed { packed_len: input.0.len() as u32, original_len, compression };
    let id = ContentId::new(0, &opener.hash().hash(input.0)).expect("a hash");
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    let mut raw = input.0.to_vec();
    if opener.open(&id, &packed, &mut raw, &mut decoder, &mut out).is_ok() {
        assert!(!opener.is_authenticated(), "{name} opened what nobody sealed");
    }
    let blob = rekopia_format::BlobId::parse(&format!("n{}", hex(id.hash()))).expect("a name");
    let iv = index_blob::blob_iv(&blob).expect("32 digits");
    let _ = opener.open_blob_range(&iv, &mut input.0.to_vec(), &mut 0);
    let Ok(mut sealer) = Sealer::new(name, &[7; 32], *percent, Random::new(1)) else { return };
    let mut stored = Vec::new();
    sealer.seal(id.iv(), input.0, &mut stored);
    let plain = opener.open(&id, &packed, &mut stored, &mut decoder, &mut out);
    match plain {
        Ok(plain) => {
            assert_eq!(plain.len(), original_len as usize, "another length");
            assert!(compression != 0 || plain == input.0, "opened to something else");
        }
        Err(e) => assert!(compression != 0 || original_len as usize != input.0.len(), "{e}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
