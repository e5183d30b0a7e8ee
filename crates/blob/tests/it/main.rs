//! The storages and the layers around them, by the library's own API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

// Only with every storage built in there is something to compare.
#[cfg(feature = "all")]
mod conformance;
mod filesystem;
mod layers;
mod nearby;
mod reads;
#[cfg(feature = "all")]
mod sftp;
#[cfg(feature = "all")]
mod stands;
