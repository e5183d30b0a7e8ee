//! One file per kind of storage.

pub mod filesystem;
