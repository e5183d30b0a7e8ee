//! What the writer writes, the engine reads: every algorithm, every kind of index set, every corpus.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod algorithms;
mod corpora;
mod history;
mod packs;
mod schemas;
mod support;
