//! Talks to the API, as the only room that does: lists in pages, watches, logs. It works with the rights that it has,
//! and says what it could not see. It only reads.

mod access;
mod api;
mod logs;
mod once;
mod watch;

pub use access::{Access, connect};
pub use api::{Api, ListError};
pub use logs::{follow, read_ends, wanted as wanted_logs};
pub use once::{Scope, look};
pub use watch::{Change, watch};
