//! Runs many movers at once on one S3 server behind a link, as a rebuilt cluster starts them; beside as many stock
//! movers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rekopia_testkit::server::delay::Traffic;
use rekopia_testkit::server::s3::{ACCESS_KEY, SECRET_KEY};

use crate::check::equal_trees;
use crate::process::{Run, median, timed};
use crate::s3::{Remote, S3Args};
use crate::stock;
use crate::table;

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
    #[arg(long, requires = "kopia")]
    stock: Option<PathBuf>,
    /// The real Kopia, which it starts
    #[arg(long)]
    kopia: Option<PathBuf>,
    /// How many run at once
    #[arg(long, default_value_t = 25)]
    movers: usize,
    /// Round trip time of the link: 30ms
    #[arg(long, default_value = "30ms")]
    rtt: String,
    /// Fail when the stock movers do not take at least so many times our time
    #[arg(long, default_value_t = 0.0)]
    at_least: f64,
    /// Fail when one of ours takes more than so many times the median
    #[arg(long, default_value_t = 2.0)]
    at_most: f64,
    /// Append the table to this file
    #[arg(long)]
    table: Option<PathBuf>,
}

/// What a fleet took.
struct Fleet {
    /// Until the last one was done.
    seconds: f64,
    runs: Vec<Run>,
    traffic: Traffic,
}

/// Starts ours, then the others, and compares.
///
/// # Errors
/// When one fails, restores another tree than the source, or a limit is missed.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.movers > 0, "--movers must not be 0");
    fs::create_dir_all(args.dir.join("bin"))?;
    let dir = fs::canonicalize(&args.dir)?;
    let corpus = fs::canonicalize(&args.corpus)?;
    let mover = fs::canonicalize(&args.mover).context("no mover; build it")?;
    let ours = fleet(args, &dir, &corpus, "ours", &format!("exec '{}' restore", mover.display()))?;
    let mut rows = vec![head(), row("rekopia-mover", &ours, &ours)];
    let mut ratio = None;
    if let (Some(stock), Some(kopia)) = (&args.stock, &args.kopia) {
        stock::name_kopia(&dir, kopia)?;
        let copy = dir.join("stock-corpus");
        if !copy.exists() {
            fs::create_dir(&copy)?;
            std::os::unix::fs::symlink(corpus.join("source"), copy.join("source"))?;
        }
        stock::copy(&corpus.join("kopia"), &copy.join("kopia"))?;
        let script = format!("exec bash '{}' restore", fs::canonicalize(stock)?.display());
        let theirs = fleet(args, &dir, &copy, "stock", &script)?;
        rows.push(row("stock", &theirs, &ours));
        ratio = Some(theirs.seconds / ours.seconds);
    }
    let name = corpus.file_name().unwrap_or_default().to_string_lossy();
    let title = format!("### fleet: {} movers at once, {name}, S3 at {}\n\n", args.movers, args.rtt);
    table::publish(&(title + &table::markdown(&rows)), args.table.as_deref())?;
    let longest = ours.longest() / ours.median();
    ensure!(longest <= args.at_most, "one mover takes {longest:.1} times the median");
    if let Some(ratio) = ratio {
        ensure!(
            ratio >= args.at_least,
            "the stock movers take {ratio:.1} times our time, not {}",
            args.at_least
        );
    }
    Ok(())
}

/// Runs all at once, each with a volume, a cache and a home of its own; every volume is compared with the source.
fn fleet(args: &Args, dir: &Path, corpus: &Path, name: &str, script: &str) -> Result<Fleet> {
    let remote = Remote::start(&S3Args::far(&args.rtt)?, corpus, dir)?;
    let places: Vec<PathBuf> = (0..args.movers).map(|number| dir.join(format!("{name}-{number}"))).collect();
    for place in &places {
        ensure!(!place.exists(), "{} is there already", place.display());
        for folder in ["volume", "cache", "home"] {
            fs::create_dir_all(place.join(folder))?;
        }
    }
    rustix::fs::syncfs(fs::File::open(dir)?)?;
    let environments: Vec<_> = places.iter().map(|place| environment(dir, place, &remote)).collect();
    remote.take_traffic();
    let started = Instant::now();
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let threads: Vec<_> = places
            .iter()
            .zip(&environments)
            .map(|(place, environment)| scope.spawn(move || timed(script, environment, place, None)))
            .collect();
        let ended =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("panicked")));
        ended.collect::<Result<_>>()
    })?;
    let (seconds, traffic) = (started.elapsed().as_secs_f64(), remote.take_traffic());
    println!("{name}: {seconds:.2} s");
    for place in &places {
        // Kopia gives directories the newest time below them.
        equal_trees(&corpus.join("source"), &place.join("volume"), name == "ours")?;
    }
    Ok(Fleet { seconds, runs, traffic })
}

/// Returns the environment that the operator gives a restore job.
fn environment(dir: &Path, place: &Path, remote: &Remote) -> Vec<(String, OsString)> {
    let mut environment = stock::environment(dir, place);
    let own: [(&str, OsString); 8] = [
        ("HOME", place.join("home").into()),
        ("KOPIA_REPOSITORY", "s3://kopia".into()),
        ("KOPIA_S3_BUCKET", "kopia".into()),
        ("KOPIA_S3_ENDPOINT", remote.endpoint().into()),
        ("KOPIA_S3_DISABLE_TLS", "true".into()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
        ("AWS_REGION", "us-east-1".into()),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    environment
}

impl Fleet {
    fn median(&self) -> f64 {
        median(self.runs.iter().map(|run| run.seconds))
    }

    fn longest(&self) -> f64 {
        self.runs.iter().map(|run| run.seconds).fold(0.0, f64::max)
    }
}

fn head() -> Vec<String> {
    ["program", "seconds", "times ours", "median", "longest", "CPU seconds", "largest MiB", "requests", "MB"]
        .map(str::to_owned)
        .to_vec()
}

fn row(name: &str, fleet: &Fleet, ours: &Fleet) -> Vec<String> {
    let cpu: f64 = fleet.runs.iter().map(|run| run.cpu).sum();
    let peak = fleet.runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
    vec![
        name.to_owned(),
        format!("{:.2}", fleet.seconds),
        format!("{:.1}", fleet.seconds / ours.seconds),
        format!("{:.2}", fleet.median()),
        format!("{:.2}", fleet.longest()),
        format!("{cpu:.1}"),
        format!("{peak:.0}"),
        fleet.traffic.requests().to_string(),
        format!("{:.1}", fleet.traffic.bytes as f64 / 1e6),
    ]
}
