//! Decides what the mover does: from the settings of an application to the outcome of its restore.
//!
//! The program `rekopia-mover` is a thin shell around this library. Other programs ask it what the mover would do:
//! [`Destination`] and [`job_variables`] make the environment of a restore job, [`with_contents`] puts the contents of
//! mounted files into it, [`check`](fn@check) says how the job would end, [`plan`](fn@plan) how long it would take, and
//! [`catalogue`](fn@catalogue) what its repository holds.
//!
//! Environment (`env`) → checked configuration (`config`) → engine (`run`) → outcome (`outcome`).

// The streams belong to the program that calls a library; the program's lines go through `say`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod backend;
mod catalogue;
mod check;
mod choice;
mod config;
mod destination;
mod env;
mod findings;
mod handover;
mod identity;
mod log;
mod outcome;
mod outside;
#[doc(hidden)]
pub mod program;
mod receipt;
mod recorded;
mod run;
mod say;
mod scratch;
mod secrets;
mod settings;
mod signals;
mod verdict;

pub use catalogue::{Backups, Catalogue, catalogue, restore_identity};
pub use check::{Judgement, Volume, check, plan};
pub use destination::{Destination, backup_identity, job_variables, with_contents};
pub use findings::{Choice, Plan};
