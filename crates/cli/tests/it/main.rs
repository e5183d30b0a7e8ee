//! The program as people and scripts meet it: arguments, output, exit codes, storages, signals.
//!
//! One binary for all: what they share is compiled and linked once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::path::Path;
use std::process::{Command, Stdio};

use rekopia_testkit::fixture::testdata;

mod against;
mod cache;
mod cli;
mod clouds;
mod consent;
mod costs;
mod errors;
mod faults;
mod foreseen;
mod help;
mod hints;
mod index;
mod json;
mod layers;
mod layouts;
mod limits;
mod passing;
mod past;
mod progress;
mod rclone;
mod receipt;
mod renewal;
mod s3;
mod salvage;
mod selection;
mod set;
mod settings;
mod sftp;
mod stopping;
mod syscalls;
mod tls;
mod verdict;
mod webdav;
mod whole;

/// Makes a restore of the quick start from a storage that `before` names: it logs everything it may, and knows nothing
/// of the environment but where programs are.
fn traced_restore(before: &[&str], target: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    let password = testdata().join("quickstart/password");
    command
        .env_clear()
        .env("HOME", "/proc/nonexistent")
        .env("PATH", std::env::var("PATH").unwrap())
        .env("REKOPIA_LOG", "trace")
        .args(["--no-progress", "--password-file", password.to_str().unwrap()])
        .args(before)
        .args(["restore", "paperless@media:/data", target.to_str().unwrap()])
        .stdin(Stdio::null());
    command
}
