//! The Kopia repository format: bytes in, values out.
//!
//! This crate reads every structure that a Kopia repository stores, and does nothing else: no I/O, no threads,
//! no async, no clock. Whatever comes from storage is hostile until it is authenticated, so every parser works
//! on a bounds-checked [`reader::Cursor`], checks limits before it allocates, and returns an error instead of
//! panicking.
//!
//! Section numbers in the documentation (§3.3) refer to `FORMAT.md` beside this crate.
//!
//! | question | module |
//! |---|---|
//! | names of things | [`ids`], [`entry_name`] |
//! | password → keys → configuration | [`key`], [`format_blob`], [`blobcfg`] |
//! | stored bytes → plaintext | [`encryption`], [`hashing`], [`compression`], [`ecc`], [`content`] |
//! | where contents are | [`index`], [`index_blob`], [`epoch`], [`pack`] |
//! | what contents mean | [`object`], [`manifest`], [`snapshot`], [`policy`], [`directory`] |
//! | where blobs are | [`sharding`] |

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::expect_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::panic,
        clippy::expect_used,
        reason = "tests fail by panicking"
    )
)]

pub mod blobcfg;
pub mod compression;
pub mod content;
pub mod directory;
pub mod ecc;
pub mod encryption;
pub mod entry_name;
pub mod epoch;
pub mod format_blob;
pub mod hashing;
mod hkdf;
pub mod ids;
pub mod index;
pub mod index_blob;
pub mod index_cover;
mod json;
pub mod json_array;
pub mod key;
pub mod manifest;
pub mod object;
pub mod pack;
pub mod policy;
pub mod reader;
pub mod sharding;
pub mod snapshot;
pub mod time;

pub use content::ContentOpener;
pub use ids::{BlobId, ContentId, ManifestId, ObjectId};
pub use time::Time;
