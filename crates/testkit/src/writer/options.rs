//! Says what kind of repository to write.

use serde_json::{Map, Value};

/// The kind of repository to write. [`WriterOptions::default`] is what Kopia creates today, with a test's password.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// The password.
    pub password: String,
    /// The name of the derivation of the key (§2.2); `pbkdf2-sha256-600000` needs less memory than the default.
    pub key_algo: String,
    /// The name of the content hash (§3.2).
    pub hash: String,
    /// The name of the content encryption (§3.3).
    pub encryption: String,
    /// Compressor of unprefixed contents (§3.5); `None`: stored as they are.
    pub compression: Option<String>,
    /// Compressor of prefixed contents.
    pub metadata_compression: Option<String>,
    /// The format version, 1…3.
    pub format_version: u8,
    /// Layout of index blobs: 1 or 2. With 1 data is compressed as objects (`Z`).
    pub index_version: u8,
    /// Whether the index set is that of epochs.
    pub epochs: bool,
    /// Whether keys come from the master key; if not, every pack starts with a replica of the format blob.
    pub enable_password_change: bool,
    /// Error correction overhead in per cent; 0: none.
    pub ecc_percent: u8,
    /// The size at which packs are finished, in bytes.
    pub max_pack_size: usize,
    /// Number of entries in finished packs at which an index blob is written, which bounds the memory.
    pub index_every: usize,
    /// Splitter of all objects (§5.4).
    pub splitter: String,
    /// The bytes after which contents are cut instead (512 or more): deep objects out of little data.
    pub chunk_size: Option<usize>,
    /// The seed that keys, nonces and names follow from: equal options and data give equal bytes.
    pub seed: u64,
    /// The content hash's secret; `None`: 32 bytes out of the seed.
    pub secret: Option<Vec<u8>>,
    /// The writer's clock at the start, in seconds since 1970.
    pub now: i64,
    /// The user in session markers.
    pub user: String,
    /// The host in session markers.
    pub host: String,
    /// Fields of the repository configuration that are set last, whatever else the options say (§2.4).
    pub format_fields: Map<String, Value>,
    /// Whether equal contents are stored once; about 100 bytes of memory a content.
    pub deduplicate: bool,
    /// Whether the entries of all index blobs are remembered, which compactions and deletions need; about 100 bytes a
    /// content.
    pub remember_entries: bool,
}

impl Default for WriterOptions {
    fn default() -> Self {
        WriterOptions {
            password: "test-password".into(),
            key_algo: "scrypt-65536-8-1".into(),
            hash: "BLAKE2B-256-128".into(),
            encryption: "AES256-GCM-HMAC-SHA256".into(),
            compression: None,
            metadata_compression: Some("zstd-fastest".into()),
            format_version: 3,
            index_version: 2,
            epochs: true,
            enable_password_change: true,
            ecc_percent: 0,
            max_pack_size: 20 << 20,
            index_every: 16_000_000,
            splitter: "DYNAMIC-4M-BUZHASH".into(),
            chunk_size: None,
            seed: 1,
            secret: None,
            now: 1_767_225_600,
            user: "app".into(),
            host: "media".into(),
            format_fields: Map::new(),
            deduplicate: true,
            remember_entries: true,
        }
    }
}

impl WriterOptions {
    /// Returns what Kopia creates for this format version (§2.5). 1 has the legacy index set, `Z` objects and replicas.
    pub fn of_version(format_version: u8) -> Self {
        let new = Self { format_version, ..Self::default() };
        if format_version > 1 {
            return new;
        }
        let metadata_compression = None;
        Self { index_version: 1, epochs: false, enable_password_change: false, metadata_compression, ..new }
    }
}
