//! What cargo-fuzz runs: a function for each parser of stored bytes, which panics where the parser is at fault.
//!
//! The functions stand in a library so that `tests/replay.rs` can give them the kept inputs with any compiler.

mod changes;
mod configuration;
mod decoders;
mod documents;
mod input;
mod meanings;
mod packs;
mod repository;
mod scanners;
mod settings;
mod words;
mod written;

pub use configuration::{blobcfg, format_blob, sharding};
pub use decoders::{content, deflate, ecc, gzip, lz4, object, s2, zstd};
pub use documents::{as_of, coverage, receipt, reference, sizes};
pub use meanings::{compaction_log, policy, snapshot};
pub use packs::{index, index_round_trip, local_index, postamble};
pub use repository::repository;
pub use scanners::{directory, entry, manifests, seek_table};
pub use settings::{kopia_config, settings_kopia, settings_url, token};
pub use words::{epochs, ids, time};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// All targets, by name. Each has a program in `fuzz_targets/` and inputs in `corpus/`.
        pub const TARGETS: &[Target] = &[$((stringify!($name), $name)),*];
    };
}

targets![
    as_of,
    blobcfg,
    compaction_log,
    content,
    coverage,
    deflate,
    directory,
    ecc,
    entry,
    epochs,
    format_blob,
    gzip,
    ids,
    index,
    index_round_trip,
    kopia_config,
    local_index,
    lz4,
    manifests,
    object,
    policy,
    postamble,
    receipt,
    reference,
    repository,
    s2,
    seek_table,
    settings_kopia,
    settings_url,
    sharding,
    sizes,
    snapshot,
    time,
    token,
    zstd,
];
