//! The manual: how to use this library, one subject a page. It has no items.
//!
//! | page | question |
//! | --- | --- |
//! | [`opening`] | How do I open a repository and find a snapshot? |
//! | [`storages`] | Where can a repository be? How do I bring a storage of my own? |
//! | [`restoring`] | How do I restore, verify, and follow the progress? |
//! | [`destination`] | What happens to what exists in the target? |
//! | [`memory`] | How much memory, how many threads and files does it take? |
//! | [`cancellation`] | How do I stop it, and what is left then? |
//! | [`errors`] | What is an error, what is a failure in the report? |
//! | [`features`] | Which Cargo features are there? |

pub mod cancellation;
pub mod destination;
pub mod errors;
pub mod features;
pub mod memory;
pub mod opening;
pub mod restoring;
pub mod storages;
