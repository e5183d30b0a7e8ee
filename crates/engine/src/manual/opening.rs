//! Opening a repository, listing its snapshots, finding one.
//!
//! A [`Repository`](crate::Repository) is opened from a storage and a password. Opening derives the keys (some 0.1 s of one
//! core and 64 MiB), reads the whole index, and takes no lock: it can be done while backups run. An open repository is
//! cheap to share (`Arc`), `Send` and `Sync`, and serves any number of runs at once.
//!
//! ```no_run
//! use std::sync::Arc;
//! use rekopia::blob::{Settings, connect};
//! use rekopia::{OpenOptions, Password, Repository, Silent};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let blobs = connect(&Settings::parse("/backup/kopia")?).await?;
//! let password = Password::new("the repository's password");
//! let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
//! println!("{}", repository.info().location);
//!
//! for (source, snapshots) in repository.snapshots().await?.by_source() {
//!     println!("{source}: {} snapshots", snapshots.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Finding a snapshot
//!
//! A [`Reference`](crate::Reference) is what people type: a snapshot's ID, an object's ID, `user@host:/path`,
//! `user@host`, a path or `latest`, each perhaps with `/names/below`. A [`Selection`](crate::Selection) says which
//! snapshot of a source is meant; without one it is the newest that is complete.
//!
//! ```no_run
//! use rekopia::{AsOf, Reference, Repository, Zone};
//!
//! # async fn example(repository: Repository) -> Result<(), Box<dyn std::error::Error>> {
//! let selection = AsOf::parse("yesterday", rekopia::now(), &Zone::system())?.selection();
//! let reference = Reference::parse("paperless@media:/data/documents")?;
//! let found = repository.resolve(&reference, &selection).await?;
//! repository.for_each_entry(&found.entry, |entry| println!("{}", entry.name_text())).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Reading one file
//!
//! [`open_object`](crate::Repository::open_object) gives a [`FileReader`](crate::FileReader): chunks in order, or bytes
//! from anywhere. [`into_async_read`](crate::FileReader::into_async_read) makes it an `AsyncRead` and `AsyncSeek`.
//!
//! # A repository that changes
//!
//! The index is that of the moment of opening. Contents that maintenance moves meanwhile are found all the same: a run
//! that misses something reads the index once more. New snapshots are seen after
//! [`refresh`](crate::Repository::refresh).
//!
//! # A damaged repository
//!
//! [`OpenOptions::salvage`](crate::OpenOptions::salvage) reads the indexes that the packs have of themselves;
//! [`examine`](crate::examine) says what is wrong. What damage hides is told by
//! [`Snapshots::damage`](crate::Snapshots::damage).
