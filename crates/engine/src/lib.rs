//! Restore engine for Kopia repositories: open, list, verify, restore. Reads only; never starts `kopia`.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use rekopia::blob::{Settings, connect};
//! use rekopia::{OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Open: storage, then password.
//! let blobs = connect(&Settings::parse("/backup/kopia")?).await?;
//! let password = Password::new("the repository's password");
//! let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
//!
//! // List.
//! for (source, snapshots) in repository.snapshots().await?.by_source() {
//!     println!("{source}: {} snapshots", snapshots.len());
//! }
//!
//! // Restore the newest snapshot of a source.
//! let from = repository.resolve(&Reference::parse("paperless@media:/data")?, &Selection::default()).await?;
//! let options = RestoreOptions::default();
//! let report = repository.restore(&from, Path::new("/srv/data"), &options, Arc::new(Silent)).await?;
//!
//! // Read the report: failures are data, not an error.
//! println!("{} files, {} bytes", report.files, report.bytes);
//! for failure in report.failures() {
//!     eprintln!("{}: {}", failure.path, failure.message);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The [`manual`] explains each subject on a page of its own; `examples/` of this crate has whole programs. Needed are
//! Linux and a tokio runtime with I/O and time ([`manual::memory`]). Storages other than directories are Cargo features
//! ([`manual::features`]).
//!
//! # Promises
//!
//! - Nothing is ever written to the repository, and nothing outside the target.
//! - Every byte that is written was authenticated before.
//! - Nothing that exists is deleted unless asked for, and then only after the snapshot has been proven to be whole.
//! - Futures are `Send`; [`Repository`] is `Send` and `Sync`. Memory stays inside a stated bound ([`manual::memory`]).
//! - The library does nothing to the process as a whole, unless a function says that it does.

mod differs;
mod doctor;
mod error;
mod hashing;
mod hint;
mod limits;
pub mod manual;
mod observer;
mod receipt;
mod repository;
mod restore;
mod sink;
mod text;
mod verify;
mod zone;

pub use rekopia_blob as blob;

pub use differs::Differs;
pub use doctor::{Examination, ExaminationOptions, Finding, FindingKind, examine};
pub use error::{Error, ErrorKind, Result};
pub use hint::Hint;
pub use limits::{index_memory_bytes, memory_bytes, off_first_thread, raise_open_files, start_runtime};
pub use observer::{Cancel, Event, Observer, Phase, Progress, Silent};
pub use receipt::{
    Receipt, ReceiptCheck, ReceiptDifference, ReceiptDirectory, ReceiptLoss, ReceiptOptions, ReceiptRemark,
    ReceiptSnapshot,
};
pub use rekopia_format::directory::{DirectorySummary, Entry, EntryKind};
pub use rekopia_format::snapshot::{Snapshot, Source};
pub use rekopia_format::{BlobId, ContentId, ManifestId, ObjectId, Time};
pub use repository::as_of::AsOf;
pub use repository::async_file::AsyncFile;
pub use repository::file::FileReader;
pub use repository::reference::{Reference, Resolved, RootReference};
pub use repository::roots::RootCandidate;
pub use repository::snapshots::{Selection, Snapshots};
pub use repository::unindexed::Unindexed;
pub use repository::{OpenOptions, Password, Repository, RepositoryInfo, Traffic};
pub use restore::{
    AffectedTree, Bound, Consent, DeleteLimit, Deletion, EndedBy, Estimate, Failure, OnError, Overwrite,
    OwnerPolicy, Pace, Planned, Receipting, RefuseExisting, Remark, Report, RestoreOptions, StageTimes,
    SyncMode, Verified, VerifyOptions,
};
pub use sink::{DirectoryDigest, TreeDigest};
pub use sink::{clear_incomplete_mark, put_file};
pub use text::{human_size, is_directional, parse_link, parse_rate, parse_size};
pub use verify::{Coverage, SetOptions};
pub use zone::{Zone, now};
