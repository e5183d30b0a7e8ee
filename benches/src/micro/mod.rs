//! The single steps of a restore, each alone on one thread.

mod codec;
mod files;
mod index;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::process::median;
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder for the rows that write files (a tmpfs, or the disk to measure; an index only goes to a disk)
    #[arg(long)]
    dir: PathBuf,
    /// Rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// MiB that go through a cipher, a decompressor or a hash in one round: beyond the caches near a core
    #[arg(long, default_value_t = 64)]
    mib: usize,
    /// Only steps whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// Entries of the index, files of the dry run times ten
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Files that are created in one round
    #[arg(long, default_value_t = 10_000)]
    files: u64,
    /// Append the table to this file
    #[arg(long)]
    table: Option<PathBuf>,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0, "--rounds must not be 0");
    ensure!(args.mib >= 4 && args.entries >= 10, "--mib must be 4 or more, --entries 10 or more");
    ensure!(args.files > 0, "--files must not be 0");
    let (rounds, bytes, only) = (args.rounds, args.mib << 20, args.only.clone());
    let mut steps = Steps { rounds, bytes, only, rows: Vec::new() };
    codec::decryption(&mut steps)?;
    codec::decompression(&mut steps)?;
    codec::hashing(&mut steps)?;
    index::reading(&mut steps, args.entries, &args.dir)?;
    files::creation(&mut steps, &args.dir, args.files)?;
    let head = ["step", "one takes", "rate", "note"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(steps.rows).collect();
    let to = table::file_system(&args.dir)?;
    let title = format!("### steps, one thread; files on {to}; medians of {} rounds", args.rounds);
    table::publish(&format!("{title}\n\n{}", table::markdown(&rows)), args.table.as_deref())
}

/// Takes the time of steps and keeps the results.
struct Steps {
    rounds: usize,
    /// Bytes of one round, where bytes go through a step.
    bytes: usize,
    only: String,
    rows: Vec<Vec<String>>,
}

/// What one step goes through.
#[derive(Debug, Clone, Copy)]
enum Unit {
    /// The step goes through so many bytes.
    Bytes(u64),
    /// The step makes one of these.
    Things(&'static str),
}

impl Steps {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// Times `work`, which does the step `times` times with what `prepare` made, and which is dropped, outside of
    /// the time. The first round warms up and does not count.
    fn time<T>(
        &mut self,
        name: &str,
        unit: Unit,
        times: u64,
        mut prepare: impl FnMut() -> Result<T>,
        mut work: impl FnMut(&mut T) -> Result<()>,
    ) -> Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        let mut seconds = Vec::with_capacity(self.rounds);
        for round in 0..=self.rounds {
            let mut prepared = prepare()?;
            let started = Instant::now();
            work(&mut prepared)?;
            let elapsed = started.elapsed();
            if round > 0 {
                seconds.push(elapsed.as_secs_f64() / times as f64);
            }
        }
        self.add(name, unit, median(seconds.into_iter()), String::new());
        Ok(())
    }

    fn add(&mut self, name: &str, unit: Unit, seconds: f64, note: String) {
        let rate = match unit {
            Unit::Bytes(bytes) => format!("{:.2} GB/s", bytes as f64 / seconds / 1e9),
            Unit::Things(what) => format!("{:.0} {what}/s", 1.0 / seconds),
        };
        println!("{name}: {}, {rate} {note}", shown(seconds));
        self.rows.push(vec![name.to_owned(), shown(seconds), rate, note]);
    }
}

fn shown(seconds: f64) -> String {
    let nanos = Duration::from_secs_f64(seconds.max(0.0)).as_secs_f64() * 1e9;
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        ..1e6 => format!("{:.1} µs", nanos / 1e3),
        ..1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs() {
        let dir = tempfile::tempdir().unwrap();
        let (only, table) = (String::new(), dir.path().join("table.md"));
        let args = Args {
            dir: dir.path().into(),
            rounds: 1,
            mib: 4,
            only,
            entries: 2000,
            files: 150,
            table: Some(table.clone()),
        };
        run(&args).unwrap();
        let text = std::fs::read_to_string(table).unwrap();
        for step in ["AES256-GCM", "CHACHA20", "zstd", "s2", "gzip", "BLAKE2B", "BLAKE3", "index", "create"] {
            assert!(text.contains(step), "{step}: {text}");
        }
    }
}
