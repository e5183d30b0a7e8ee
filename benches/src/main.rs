//! Benchmarks: makes repositories of a given shape, and times restores of them against other programs.

mod compare;
mod corpora;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a repository (password "test-password")
    Generate {
        /// small-files, big-file, big-file-noise, wide, deep, many-indexes, mixed
        kind: corpora::Kind,
        /// Files, MiB of a big file, index blobs, or thousandths of the mixed volume
        count: u64,
        /// Where to
        out: PathBuf,
    },
    /// Restore with this program and with others in turn; print medians and ratios as a Markdown table
    Compare(compare::Args),
    /// Restore wide and deep trees and check the memory that it takes
    Scale {
        /// Files in directories of ten
        #[arg(long, default_value_t = 1_000_000)]
        files: u64,
        /// Folder for repositories and targets
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The program
        #[arg(long, default_value = "target/release/rekopia")]
        rekopia: PathBuf,
    },
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Generate { kind, count, out } => corpora::generate(kind, count, &out),
        Command::Compare(args) => compare::run(&args),
        Command::Scale { files, dir, rekopia } => compare::scale(files, dir, &rekopia),
    }
}
