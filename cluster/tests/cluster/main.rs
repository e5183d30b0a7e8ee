//! `kubectl rekopia` against recordings of a real cluster, and against an API server that replays them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod cli;
mod git;
mod git_limits;
mod inventory;
mod json;
mod layers;
mod load;
mod moments;
mod plan;
mod remarks;
mod repository;
mod rights;
mod scenarios;
mod seen;
mod through;
mod unlike;
mod watch;
