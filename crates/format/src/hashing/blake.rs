//! Hashes with BLAKE2b, BLAKE2s and BLAKE3, keyed.

use zeroize::Zeroizing;

use super::algorithm::HashAlgorithm;
use super::blake2b::{self, Stream};

/// A hash of the BLAKE family, with its key.
pub(super) enum Blake {
    /// BLAKE2b; the second member is a stream before its first byte, where many are hashed in lanes of our own.
    B2b(Box<blake2b_simd::Params>, Option<Box<Stream>>),
    B2s(Box<blake2s_simd::Params>),
    B3(Zeroizing<[u8; 32]>),
}

/// The context of BLAKE3 for keys that are too short for its keyed mode.
const CONTEXT: &str = "kopia blake3 derived key v1";

impl Blake {
    /// Makes a hash; `None`: another family. `Some(None)`: a key of a length that the hash cannot take.
    pub(super) fn new(algorithm: HashAlgorithm, secret: &[u8]) -> Option<Option<Self>> {
        Some(match algorithm {
            HashAlgorithm::Blake2b256 | HashAlgorithm::Blake2b256_128 => (secret.len() <= 64).then(|| {
                // The short form is a truncation: the digest length that goes into the parameters is 32 in both.
                let mut params = blake2b_simd::Params::new();
                params.hash_length(32).key(secret);
                let wide = blake2b::is_wide().then(|| Box::new(Stream::new(secret)));
                Blake::B2b(Box::new(params), wide)
            }),
            HashAlgorithm::Blake2s256 => (secret.len() <= 32).then(|| {
                let mut params = blake2s_simd::Params::new();
                params.hash_length(32).key(secret);
                Blake::B2s(Box::new(params))
            }),
            HashAlgorithm::Blake2s128 => (1..=32).contains(&secret.len()).then(|| {
                // Not a truncation: a digest length of its own.
                let mut params = blake2s_simd::Params::new();
                params.hash_length(16).key(secret);
                Blake::B2s(Box::new(params))
            }),
            HashAlgorithm::Blake3_256 | HashAlgorithm::Blake3_256_128 => Some(Blake::B3(Zeroizing::new(
                secret.first_chunk::<32>().copied().unwrap_or_else(|| blake3::derive_key(CONTEXT, secret)),
            ))),
            _ => return None,
        })
    }

    pub(super) fn hash(&self, data: &[u8]) -> [u8; 32] {
        match self {
            Blake::B2b(params, _) => widen(params.hash(data).as_bytes()),
            Blake::B2s(params) => widen(params.hash(data).as_bytes()),
            Blake::B3(key) => *blake3::keyed_hash(key, data).as_bytes(),
        }
    }

    pub(super) fn start(&self) -> BlakeStream {
        match self {
            Blake::B2b(_, Some(stream)) => BlakeStream::WideB2b(stream.clone()),
            Blake::B2b(params, None) => BlakeStream::B2b(Box::new(params.to_state())),
            Blake::B2s(params) => BlakeStream::B2s(Box::new(params.to_state())),
            Blake::B3(key) => BlakeStream::B3(Box::new(blake3::Hasher::new_keyed(key))),
        }
    }

    /// Returns how many streams cost about as much as one.
    pub(super) fn width(&self) -> usize {
        match self {
            Blake::B2b(_, Some(_)) => blake2b::LANES,
            Blake::B2b(_, None) => blake2b_simd::many::degree(),
            Blake::B2s(_) => blake2s_simd::many::degree(),
            // Wide by itself.
            Blake::B3(_) => 1,
        }
    }
}

/// A hash of the BLAKE family that is fed piece by piece.
pub(super) enum BlakeStream {
    WideB2b(Box<Stream>),
    B2b(Box<blake2b_simd::State>),
    B2s(Box<blake2s_simd::State>),
    B3(Box<blake3::Hasher>),
}

impl BlakeStream {
    pub(super) fn update_many(pairs: Vec<(&mut Self, &[u8])>) {
        let (mut wide, mut b2b, mut b2s) = (Vec::new(), Vec::new(), Vec::new());
        for (stream, bytes) in pairs {
            match stream {
                BlakeStream::WideB2b(stream) => wide.push((&mut **stream, bytes)),
                BlakeStream::B2b(state) => b2b.push((&mut **state, bytes)),
                BlakeStream::B2s(state) => b2s.push((&mut **state, bytes)),
                BlakeStream::B3(hasher) => drop(hasher.update(bytes)),
            }
        }
        Stream::update_many(wide);
        let mut spare =
            vec![blake2b_simd::State::new(); spare_lanes(b2b.len(), blake2b_simd::many::degree())];
        blake2b_simd::many::update_many(fill(b2b, &mut spare));
        let mut spare =
            vec![blake2s_simd::State::new(); spare_lanes(b2s.len(), blake2s_simd::many::degree())];
        blake2s_simd::many::update_many(fill(b2s, &mut spare));
    }

    pub(super) fn finish(&self) -> [u8; 32] {
        match self {
            BlakeStream::WideB2b(stream) => stream.finish(),
            BlakeStream::B2b(state) => widen(state.finalize().as_bytes()),
            BlakeStream::B2s(state) => widen(state.finalize().as_bytes()),
            BlakeStream::B3(hasher) => *hasher.finalize().as_bytes(),
        }
    }
}

/// Returns how many streams beside `streams` real ones make it faster: three of four lanes are hashed as two and one,
/// which takes half as long again as all four.
fn spare_lanes(streams: usize, degree: usize) -> usize {
    let lanes = if streams > degree / 2 { degree } else { streams.next_power_of_two() };
    lanes.saturating_sub(streams.max(1))
}

/// Gives the spare lanes bytes that are never more than a real stream has.
fn fill<'a, S>(mut streams: Vec<(&'a mut S, &'a [u8])>, spare: &'a mut [S]) -> Vec<(&'a mut S, &'a [u8])> {
    let shortest =
        streams.iter().map(|(_, bytes)| *bytes).min_by_key(|bytes| bytes.len()).unwrap_or_default();
    streams.extend(spare.iter_mut().map(|state| (state, shortest)));
    streams
}

fn widen(hash: &[u8]) -> [u8; 32] {
    let mut wide = [0; 32];
    for (to, from) in wide.iter_mut().zip(hash) {
        *to = *from;
    }
    wide
}
