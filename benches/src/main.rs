//! Benchmarks: makes corpora of a given shape, and times work on them against other programs.

mod change;
mod check;
mod compare;
mod contest;
mod corpora;
mod estimate;
mod fleet;
mod floor;
mod micro;
mod mover;
mod process;
mod proof;
mod raw;
mod s3;
mod scale;
mod stock;
mod table;
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
        #[command(flatten)]
        shape: corpora::Shape,
        /// Where to
        out: PathBuf,
        /// Write the repository with the real Kopia
        #[arg(long)]
        kopia: Option<PathBuf>,
    },
    /// Time this program and others in turn; print medians and ratios as a Markdown table
    Compare(Box<compare::Args>),
    /// Time the mover and VolSync's stock script in turn on one repository
    Mover(mover::Args),
    /// Time many movers at once, and as many stock scripts
    Fleet(fleet::Args),
    /// Compare what a dry run foresees with what the restore then takes
    Estimate(Box<estimate::Args>),
    /// Time the single steps of a restore
    Micro(micro::Args),
    /// Time what the machine can do at best with the names and sizes of a corpus
    Floor(floor::Args),
    /// Restore wide and deep trees and check the memory that it takes
    Scale {
        /// Files in directories of ten
        #[arg(long, default_value_t = 1_000_000)]
        files: u64,
        /// Folder for repositories and targets
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The program
        #[arg(long, default_value = "target/dist/rekopia")]
        rekopia: PathBuf,
    },
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Generate { shape, out, kopia } => corpora::generate(&shape, &out, kopia.as_deref()),
        Command::Compare(args) => compare::run(&args),
        Command::Mover(args) => mover::run(&args),
        Command::Fleet(args) => fleet::run(&args),
        Command::Estimate(args) => estimate::run(&args),
        Command::Micro(args) => micro::run(&args),
        Command::Floor(args) => floor::run(&args),
        Command::Scale { files, dir, rekopia } => scale::scale(files, dir, &rekopia),
    }
}
