//! Whole processes, interleaved, with the operating system's own accounting.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::corpora::{Kind, generate};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A repository that `generate` made
    #[arg(long)]
    repo: PathBuf,
    /// Folder for targets, configuration and caches (a tmpfs, or the disk to measure)
    #[arg(long)]
    dir: PathBuf,
    /// This program
    #[arg(long, default_value = "target/release/rekopia")]
    rekopia: PathBuf,
    /// The real Kopia
    #[arg(long)]
    kopia: Option<PathBuf>,
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Sync the file system at the end of each run, charged to everyone
    #[arg(long)]
    sync: bool,
    /// Remove targets after each run
    #[arg(long)]
    remove: bool,
    /// More options for our restore
    #[arg(long, allow_hyphen_values = true, num_args = 0..)]
    options: Vec<String>,
}

/// One run of one program.
#[derive(Debug, Clone, Copy)]
struct Run {
    seconds: f64,
    cpu: f64,
    peak_mib: f64,
}

type Program<'a> = (&'a str, Box<dyn Fn(&Path) -> Result<Run> + 'a>);

pub(crate) fn run(args: &Args) -> Result<()> {
    std::fs::create_dir_all(&args.dir)?;
    let password = args.dir.join("password");
    std::fs::write(&password, "test-password")?;
    let mut programs: Vec<Program<'_>> =
        vec![("rekopia", Box::new(|target| rekopia(args, &password, target)))];
    if let Some(kopia) = &args.kopia {
        programs.push(("kopia", Box::new(move |target| run_kopia(args, kopia, target, None))));
        programs
            .push(("kopia without cache", Box::new(move |target| run_kopia(args, kopia, target, Some("0")))));
    }
    let mut results: Vec<Vec<Run>> = vec![Vec::new(); programs.len()];
    for round in 0..args.runs {
        for (i, (name, program)) in programs.iter().enumerate() {
            let target = args.dir.join(format!("target-{round}-{i}"));
            let run = program(&target).with_context(|| format!("{name}, run {round}"))?;
            println!(
                "{}",
                json!({"program": name, "seconds": run.seconds, "cpu": run.cpu, "peakMiB": run.peak_mib})
            );
            results[i].push(run);
            if args.remove {
                std::fs::remove_dir_all(&target)?;
            }
        }
    }
    println!(
        "\n| program | seconds (median) | CPU seconds | peak MiB | times ours |\n| --- | --- | --- | --- | --- |"
    );
    let ours = median(results[0].iter().map(|r| r.seconds));
    for ((name, _), runs) in programs.iter().zip(&results) {
        let seconds = median(runs.iter().map(|r| r.seconds));
        let (cpu, peak) = (median(runs.iter().map(|r| r.cpu)), median(runs.iter().map(|r| r.peak_mib)));
        println!("| {name} | {seconds:.2} | {cpu:.2} | {peak:.0} | {:.2} |", seconds / ours);
    }
    Ok(())
}

/// Memory of a restore of many directories and of one wide directory.
pub(crate) fn scale(files: u64, dir: Option<PathBuf>, rekopia: &Path) -> Result<()> {
    let dir = dir.unwrap_or_else(|| std::env::temp_dir().join("rekopia-scale"));
    std::fs::create_dir_all(&dir)?;
    let password = dir.join("password");
    std::fs::write(&password, "test-password")?;
    for (kind, count) in [(Kind::Deep, files), (Kind::Wide, files / 3)] {
        let repo = dir.join(format!("{kind:?}-{count}"));
        if !repo.exists() {
            generate(kind, count, &repo)?;
        }
        let target = dir.join("target");
        let mut command = Command::new(rekopia);
        command.arg("--repo").arg(&repo).arg("--password-file").arg(&password);
        command.args(["--no-progress", "-q", "restore", "--sync", "none", "bench@host:/data"]).arg(&target);
        let run = timed(&mut command, None)?;
        // 32 MiB, the larger of key derivation and budget, the index.
        let contents = if kind == Kind::Deep { count + count / 10 } else { count };
        let bound = 32.0 + 80.0 + (contents as f64 * 40.0) / f64::from(1 << 20);
        println!(
            "{}",
            json!({"kind": format!("{kind:?}"), "files": count, "seconds": run.seconds, "peakMiB": run.peak_mib, "boundMiB": bound})
        );
        std::fs::remove_dir_all(&target)?;
        ensure!(run.peak_mib <= bound, "{kind:?}: {:.0} MiB, {bound:.0} allowed", run.peak_mib);
    }
    Ok(())
}

fn rekopia(args: &Args, password: &Path, target: &Path) -> Result<Run> {
    let mut command = Command::new(&args.rekopia);
    command.arg("--repo").arg(&args.repo).arg("--password-file").arg(password).args(["--no-progress", "-q"]);
    command.args(["restore", "--sync", "none"]).args(&args.options).arg("bench@host:/data").arg(target);
    timed(&mut command, args.sync.then_some(target))
}

/// Connect, find the snapshot, restore: what a fresh machine has to do.
fn run_kopia(args: &Args, kopia: &Path, target: &Path, cache_mb: Option<&str>) -> Result<Run> {
    let home = args.dir.join("kopia-home");
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home)?;
    let cache = cache_mb.map_or(String::new(), |mb| format!("--content-cache-size-mb={mb}"));
    let script = "set -e
        \"$K\" repository connect filesystem --path=\"$R\" --override-username=bench --override-hostname=host \
            --no-check-for-updates $C >/dev/null 2>&1
        \"$K\" restore bench@host:/data \"$T\" --no-progress >/dev/null 2>&1";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).env("K", kopia).env("R", &args.repo).env("T", target).env("C", cache);
    command.env("HOME", &home).env("KOPIA_PASSWORD", "test-password").env("KOPIA_CHECK_FOR_UPDATES", "false");
    timed(&mut command, args.sync.then_some(target))
}

fn timed(command: &mut Command, sync: Option<&Path>) -> Result<Run> {
    // GNU time reports what the kernel counted for the children of one command.
    let started = Instant::now();
    let mut wrapped = Command::new("/usr/bin/env");
    wrapped.arg("time").args(["-f", "%U %S %M"]).arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let output = wrapped
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("cannot start; is GNU time there?")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "exit {:?}: {text}", output.status.code());
    if let Some(target) = sync {
        let root = std::fs::File::open(target)?;
        rustix::fs::syncfs(&root)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let last = text.lines().last().unwrap_or_default();
    let mut numbers = last.split_whitespace().filter_map(|w| w.parse::<f64>().ok());
    let mut next = || numbers.next().unwrap_or(0.0);
    let cpu = next() + next();
    Ok(Run { seconds, cpu, peak_mib: next() / 1024.0 })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
