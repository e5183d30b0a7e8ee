//! Errors, failures, hints.
//!
//! - An [`Error`](crate::Error) means that nothing was changed: the target is as it was.
//! - A [`Report`](crate::Report) means that the run began. Entries that failed are in
//!   [`failures`](crate::Report::failures) (the first thousand; [`failed`](crate::Report::failed) counts all), what ended
//!   the run before everything was tried in [`fatal`](crate::Report::fatal).
//! - [`Report::exit_kind`](crate::Report::exit_kind) says how a program ends that did this: `None` is complete.
//!
//! [`ErrorKind`](crate::ErrorKind) is the class of an error: a short list, made for decisions.
//! [`exit_code`](crate::ErrorKind::exit_code) is the number that all our programs end with.
//! [`Hint`](crate::Hint) says what a person can do, as data: no message names an option of a program.
//! [`Error::chain`](crate::Error::chain) is the whole story on one line; paths in it are quoted safely, and secrets are never
//! in it.
//!
//! ```no_run
//! use std::sync::Arc;
//! use rekopia::blob::BlobReader;
//! use rekopia::{ErrorKind, Hint, OpenOptions, Password, Repository, Silent};
//!
//! # async fn example(blobs: Arc<dyn BlobReader>, password: Password) {
//! match Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await {
//!     Ok(repository) => println!("{}", repository.info().unique_id),
//!     Err(e) if e.kind() == ErrorKind::InvalidPassword => println!("wrong password?"),
//!     Err(e) => {
//!         println!("{}", e.chain());
//!         if e.hint() == Some(&Hint::Salvage) {
//!             println!("tick \"salvage\" and try again");
//!         }
//!     }
//! }
//! # }
//! ```
//!
//! # Panics
//!
//! The library does not panic on what a storage gives or a file system does. A panic is a defect of ours; a run turns one
//! in its threads into [`ErrorKind::Internal`](crate::ErrorKind::Internal).
