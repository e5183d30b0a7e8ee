//! Programs in turn on one corpus, each result checked; medians and ratios as a Markdown table.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::contest::Contest;
use crate::corpora::PASSWORD;
use crate::s3::S3Args;
use crate::table::{self, Sample};
use crate::tools::Tools;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Into a folder that is not there.
    Fresh,
    /// Over the tree with a hundredth changed.
    InPlace,
    /// Everything read and authenticated.
    Verify,
    /// Open and list all snapshots.
    Snapshots,
    /// The root of the newest snapshot.
    Ls,
}

/// What an in-place restore trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Overwrite {
    /// Nothing: the changes keep sizes and times.
    Always,
    /// Equal size and time: the changes have new times.
    IfChanged,
}

/// When data is forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sync {
    /// Once at the end of each run, charged to everyone
    End,
    /// Never
    None,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `generate` made
    #[arg(long)]
    pub(crate) corpus: PathBuf,
    /// Folder for targets (a tmpfs, or the disk to measure)
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Folder for configurations and caches; on a disk, as a user's home is [default: that of the targets]
    #[arg(long)]
    pub(crate) home: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "fresh")]
    pub(crate) scenario: Scenario,
    #[arg(long, value_enum, default_value = "always")]
    pub(crate) overwrite: Overwrite,
    /// Bytes of one changed block of a large file, in place
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) block: u64,
    #[command(flatten)]
    pub(crate) tools: Tools,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    /// The others once more, with so many requests at once
    #[arg(long)]
    pub(crate) parallel: Option<u32>,
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) sync: Sync,
    /// Remove fresh targets after each run
    #[arg(long)]
    pub(crate) remove: bool,
    /// Drop the repositories' pages from the page cache before each run
    #[arg(long)]
    pub(crate) cold: bool,
    /// Global options for ours, in one string
    #[arg(long, allow_hyphen_values = true, default_value = "")]
    pub(crate) options: String,
    /// Append the table to this file
    #[arg(long)]
    pub(crate) table: Option<PathBuf>,
}

/// Runs everyone in turn, round after round.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0 && args.block > 0, "--runs and --block must not be 0");
    fs::create_dir_all(&args.dir)?;
    if let Some(home) = &args.home {
        fs::create_dir_all(home)?;
    }
    fs::write(args.dir.join("password"), PASSWORD)?;
    let contest = Contest::new(args)?;
    let mut results: Vec<Vec<Sample>> = vec![Vec::new(); contest.programs.len()];
    for round in 0..args.runs {
        for (number, program) in contest.programs.iter().enumerate() {
            let sample = contest.run(program, number, round);
            let sample = sample.with_context(|| format!("{}, run {round}", program.name))?;
            println!("{}", line(&program.name, &sample));
            std::io::stdout().flush()?;
            results[number].push(sample);
        }
    }
    if args.scenario == Scenario::Verify {
        contest.prove_verification()?;
    }
    let names = contest.programs.iter().map(|p| p.name.as_str());
    let rows: Vec<(&str, Vec<Sample>)> = names.zip(results).collect();
    table::publish(&table::comparison(&title(args)?, &rows), args.table.as_deref())
}

fn line(program: &str, sample: &Sample) -> serde_json::Value {
    let run = sample.run;
    let mut line =
        json!({"program": program, "seconds": run.seconds, "cpu": run.cpu, "peakMiB": run.peak_mib});
    if let Some(traffic) = sample.traffic {
        line["connections"] = traffic.connections.into();
        line["lists"] = traffic.lists.into();
        line["gets"] = traffic.gets.into();
        line["others"] = traffic.others.into();
        line["bytes"] = traffic.bytes.into();
    }
    line
}

/// Returns what was measured, in one line: `fresh: small, tmpfs to ext4, synced; 5 runs each`.
pub(crate) fn title(args: &Args) -> Result<String> {
    let mut what = match args.scenario {
        Scenario::Fresh => "fresh",
        Scenario::InPlace if args.overwrite == Overwrite::Always => "in place, everything read",
        Scenario::InPlace => "in place, size and time trusted",
        Scenario::Verify => "verify",
        Scenario::Snapshots => "open and list",
        Scenario::Ls => "ls",
    }
    .to_owned();
    let corpus = fs::canonicalize(&args.corpus)?;
    let name = corpus.file_name().unwrap_or_default().to_string_lossy();
    let from = if args.s3.s3 { args.s3.title() } else { table::file_system(&args.corpus)? };
    what += &format!(": {name}, {from} to {}", table::file_system(&args.dir)?);
    if let Some(home) = &args.home {
        what += &format!(", caches on {}", table::file_system(home)?);
    }
    for (part, is) in [(", synced", args.sync == Sync::End), (", cold", args.cold)] {
        what += if is { part } else { "" };
    }
    if !args.options.is_empty() {
        what += &format!(", ours with {}", args.options);
    }
    Ok(format!("{what}; {} runs each", args.runs))
}
