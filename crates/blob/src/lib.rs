//! Read-only access to the storage of Kopia repositories.
//!
//! A repository is a flat set of named byte strings, *blobs*. [`BlobReader`] lists, stats and reads them; it has no
//! way to write, so nothing built on it can change a repository. [`Settings`] say where a repository is, [`connect()`]
//! makes a reader of them, [`coalesce`] turns many wanted ranges into few requests.
//!
//! # Where to look
//!
//! Each module knows only those above it in this list (`tests/it/layers.rs` checks it):
//!
//! | module | what |
//! | --- | --- |
//! | [`error`], `reader`, `deadlines`, [`coalesce`] | the words that all others use |
//! | [`settings`] | a URL, Kopia's configuration or a token → [`Settings`]; sends nothing, looks at no environment |
//! | `client` | what the protocols over HTTP share: trust, deadlines, whole answers, credentials |
//! | `folders` | where blobs lie: Kopia's tree of folders, other layouts, which names are a blob's; no I/O of its own |
//! | [`provider`] | one file or folder for each kind of storage |
//! | [`layer`] | what stands around a provider: second tries, limits, the cache of metadata |
//! | [`mod@connect`], `nearby` | the roof: [`Settings`] → provider → layers |

#[cfg(feature = "http")]
mod client;
pub mod coalesce;
pub mod connect;
mod deadlines;
pub mod error;
mod folders;
pub mod layer;
mod nearby;
pub mod provider;
mod reader;
mod setters;
pub mod settings;

pub use connect::{connect, connect_with};
pub use deadlines::Deadlines;
pub use error::{BlobError, BlobErrorKind};
pub use layer::{CacheOptions, LayerOptions};
pub use nearby::nearby;
pub use reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};
pub use rekopia_format::{BlobId, Time};
pub use settings::{Environment, KopiaConfig, Limits, Secret, Settings, Token};
