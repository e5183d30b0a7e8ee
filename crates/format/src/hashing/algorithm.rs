//! Knows the hashes that there are, by their names.

/// The reason why a hash cannot be used: it is not known, or cannot take its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository names a hash that is not known.
    #[error("hash {name:?} is not supported")]
    Unsupported {
        /// The hash as named in the repository.
        name: String,
    },
    /// The repository's hash key has a length that this hash cannot take.
    #[error("{name} cannot take a key of {len} bytes")]
    KeyLength {
        /// The name of the hash.
        name: &'static str,
        /// The length of the key in bytes.
        len: usize,
    },
}

/// The hashes that Kopia can create repositories with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it; the constructions are in the table of §3.2")]
pub enum HashAlgorithm {
    Blake2b256_128,
    Blake2b256,
    Blake2s128,
    Blake2s256,
    Blake3_256,
    Blake3_256_128,
    HmacSha256,
    HmacSha256_128,
    HmacSha224,
    HmacSha3_224,
    HmacSha3_256,
}

const NAMES: [(HashAlgorithm, &str, usize); 11] = [
    (HashAlgorithm::Blake2b256_128, "BLAKE2B-256-128", 16),
    (HashAlgorithm::Blake2b256, "BLAKE2B-256", 32),
    (HashAlgorithm::Blake2s128, "BLAKE2S-128", 16),
    (HashAlgorithm::Blake2s256, "BLAKE2S-256", 32),
    (HashAlgorithm::Blake3_256, "BLAKE3-256", 32),
    (HashAlgorithm::Blake3_256_128, "BLAKE3-256-128", 16),
    (HashAlgorithm::HmacSha256, "HMAC-SHA256", 32),
    (HashAlgorithm::HmacSha256_128, "HMAC-SHA256-128", 16),
    (HashAlgorithm::HmacSha224, "HMAC-SHA224", 28),
    (HashAlgorithm::HmacSha3_224, "HMAC-SHA3-224", 28),
    (HashAlgorithm::HmacSha3_256, "HMAC-SHA3-256", 32),
];

impl HashAlgorithm {
    /// Returns every algorithm.
    pub fn all() -> impl Iterator<Item = HashAlgorithm> {
        NAMES.iter().map(|(algorithm, ..)| *algorithm)
    }

    /// Finds the hash with the name that the repository's configuration has.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn parse(name: &str) -> Result<Self, Error> {
        let found = NAMES.iter().find(|(_, known, _)| *known == name).map(|(algorithm, ..)| *algorithm);
        found.ok_or_else(|| Error::Unsupported { name: name.to_owned() })
    }

    /// Returns the name in the repository's configuration.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(algorithm, ..)| *algorithm == self).map_or("", |(_, name, _)| name)
    }

    /// Returns the bytes of the hash: 16, 28 or 32.
    pub fn output_len(self) -> usize {
        NAMES.iter().find(|(algorithm, ..)| *algorithm == self).map_or(0, |(.., len)| *len)
    }
}
