//! The storages and the layers around them, by the library's own API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod filesystem;
mod layers;
mod nearby;
mod reads;
