//! `kubectl rekopia`: shows and explains a cluster whose volumes restore themselves.
//!
//! One direction: [`observe`] (the only room that talks to the API) → [`view`] (what was seen) → [`chain`] (one application
//! for each claim, with its links) → [`findings`] (phase, what is broken, why, what to do) → [`render`] (text, JSON).
//! [`command`] puts them together. `view`, `chain`, `findings` and `render` ask nobody and change nothing.

// A closed terminal or pipe makes the printing macros panic; everything is written in `command`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod chain;
pub mod command;
pub mod findings;
pub mod forecast;
pub mod git;
pub mod inventory;
pub mod objects;
pub mod observe;
pub mod render;
pub mod text;
pub mod view;
