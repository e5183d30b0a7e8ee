//! Names things: blobs, contents, objects, manifests. Parse, order, display (§1.1, §3.1, §5.1, §6.1).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The error of a text that is not the identifier that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
}

impl InvalidId {
    fn new(what: &'static str, text: &str) -> Self {
        InvalidId { what, text: text.chars().take(100).collect() }
    }
}

/// The name of a blob: non-empty, printable ASCII without `/`, at most 512 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(Arc<str>);

impl BlobId {
    /// Reads a name: checks the characters and the length.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let ok =
            !text.is_empty() && text.len() <= 512 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        if ok && text != "." && text != ".." {
            Ok(BlobId(text.into()))
        } else {
            Err(InvalidId::new("a blob ID", text))
        }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keyed hash of a content's plaintext, with an optional prefix letter `g`…`z` (§3.1).
///
/// Ordered like the binary keys of index files: prefix first (none = 0), then hash bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId {
    prefix: u8,
    hash: [u8; ContentId::MAX_HASH],
    hash_len: u8,
}

impl ContentId {
    /// The longest hash, in bytes.
    pub const MAX_HASH: usize = 32;

    /// Makes an ID from a prefix letter (0 = none) and 1…32 hash bytes.
    ///
    /// # Errors
    /// [`InvalidId`] for any other prefix or length.
    pub fn new(prefix: u8, hash: &[u8]) -> Result<Self, InvalidId> {
        let bad = || InvalidId::new("a content ID", &hex::encode(hash));
        if !(prefix == 0 || (b'g'..=b'z').contains(&prefix)) || hash.is_empty() {
            return Err(bad());
        }
        let mut id = ContentId { prefix, hash: [0; Self::MAX_HASH], hash_len: 0 };
        id.hash.get_mut(..hash.len()).ok_or_else(bad)?.copy_from_slice(hash);
        id.hash_len = u8::try_from(hash.len()).map_err(|_| bad())?;
        Ok(id)
    }

    /// Reads an ID from the binary key of an index file: a prefix byte (0 = none), then the hash (§4.1).
    ///
    /// # Errors
    /// [`InvalidId`] for any other key.
    pub fn from_key(key: &[u8]) -> Result<Self, InvalidId> {
        match key.split_first() {
            Some((&prefix, hash)) => Self::new(prefix, hash),
            None => Err(InvalidId::new("a content ID", "")),
        }
    }

    /// Reads an ID from text: an optional letter `g`…`z` (exactly when the length is odd), then hex.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId::new("a content ID", text);
        let (prefix, digits) = match text.as_bytes() {
            // NUL stands for no prefix in index files only: in a text it would be a second spelling of the same ID.
            [0, ..] => return Err(bad()),
            [first, rest @ ..] if text.len() % 2 == 1 => (*first, rest),
            all => (0, all),
        };
        let mut hash = [0u8; Self::MAX_HASH];
        let hash = hash.get_mut(..digits.len() / 2).ok_or_else(bad)?;
        hex::decode_to_slice(digits, hash).map_err(|_| bad())?;
        if digits.iter().any(u8::is_ascii_uppercase) {
            return Err(bad());
        }
        Self::new(prefix, hash).map_err(|_| bad())
    }

    /// Returns the prefix letter, 0 if there is none.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns the hash: 16, 28 or 32 bytes in practice.
    pub fn hash(&self) -> &[u8] {
        self.hash.get(..usize::from(self.hash_len)).unwrap_or_default()
    }

    /// Returns the last 16 bytes of the hash: key selector and associated data of the encryption (§3.3). Shorter hashes
    /// are used whole.
    pub fn iv(&self) -> &[u8] {
        let hash = self.hash();
        hash.get(hash.len().saturating_sub(16)..).unwrap_or_default()
    }

    /// Whether `hash`, the whole hash of a plaintext, is the one that this ID names. An ID that holds the end of a hash
    /// only, as lookups do, names every hash with that end.
    pub fn names(&self, hash: &[u8]) -> bool {
        let own = self.hash();
        hash.ends_with(own) && own.len() >= hash.len().min(16)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix != 0 {
            fmt::Write::write_char(f, char::from(self.prefix))?;
        }
        self.hash().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        Self::parse(s)
    }
}

/// The name of an object: a content and how to get from it to the object's bytes (§5.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    indirection: u8,
    compressed: bool,
    content: ContentId,
}

