//! Hashes with a key: such hashes name contents and blobs (§3.2).

mod algorithm;
mod blake;
mod blake2b;
mod hmacs;

use std::ops::Deref;

pub use algorithm::{Error, HashAlgorithm};

use blake::{Blake, BlakeStream};
use hmacs::Hmacs;

/// A hash value of at most 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashOutput {
    bytes: [u8; 32],
    len: usize,
}

impl HashOutput {
    fn new(bytes: &[u8], len: usize) -> Self {
        let mut output = HashOutput { bytes: [0; 32], len };
        for (to, from) in output.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        output
    }
}

impl Deref for HashOutput {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A hash with its key, ready for many inputs.
pub struct KeyedHash {
    algorithm: HashAlgorithm,
    state: State,
}

enum State {
    Blake(Blake),
    Hmac(Box<Hmacs>),
}

impl KeyedHash {
    /// Prepares the key; it may be empty except for BLAKE2S-128.
    ///
    /// # Errors
    /// [`Error::KeyLength`].
    pub fn new(algorithm: HashAlgorithm, secret: &[u8]) -> Result<Self, Error> {
        let too_long = Error::KeyLength { name: algorithm.name(), len: secret.len() };
        let state = match Blake::new(algorithm, secret) {
            Some(Some(blake)) => State::Blake(blake),
            Some(None) => return Err(too_long),
            None => State::Hmac(Box::new(Hmacs::new(algorithm, secret).ok_or(too_long)?)),
        };
        Ok(KeyedHash { algorithm, state })
    }

    /// Returns the algorithm of this hash.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Returns the hash of `data`.
    pub fn hash(&self, data: &[u8]) -> HashOutput {
        let len = self.algorithm.output_len();
        match &self.state {
            State::Blake(blake) => HashOutput::new(&blake.hash(data), len),
            State::Hmac(hmac) => HashOutput::new(&hmac.hash(data), len),
        }
    }

    /// Starts a hash of data that arrives in pieces.
    pub fn start(&self) -> HashStream {
        let state = match &self.state {
            State::Blake(blake) => StreamState::Blake(blake.start()),
            State::Hmac(hmac) => StreamState::Hmac(hmac.clone()),
        };
        HashStream { state, len: self.algorithm.output_len() }
    }

    /// Returns how many streams are hashed at once at the price of about one; 1 where it makes no difference.
    pub fn width(&self) -> usize {
        match &self.state {
            State::Blake(blake) => blake.width(),
            State::Hmac(_) => 1,
        }
    }
}

/// A hash that is fed piece by piece.
pub struct HashStream {
    state: StreamState,
    len: usize,
}

enum StreamState {
    Blake(BlakeStream),
    Hmac(Box<Hmacs>),
}

impl HashStream {
    /// Adds to each stream its next bytes; several streams of one hash together use the wide registers.
    pub fn update_many<'a>(pairs: impl Iterator<Item = (&'a mut HashStream, &'a [u8])>) {
        let mut blakes = Vec::new();
        for (stream, bytes) in pairs {
            match &mut stream.state {
                StreamState::Blake(blake) => blakes.push((blake, bytes)),
                StreamState::Hmac(hmac) => hmac.update(bytes),
            }
        }
        BlakeStream::update_many(blakes);
    }

    /// Returns the hash of all bytes.
    pub fn finish(self) -> HashOutput {
        match self.state {
            StreamState::Blake(blake) => HashOutput::new(&blake.finish(), self.len),
            StreamState::Hmac(hmac) => HashOutput::new(&hmac.finish(), self.len),
        }
    }
}

impl std::fmt::Debug for HashStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashStream").field("len", &self.len).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedHash").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
