//! What happens to what exists in the target.
//!
//! - Nothing outside the target is ever written: symbolic links are replaced, never followed.
//! - Files are compared by the hashes of their contents, whatever their times say, and only ranges that differ are
//!   fetched. [`Overwrite`](crate::Overwrite) has the other modes, and a table of what each does to what exists.
//! - Nothing is deleted, unless [`delete_extra`](crate::RestoreOptions::delete_extra) is set, and then only after the
//!   snapshot has been proven to be whole. [`max_delete`](crate::RestoreOptions::max_delete) bounds it,
//!   [`Consent`](crate::Consent) asks somebody.
//! - A target in the repository, or a mirror around it, is refused.
//! - Owner, mode and times are set last. What a file system refuses is counted
//!   ([`Report::unset_attributes`](crate::Report::unset_attributes)) and listed ([`Report::fidelity`](crate::Report::fidelity)).
//! - At the end the file system is synced once ([`SyncMode`](crate::SyncMode)).
//!
//! Look before you touch:
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use rekopia::{DeleteLimit, Repository, Resolved, RestoreOptions, Silent};
//!
//! # async fn example(repository: Repository, from: Resolved) -> Result<(), Box<dyn std::error::Error>> {
//! let mirror = RestoreOptions::default().delete_extra(true).max_delete(Some(DeleteLimit::Percent(5)));
//! let target = Path::new("/srv/restored");
//! let report = repository.restore(&from, target, &mirror.clone().dry_run(true), Arc::new(Silent)).await?;
//! if let Some(planned) = &report.planned {
//!     println!("{} bytes to fetch, {} entries to delete", planned.bytes, planned.deletion.entries);
//! }
//! let report = repository.restore(&from, target, &mirror, Arc::new(Silent)).await?;
//! # let _ = report;
//! # Ok(())
//! # }
//! ```
