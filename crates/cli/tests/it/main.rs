//! The program as people and scripts meet it: arguments, output, exit codes, storages, signals.
//!
//! One binary for all: what they share is compiled and linked once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod cache;
mod cli;
mod clouds;
mod consent;
mod costs;
mod errors;
mod faults;
mod hints;
mod index;
mod layers;
mod layouts;
mod limits;
mod passing;
mod past;
mod progress;
mod rclone;
mod renewal;
mod s3;
mod selection;
mod settings;
mod sftp;
mod stopping;
mod syscalls;
mod tls;
mod verdict;
mod webdav;
mod whole;
