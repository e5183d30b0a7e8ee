//! Opens contents: packed bytes, index entry and keys give the plaintext, whose length is checked (§3.9).

use std::ops::Range;

use crate::compression::{self, Decoder, split_header};
use crate::ecc::{self, Ecc};
use crate::encryption::{self, ContentCipher};
use crate::hashing::KeyedHash;
use crate::ids::ContentId;

/// The reason why a content cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Error correction gave up.
    #[error(transparent)]
    Ecc(#[from] ecc::Error),
    /// The bytes do not authenticate.
    #[error(transparent)]
    Encryption(#[from] encryption::Error),
    /// The plaintext does not decompress.
    #[error(transparent)]
    Compression(#[from] compression::Error),
    /// The compression header is not the one that the index names.
    #[error("compression {found:#010x} where the index says {wanted:#010x}")]
    Header {
        /// The header ID in the index.
        wanted: u32,
        /// The header ID in the content.
        found: u32,
    },
    /// The plaintext has another length than recorded.
    #[error("{found} bytes where {wanted} are recorded")]
    Length {
        /// The recorded length, in bytes.
        wanted: u64,
        /// The length that was found, in bytes.
        found: u64,
    },
    /// The plaintext is not what the ID names.
    #[error("the hash of the data is not the one in its name")]
    Hash,
}

/// The facts about a content's stored form, by the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Bytes of the content in the pack, with encryption and error correction.
    pub packed_len: u32,
    /// Bytes of the plaintext after decompression.
    pub original_len: u32,
    /// Header ID of the compression, 0 for none.
    pub compression: u32,
}

/// The keys and algorithms of a repository's contents; shared by all threads.
#[derive(Debug)]
pub struct ContentOpener {
    cipher: ContentCipher,
    ecc: Option<Ecc>,
    hash: KeyedHash,
}

impl ContentOpener {
    /// Makes an opener from the parts that the repository's configuration names.
    pub fn new(cipher: ContentCipher, ecc: Option<Ecc>, hash: KeyedHash) -> Self {
        ContentOpener { cipher, ecc, hash }
    }

    /// Opens a content: decrypts it inside `stored`, decompresses it into `out` if it is compressed; returns the
    /// plaintext.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Hash`] only for ciphers that do not authenticate.
    pub fn open<'a>(
        &self,
        id: &ContentId,
        packed: &Packed,
        stored: &'a mut [u8],
        decoder: &mut Decoder,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Error> {
        self.open_and_count(id, packed, stored, decoder, out, &mut 0)
    }

    /// Opens a content as [`open`](Self::open) does; adds the number of shards that error correction found damaged to
    /// `damaged`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_and_count<'a>(
        &self,
        id: &ContentId,
        packed: &Packed,
        stored: &'a mut [u8],
        decoder: &mut Decoder,
        out: &'a mut Vec<u8>,
        damaged: &mut u64,
    ) -> Result<&'a [u8], Error> {
        let data = self.decrypt(id.iv(), stored, damaged)?;
        let original_len = usize::try_from(packed.original_len).unwrap_or(usize::MAX);
        let plain: &[u8] = if packed.compression == 0 {
            data
        } else {
            let (found, stream) = split_header(data)?;
            if found != packed.compression {
                return Err(Error::Header { wanted: packed.compression, found });
            }
            decoder.decode(found, stream, Some(original_len), original_len, out)?;
            out
        };
        if plain.len() != original_len {
            return Err(Error::Length { wanted: packed.original_len.into(), found: plain.len() as u64 });
        }
        if !self.cipher.is_authenticated() {
            self.verify_hash(id, plain)?;
        }
        Ok(plain)
    }

    /// Opens a whole encrypted blob inside `stored`; returns the plaintext. `iv` comes from the blob's name (§3.3).
    ///
    /// # Errors
    /// [`Error::Ecc`], [`Error::Encryption`]; [`Error::Hash`] for ciphers that do not authenticate.
    pub fn open_blob<'a>(&self, iv: &[u8], stored: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        self.open_blob_and_count(iv, stored, &mut 0)
    }

    /// Opens a whole encrypted blob as [`open_blob`](Self::open_blob) does, but returns a range of `stored`, so that
    /// the caller keeps its buffer; adds the number of shards that error correction found damaged to `damaged`.
    ///
    /// # Errors
    /// Those of [`open_blob`](Self::open_blob).
    pub fn open_blob_range(
        &self,
        iv: &[u8],
        stored: &mut [u8],
        damaged: &mut u64,
    ) -> Result<Range<usize>, Error> {
        let base = stored.as_ptr().addr();
        let plain = self.open_blob_and_count(iv, stored, damaged)?;
        let start = plain.as_ptr().addr().saturating_sub(base);
        Ok(start..start.saturating_add(plain.len()))
    }

    fn open_blob_and_count<'a>(
        &self,
        iv: &[u8],
        stored: &'a mut [u8],
        damaged: &mut u64,
    ) -> Result<&'a mut [u8], Error> {
        let plain = self.decrypt(iv, stored, damaged)?;
        if !self.cipher.is_authenticated() {
            let hash = self.hash.hash(plain);
            if hash.get(hash.len().saturating_sub(iv.len())..) != Some(iv) {
                return Err(Error::Hash);
            }
        }
        Ok(plain)
    }

    /// Checks that `plaintext` is what `id` names. Of an ID that comes from an index only the end of the hash is known
    /// (§3.3): that is compared.
    ///
    /// # Errors
    /// [`Error::Hash`].
    pub fn verify_hash(&self, id: &ContentId, plaintext: &[u8]) -> Result<(), Error> {
        if id.names(&self.hash.hash(plaintext)) { Ok(()) } else { Err(Error::Hash) }
    }

    /// Returns the hash that names contents.
    pub fn hash(&self) -> &KeyedHash {
        &self.hash
    }

    /// Whether opening alone proves that the bytes belong to their ID.
    pub fn is_authenticated(&self) -> bool {
        self.cipher.is_authenticated()
    }

    /// Returns the bytes that encryption adds.
    pub fn overhead(&self) -> usize {
        self.cipher.overhead()
    }

    fn decrypt<'a>(&self, iv: &[u8], stored: &'a mut [u8], damaged: &mut u64) -> Result<&'a mut [u8], Error> {
        let item = match &self.ecc {
            Some(ecc) => ecc.decode_and_count(stored, damaged)?,
            None => stored,
        };
        Ok(self.cipher.open_in_place(iv, item)?)
    }
}

