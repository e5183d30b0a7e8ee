//! `kubectl rekopia` against recordings of a real cluster, and against an API server that replays them.

mod cli;
mod layers;
mod load;
mod repository;
mod rights;
mod scenarios;
mod seen;
mod through;
mod watch;
