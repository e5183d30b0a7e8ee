//! Benchmarks: makes corpora of a given shape, and times work on them against other programs.

mod change;
mod check;
mod compare;
mod corpora;
mod process;
mod scale;
mod tools;

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
    /// Make a corpus: a tree and a repository with a snapshot of it
    Generate {
        /// Its shape
        kind: corpora::Kind,
        /// Files, MiB of a big file, index blobs, or thousandths of the mixed volume
        count: u64,
        /// Where to
        out: PathBuf,
        /// Other data of the same shape
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write the repository with the real Kopia
        #[arg(long)]
        kopia: Option<PathBuf>,
    },
    /// Time this program and others in turn; print medians and ratios as a Markdown table
    Compare(Box<compare::Args>),
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
        Command::Generate { kind, count, out, seed, kopia } => {
            corpora::generate(kind, count, &out, seed, kopia.as_deref())
        }
        Command::Compare(args) => compare::run(&args),
        Command::Scale { files, dir, rekopia } => scale::scale(files, dir, &rekopia),
    }
}
