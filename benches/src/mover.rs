//! The mover beside VolSync's stock script, as the operator starts either: same environment, same repository, in turn.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::check::equal_trees;
use crate::process::{Run, median, timed};
use crate::stock;
use crate::table::{self, Sample};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `generate` made
    #[arg(long)]
    corpus: PathBuf,
    /// Folder for volumes, caches and the stock script's copy of the repository
    #[arg(long)]
    dir: PathBuf,
    /// Ours
    #[arg(long, default_value = "target/dist/rekopia-mover")]
    mover: PathBuf,
    /// The stock script, `mover-kopia/entry.sh` of the fork; it needs bash and jq
    #[arg(long)]
    stock: PathBuf,
    /// The real Kopia, which it starts
    #[arg(long)]
    kopia: PathBuf,
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Fail when the stock script does not take at least so many times our time
    #[arg(long, default_value_t = 0.0)]
    at_least: f64,
    /// Append the table to this file
    #[arg(long)]
    table: Option<PathBuf>,
}

const OURS: &str = r#"exec "$MOVER" restore"#;
const STOCK: &str = r#"exec bash "$STOCK" restore"#;

/// Runs both in turn, round after round.
///
/// # Errors
/// When one fails, restores another tree than the source, or ours is slower than wanted.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "--runs must not be 0");
    fs::create_dir_all(args.dir.join("bin"))?;
    let dir = fs::canonicalize(&args.dir)?;
    let corpus = fs::canonicalize(&args.corpus)?;
    stock::name_kopia(&dir, &args.kopia)?;
    let copy = dir.join("stock-repository");
    stock::copy(&corpus.join("kopia"), &copy)?;
    let programs = [("rekopia-mover", OURS, corpus.join("kopia")), ("stock", STOCK, copy)];
    let mut rows: Vec<(&str, Vec<Sample>)> = programs.iter().map(|(name, ..)| (*name, Vec::new())).collect();
    for round in 0..args.runs {
        for (number, (name, script, repository)) in programs.iter().enumerate() {
            let run = restore(args, &dir, &corpus, script, repository);
            let run = run.with_context(|| format!("{name}, run {round}"))?;
            println!("{name}: {:.2} s", run.seconds);
            rows[number].1.push(Sample { run, traffic: None });
        }
    }
    let name = corpus.file_name().unwrap_or_default().to_string_lossy();
    let (from, to) = (table::file_system(&corpus)?, table::file_system(&dir)?);
    let title = format!("mover: {name}, {from} to {to}; {} runs each", args.runs);
    table::publish(&table::comparison(&title, &rows), args.table.as_deref())?;
    let middle = |row: &[Sample]| median(row.iter().map(|sample| sample.run.seconds));
    let ratio = middle(&rows[1].1) / middle(&rows[0].1);
    ensure!(
        ratio >= args.at_least,
        "the stock script takes {ratio:.1} times our time, not {}",
        args.at_least
    );
    Ok(())
}

/// Makes a run onto an empty volume with an empty cache, and checks its result.
fn restore(args: &Args, dir: &Path, corpus: &Path, script: &str, repository: &Path) -> Result<Run> {
    let (volume, cache) = (dir.join("volume"), dir.join("cache"));
    for folder in [&volume, &cache] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    let mut url = OsString::from("filesystem://");
    url.push(repository);
    let mut environment = stock::environment(dir, dir);
    let own = [
        ("MOVER", fs::canonicalize(&args.mover).context("no mover; build it")?.into()),
        ("STOCK", fs::canonicalize(&args.stock)?.into()),
        ("KOPIA_REPOSITORY", url),
        ("HOME", "/".into()),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    let run = timed(script, &environment, dir, None)?;
    // Kopia gives directories the newest time below them.
    equal_trees(&corpus.join("source"), &volume, script == OURS)?;
    Ok(run)
}
