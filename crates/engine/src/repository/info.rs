//! Holds what `status` shows of a repository.

/// The facts about a repository that `status` shows.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RepositoryInfo {
    /// Hex of the unique ID.
    pub unique_id: String,
    /// The location of the repository.
    pub location: String,
    /// Format version, 1…3.
    pub version: u32,
    /// Index layout, 1 or 2.
    pub index_version: u32,
    /// Content hash.
    pub hash: String,
    /// Content encryption.
    pub encryption: String,
    /// Error correction, empty when off.
    pub ecc: String,
    /// Error correction overhead in per cent.
    pub ecc_overhead_percent: u32,
    /// Password derivation.
    pub key_algorithm: String,
    /// Default splitter.
    pub splitter: String,
    /// Largest pack, in bytes.
    pub max_pack_bytes: u64,
    /// Whether index blobs are organised in epochs.
    pub epochs_enabled: bool,
    /// Whether the password can be changed.
    pub enable_password_change: bool,
    /// Retention mode of the storage, if one is set.
    pub retention_mode: Option<String>,
    /// Number of index blobs in use.
    pub index_blobs: u64,
    /// Number of distinct contents.
    pub contents: u64,
    /// Number of packs that contents are in.
    pub packs: u64,
    /// Memory that the index takes, in bytes.
    pub index_bytes: u64,
    /// Bytes of the index that are in a file, because there is too little memory for them.
    pub index_file_bytes: u64,
}
