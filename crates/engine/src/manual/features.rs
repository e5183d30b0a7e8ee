//! Cargo features.
//!
//! | feature | default | what |
//! | --- | --- | --- |
//! | `s3`, `azure`, `gcp`, `b2`, `webdav`, `sftp`, `rclone` | no | one storage each; local and mounted directories need none |
//! | `all-storages` | no | all of them |
//! | `zstd` | yes | contents that are compressed with Zstandard (libzstd, in C) |
//! | `lz4` | yes | contents that Kopia 0.9 to 0.22 compressed with LZ4 |
//! | `libdeflate` | yes | gzip and deflate by libdeflate (in C), twice as fast as zlib-rs, which does it otherwise |
//! | `aws-lc` | yes | AES-GCM and ChaCha20-Poly1305 by aws-lc-rs (in C), several times faster than RustCrypto, which does it otherwise |
//!
//! gzip, deflate and S2 are always there: gzip is part of the format. Features only add; no feature changes what another
//! one does. A repository that needs what is not built in is refused with
//! [`ErrorKind::UnsupportedFormat`](crate::ErrorKind::UnsupportedFormat), a storage with
//! [`ErrorKind::Usage`](crate::ErrorKind::Usage).
//!
//! ```toml
//! [dependencies]
//! rekopia = { version = "0.1", features = ["s3", "sftp"] }
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), rekopia::blob::BlobError> {
//! // Without the feature `s3` this is an error that says so.
//! let blobs = rekopia::blob::connect(&rekopia::blob::Settings::parse("s3://backups/kopia/")?).await?;
//! # let _ = blobs;
//! # Ok(())
//! # }
//! ```
