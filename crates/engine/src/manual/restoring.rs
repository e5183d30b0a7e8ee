//! Restoring, verifying, and following the progress.
//!
//! [`restore`](crate::Repository::restore) brings a directory's contents into a target directory, or a file or link to a
//! path. It comes back with a [`Report`](crate::Report) whenever the target may have been touched; what could not be
//! restored is data in it ([`errors`](super::errors)).
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use rekopia::{Event, Observer, Overwrite, Reference, Repository, RestoreOptions, Selection};
//!
//! struct Bar;
//!
//! impl Observer for Bar {
//!     // Called from several threads, and must not block.
//!     fn event(&self, event: Event) {
//!         if let Event::Progress(p) = event {
//!             eprintln!("{} of {} bytes, {:?} s left", p.bytes, p.total_bytes, p.eta_seconds);
//!         }
//!     }
//! }
//!
//! # async fn example(repository: Repository) -> Result<(), Box<dyn std::error::Error>> {
//! let from = repository.resolve(&Reference::parse("paperless@media:/data")?, &Selection::default()).await?;
//! let options = RestoreOptions::default().overwrite(Overwrite::IfChanged).include(vec!["*.pdf".into()]);
//! let report = repository.restore(&from, Path::new("/srv/restored"), &options, Arc::new(Bar)).await?;
//! for failure in report.failures() {
//!     eprintln!("{}: {}", failure.path, failure.message);
//! }
//! std::process::exit(report.exit_kind().map_or(0, |kind| kind.exit_code().into()));
//! # }
//! ```
//!
//! # What the others do
//!
//! | method | reads | writes |
//! | --- | --- | --- |
//! | [`restore`](crate::Repository::restore) | what the target lacks | the target |
//! | `restore` with [`dry_run`](crate::RestoreOptions::dry_run) | listings and directories | nothing |
//! | [`verify`](crate::Repository::verify) | everything of one tree | nothing |
//! | [`verify_set`](crate::Repository::verify_set) | everything of many trees, once; or a part each night | nothing |
//! | [`compare`](crate::Repository::compare) | directories, and the target | nothing |
//! | [`Receipt::check`](crate::Receipt::check) | the target; no repository | nothing |
//!
//! Every byte that is written was authenticated before. Running a restore again completes it.
