//! Where a repository can be, and how to bring a storage of one's own.
//!
//! [`Settings`](crate::blob::Settings) say where a repository is: a path or a URL, Kopia's `repository.config`
//! ([`KopiaConfig`](crate::blob::KopiaConfig)), the token that Kopia prints ([`Token`](crate::blob::Token)), or fields.
//! [`connect`](crate::blob::connect()) makes a [`BlobReader`](crate::blob::BlobReader) of them, with second tries and a
//! bound on the requests in flight; [`connect_with`](crate::blob::connect_with) takes limits, deadlines and a cache.
//! Directories are always built in; every other storage is a Cargo feature ([`features`](super::features)).
//!
//! ```no_run
//! use rekopia::blob::{CacheOptions, LayerOptions, Settings, connect_with};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::parse("s3://backups/kopia/?region=eu-central-1")?;
//! let layers = LayerOptions::default()
//!     .bandwidth(Some(50_000_000))
//!     .cache(Some(CacheOptions::new("/var/cache/my-program")));
//! let blobs = connect_with(&settings, &layers).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The library reads no environment variable by itself; where a cloud's usual variables are to count, hand them over:
//! [`Environment`](crate::blob::Environment). Credentials that expire are renewed from their own sources.
//!
//! # A storage of your own
//!
//! [`BlobReader`](crate::blob::BlobReader) is object-safe: implement it, and hand an `Arc` of it to
//! [`Repository::open`](crate::Repository::open). It reads only; there is no method that writes. What counts:
//!
//! - [`read`](crate::blob::BlobReader::read) gives exactly the range that was asked for, or fails.
//! - [`BlobErrorKind::NotFound`](crate::blob::BlobErrorKind::NotFound) only when the blob is surely not there: it counts as damage.
//! - An error that may pass is marked as [transient](crate::blob::BlobError::transient);
//!   [`retried`](crate::blob::layer::retried) then tries again.
//!
//! The example `own_storage` of this crate keeps a repository in a `HashMap`:
//!
//! ```
//! use rekopia::blob::{BlobError, BlobErrorKind, BlobId};
//!
//! fn not_found(id: &BlobId) -> BlobError {
//!     BlobError::new(BlobErrorKind::NotFound, "no such blob").of(id)
//! }
//! # let _ = not_found(&BlobId::parse("kopia.repository").unwrap());
//! ```
