//! Stopping, and what is left then.
//!
//! A [`Cancel`](crate::Cancel) is a flag that is shared by cloning. When it is set, a restore or verification drops its
//! requests in flight, gives writes that have begun two seconds, removes what is half-written, puts modes of directories
//! back and returns its report ([`Report::cancelled`](crate::Report::cancelled)), within seconds, also when storage or
//! target hang. Nothing is synced then.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use rekopia::{Cancel, Repository, Resolved, RestoreOptions, Silent};
//!
//! # async fn example(repository: Repository, from: Resolved) -> Result<(), Box<dyn std::error::Error>> {
//! let cancel = Cancel::new();
//! let options = RestoreOptions::default().cancel(cancel.clone());
//! tokio::spawn(async move {
//!     let _ = tokio::signal::ctrl_c().await;
//!     cancel.cancel();
//! });
//! let report = repository.restore(&from, Path::new("/srv/restored"), &options, Arc::new(Silent)).await?;
//! println!("{} files are restored, stopped: {}", report.files, report.cancelled);
//! # Ok(())
//! # }
//! ```
//!
//! # `Cancel` and `CancellationToken`
//!
//! `Cancel` is what tokio-util's `CancellationToken` is, without its tree of children: it can also be asked from threads that
//! run no future, and it remembers when it was set, so that grace is counted from then. To obey a token of your own,
//! forward it: `tokio::spawn(async move { token.cancelled().await; cancel.cancel() })`.
//! [`run_until_cancelled`](crate::Cancel::run_until_cancelled) stops what takes no flag, such as opening.
//!
//! # Dropping the future
//!
//! Dropping the future of a run ends its tasks and threads, too, and leaves no half-written file; modes of directories that
//! were opened for writing stay as they are then, and there is no report.
//!
//! # Running again
//!
//! However a restore ended, running it again with the same options completes it.
