//! Writes Kopia repositories.

pub mod splitter;