/// Decompresses an object that was compressed as a whole (`Z`, §3.5): header, then stream.
///
/// # Errors
/// [`Error::Compression`], [`Error::Length`].
pub fn decode_object(
    decoder: &mut Decoder,
    stored: &[u8],
    expected_len: Option<u64>,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let (header_id, stream) = split_header(stored)?;
    // The recorded length is the file's, not the stream's: a stream that is longer must fail, not be cut.
    let expected = expected_len.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
    decoder.decode(header_id, stream, expected, limit, out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::HashAlgorithm;

    fn opener(hash: &str) -> ContentOpener {
        let secret: Vec<u8> = (0..32).collect();
        let master: Vec<u8> = (0x20..0x40).collect();
        let hash = KeyedHash::new(HashAlgorithm::parse(hash).unwrap(), &secret).unwrap();
        ContentOpener::new(ContentCipher::new("AES256-GCM-HMAC-SHA256", &master).unwrap(), None, hash)
    }

    #[test]
    fn opens_contents_with_short_and_long_hashes() {
        for (hash, id, stored) in [
            (
                "BLAKE2B-256-128",
                "7b7ad35482ba7ed207eb198b5af66c82",
                "a0a1a2a3a4a5a6a7a8a9aaab3c8257339bc5ffb4702000989799298a3f03f82bb888ff6e9f6531ac",
            ),
            (
                "HMAC-SHA256",
                "7f3d0308a541f1e1fc51cf75c1df3aa1d72eb14200568ccc4c64b83983f218e3",
                "a0a1a2a3a4a5a6a7a8a9aaabb0ce753b4fd6242c7cba03ec5dd6e2f2fbd5b4408228bb4f912d201a",
            ),
        ] {
            let opener = opener(hash);
            let id = ContentId::parse(id).unwrap();
            let open = |packed: Packed| {
                let mut bytes = hex::decode(stored).unwrap();
                opener
                    .open(&id, &packed, &mut bytes, &mut Decoder::default(), &mut Vec::new())
                    .map(<[u8]>::to_vec)
            };
            let packed = Packed { packed_len: 40, original_len: 12, compression: 0 };
            assert_eq!(open(packed).unwrap(), b"hello, kopia");
            assert!(opener.verify_hash(&id, b"hello, kopia").is_ok());
            assert_eq!(opener.verify_hash(&id, b"hello, kopja"), Err(Error::Hash));
            assert_eq!(
                open(Packed { original_len: 13, ..packed }),
                Err(Error::Length { wanted: 13, found: 12 })
            );
            // Trap 26: the header inside must be the one in the index.
            assert!(matches!(open(Packed { compression: 0x1100, ..packed }), Err(Error::Header { .. })));
        }
    }
}