impl ObjectId {
    /// The deepest chain of `I` that is accepted; four levels already hold petabytes.
    pub const MAX_INDIRECTION: u8 = 16;

    /// Makes the ID of an object that is one content, as it is.
    pub fn direct(content: ContentId) -> Self {
        ObjectId { indirection: 0, compressed: false, content }
    }

    /// Reads an ID from text: any number of `I`, an optional `Z`, an optional `D`, a content ID. The empty text and `I`
    /// with `Z` are refused.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId::new("an object ID", text);
        let after_i = text.trim_start_matches('I');
        let levels = text.len().saturating_sub(after_i.len());
        let indirection =
            u8::try_from(levels).ok().filter(|n| *n <= Self::MAX_INDIRECTION).ok_or_else(bad)?;
        let after_z = after_i.strip_prefix('Z');
        let rest = after_z.unwrap_or(after_i);
        let rest = rest.strip_prefix('D').unwrap_or(rest);
        if indirection > 0 && after_z.is_some() {
            return Err(bad());
        }
        let content = ContentId::parse(rest).map_err(|_| bad())?;
        Ok(ObjectId { indirection, compressed: after_z.is_some(), content })
    }

    /// Returns the levels of seek tables between this ID and the data.
    pub fn indirection(&self) -> u8 {
        self.indirection
    }

    /// Whether the content is an object-level compressed stream (`Z`).
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Returns the content at the root of the object.
    pub fn content(&self) -> &ContentId {
        &self.content
    }

    /// Returns the object that holds this indirect object's seek table; `None` for a direct object.
    pub fn seek_table(&self) -> Option<ObjectId> {
        let indirection = self.indirection.checked_sub(1)?;
        Some(ObjectId { indirection, ..*self })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.indirection).try_for_each(|_| f.write_str("I"))?;
        if self.compressed {
            f.write_str("Z")?;
        }
        fmt::Display::fmt(&self.content, f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        Self::parse(s)
    }
}

/// The name of a manifest: 32 hex digits chosen at random when it is created (§6.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestId(Arc<str>);

impl ManifestId {
    /// Reads an ID: any non-empty lower-case hex text of at most 64 digits.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let ok =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if ok { Ok(ManifestId(text.into())) } else { Err(InvalidId::new("a manifest ID", text)) }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for ManifestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_ids_of_the_format_document() {
        for ok in ["f0f0", "Df0f0", "IDf0f0", "IIDf0f0", "Dxf0f0", "Zabcd", "Ik00ff", "k00ff"] {
            let id = ObjectId::parse(ok).unwrap();
            assert_eq!(id.to_string(), ok.replace('D', ""), "{ok}");
        }
        for bad in ["Dxf0f", "Da", "Daf0f0", "X", "I1", "IZabcd", "Xsomething", "", "I", "F0F0", "ZIabcd"] {
            assert!(ObjectId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn content_ids_order_as_in_index_files() {
        let ids = [
            "0012abcd",
            "12345678",
            "ffffffff",
            "g01234567",
            "g01234568",
            "yffffffff",
            "z00000000",
            "z00000001",
        ];
        let parsed: Vec<ContentId> = ids.iter().map(|t| ContentId::parse(t).unwrap()).collect();
        assert!(parsed.is_sorted());
        for (id, text) in parsed.iter().zip(ids) {
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn content_ids_have_one_spelling() {
        for bad in ["\x003320", "\0", "K00ff", "0f0", "k0F"] {
            assert!(ContentId::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// Trap 3: the iv is the *last* 16 bytes of the hash, which only shows with longer hashes.
    #[test]
    fn trap_03_iv_is_the_tail_of_the_hash() {
        let id =
            ContentId::parse("k7f3d0308a541f1e1fc51cf75c1df3aa1d72eb14200568ccc4c64b83983f218e3").unwrap();
        assert_eq!(hex::encode(id.iv()), "d72eb14200568ccc4c64b83983f218e3");
        assert_eq!(ContentId::parse("7b7ad35482ba7ed207eb198b5af66c82").unwrap().iv().len(), 16);
    }

    #[test]
    fn blob_ids_cannot_leave_their_folder() {
        for bad in ["", ".", "..", "a/b", "a\0b", "ä", "a b"] {
            assert!(BlobId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(BlobId::parse("xn0_485628df570a0f02242d865ec3675f23-s656fecf95845c101147-c1").is_ok());
        assert!(BlobId::parse(".storageconfig").is_ok());
    }
}
