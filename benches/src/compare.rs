//! Programs in turn on one corpus, each result checked; medians and ratios as a Markdown table.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::change::{Change, apply};
use crate::check::equal_trees;
use crate::corpora::PASSWORD;
use crate::process::{Run, drop_pages, files, median, timed};
use crate::tools::{BACKUP_RESTIC, BACKUP_RUSTIC, LIST_KOPIA, Program, Tool, Tools, programs};

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
    corpus: PathBuf,
    /// Folder for targets, configuration and caches (a tmpfs, or the disk to measure)
    #[arg(long)]
    dir: PathBuf,
    #[arg(long, value_enum, default_value = "fresh")]
    scenario: Scenario,
    #[arg(long, value_enum, default_value = "always")]
    overwrite: Overwrite,
    /// Bytes of one changed block of a large file, in place
    #[arg(long, default_value_t = 1 << 20)]
    block: u64,
    #[command(flatten)]
    tools: Tools,
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[arg(long, value_enum, default_value = "none")]
    sync: Sync,
    /// Remove fresh targets after each run
    #[arg(long)]
    remove: bool,
    /// Drop the repositories' pages from the page cache before each run
    #[arg(long)]
    cold: bool,
    /// Global options for ours, in one string
    #[arg(long, allow_hyphen_values = true, default_value = "")]
    options: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0 && args.block > 0, "--runs and --block must not be 0");
    fs::create_dir_all(&args.dir)?;
    fs::write(args.dir.join("password"), PASSWORD)?;
    let bench = Bench::new(args)?;
    let mut results: Vec<Vec<Run>> = vec![Vec::new(); bench.programs.len()];
    for round in 0..args.runs {
        for (number, program) in bench.programs.iter().enumerate() {
            let run = bench.run(program, number, round);
            let run = run.with_context(|| format!("{}, run {round}", program.name))?;
            let line = json!({"program": program.name, "seconds": run.seconds, "cpu": run.cpu, "peakMiB": run.peak_mib});
            println!("{line}");
            std::io::stdout().flush()?;
            results[number].push(run);
        }
    }
    if args.scenario == Scenario::Verify {
        bench.prove_verification()?;
    }
    println!("\n| program | seconds (median) | CPU seconds | peak MiB (largest) | times ours |");
    println!("| --- | --- | --- | --- | --- |");
    let ours = median(results[0].iter().map(|r| r.seconds));
    for (program, runs) in bench.programs.iter().zip(&results) {
        let (seconds, cpu) = (median(runs.iter().map(|r| r.seconds)), median(runs.iter().map(|r| r.cpu)));
        let peak = runs.iter().map(|r| r.peak_mib).fold(0.0, f64::max);
        println!("| {} | {seconds:.2} | {cpu:.2} | {peak:.0} | {:.2} |", program.name, seconds / ours);
    }
    Ok(())
}

struct Bench<'a> {
    args: &'a Args,
    programs: Vec<Program>,
    environment: Vec<(String, OsString)>,
    source: PathBuf,
    snapshots: usize,
}

impl<'a> Bench<'a> {
    fn new(args: &'a Args) -> Result<Self> {
        let corpus = fs::canonicalize(&args.corpus)?;
        let dir = fs::canonicalize(&args.dir)?;
        let snapshots = fs::read_to_string(corpus.join("snapshots"))?.trim().parse()?;
        let source = corpus.join("source");
        let mut environment: Vec<(String, OsString)> = Vec::new();
        let mut set = |key: &str, value: OsString| environment.push((key.to_owned(), value));
        set("REKOPIA", args.tools.rekopia.clone().into());
        set("REPO", corpus.join("kopia").into());
        set("RESTIC_REPO", corpus.join("restic").into());
        set("RUSTIC_REPO", corpus.join("rustic").into());
        set("SOURCE", source.clone().into());
        set("PASSWORD_FILE", dir.join("password").into());
        set("HOME", dir.join("home").into());
        set("OPTIONS", args.options.clone().into());
        set("KOPIA_CHECK_FOR_UPDATES", "false".into());
        for key in ["KOPIA_PASSWORD", "RESTIC_PASSWORD", "RUSTIC_PASSWORD"] {
            set(key, PASSWORD.into());
        }
        for (key, path) in
            [("KOPIA", &args.tools.kopia), ("RESTIC", &args.tools.restic), ("RUSTIC", &args.tools.rustic)]
        {
            set(key, path.clone().unwrap_or_default().into());
        }
        let mut programs = programs(&args.tools, args.scenario, args.overwrite);
        if !source.exists() {
            // Many indexes: nothing that others could back up.
            ensure!(
                args.scenario == Scenario::Snapshots,
                "this corpus can only be listed: --scenario snapshots"
            );
            programs.retain(|p| matches!(p.tool, Tool::Rekopia | Tool::Kopia));
        }
        let mut bench = Bench { args, programs, environment, source, snapshots };
        bench.prepare(&corpus)?;
        Ok(bench)
    }

    /// Makes what is missing of the others' repositories.
    fn prepare(&mut self, corpus: &Path) -> Result<()> {
        self.fresh_home()?;
        for (tool, name, script) in
            [(Tool::Restic, "restic", BACKUP_RESTIC), (Tool::Rustic, "rustic", BACKUP_RUSTIC)]
        {
            if self.programs.iter().any(|p| p.tool == tool) && !corpus.join(name).exists() {
                timed(script, &self.environment, &self.args.dir, None)
                    .with_context(|| format!("{name} backup"))?;
            }
        }
        if self.args.scenario == Scenario::Ls && self.args.tools.kopia.is_some() {
            timed(LIST_KOPIA, &self.environment, &self.args.dir, None)?;
            let list: Value = serde_json::from_slice(&fs::read(self.args.dir.join("stdout"))?)?;
            let root = list[0]["rootEntry"]["obj"].as_str().context("no root in Kopia's list")?;
            self.environment.push(("ROOT".to_owned(), root.into()));
        }
        Ok(())
    }

    fn run(&self, program: &Program, number: usize, round: usize) -> Result<Run> {
        let args = self.args;
        let in_place = args.scenario == Scenario::InPlace;
        let target = if in_place { format!("place-{number}") } else { format!("target-{number}-{round}") };
        let target = fs::canonicalize(&args.dir)?.join(target);
        let restores = matches!(args.scenario, Scenario::Fresh | Scenario::InPlace);
        if in_place {
            self.disturb(&target, round)?;
        } else if restores {
            ensure!(!target.exists(), "{} is there already", target.display());
        }
        self.fresh_home()?;
        if args.cold {
            let repository = if program.tool == Tool::Restic { "restic" } else { "kopia" };
            drop_pages(&args.corpus.join(if program.tool == Tool::Rustic { "rustic" } else { repository }))?;
        }
        let mut environment = self.environment.clone();
        environment.push(("TARGET".to_owned(), target.clone().into()));
        let sync = (restores && args.sync == Sync::End).then_some(target.as_path());
        let run = timed(&program.script, &environment, &args.dir, sync)?;
        if restores {
            equal_trees(&self.source, &target, program.tool != Tool::Kopia)?;
            if args.remove && !in_place {
                fs::remove_dir_all(&target)?;
            }
        } else {
            self.check_output(program)?;
        }
        Ok(run)
    }

    /// The state before an in-place restore: the source tree with a hundredth changed, on the disk.
    fn disturb(&self, target: &Path, round: usize) -> Result<()> {
        if !target.exists() {
            let status = Command::new("cp").arg("-a").arg(&self.source).arg(target).status()?;
            ensure!(status.success(), "cp ended with {status}");
        }
        let keep_times = self.args.overwrite == Overwrite::Always;
        apply(target, &Change { block: self.args.block, keep_times, seed: round as u64 })?;
        ensure!(equal_trees(&self.source, target, false).is_err(), "the change changed nothing");
        Ok(rustix::fs::syncfs(fs::File::open(target)?)?)
    }

    fn fresh_home(&self) -> Result<()> {
        let home = self.args.dir.join("home");
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        Ok(fs::create_dir_all(&home)?)
    }

    /// A list must have every snapshot, or every name in the root.
    fn check_output(&self, program: &Program) -> Result<()> {
        let output = fs::read_to_string(self.args.dir.join("stdout"))?;
        let (found, wanted) = match self.args.scenario {
            Scenario::Snapshots => {
                let key =
                    if program.tool == Tool::Restic || program.tool == Tool::Rustic { "tree" } else { "id" };
                let values = serde_json::Deserializer::from_str(&output).into_iter::<Value>();
                let values: Vec<Value> = values.collect::<Result<_, _>>()?;
                // The others have the last state only.
                let wanted = if key == "tree" { 1 } else { self.snapshots };
                (values.iter().map(|value| objects_with(value, key)).sum(), wanted)
            }
            Scenario::Ls => (output.lines().count(), fs::read_dir(&self.source)?.count()),
            _ => return Ok(()),
        };
        ensure!(found == wanted, "{found} of {wanted} listed");
        Ok(())
    }

    /// A verification that cannot fail proves nothing: each must see one flipped bit in the largest data file.
    fn prove_verification(&self) -> Result<()> {
        for program in &self.programs {
            let (folder, data) = match program.tool {
                Tool::Rekopia | Tool::Kopia => ("kopia", "/p"),
                Tool::Restic => ("restic", "/data/"),
                Tool::Rustic => ("rustic", "/data/"),
            };
            let mut candidates = Vec::new();
            for path in files(&self.args.corpus.join(folder))? {
                if path
                    .to_string_lossy()
                    .rsplit_once(folder)
                    .is_some_and(|(_, below)| below.starts_with(data))
                {
                    candidates.push((path.metadata()?.len(), path));
                }
            }
            let (len, path) = candidates.into_iter().max().context("no data in the repository")?;
            let flip = Flip::new(&path, len / 2)?;
            self.fresh_home()?;
            let outcome = timed(&program.script, &self.environment, &self.args.dir, None);
            drop(flip);
            if outcome.is_ok() {
                bail!("{} did not notice a flipped bit in {}", program.name, path.display());
            }
        }
        println!("every verification noticed a flipped bit");
        Ok(())
    }
}

/// A bit of a file that is wrong until this is dropped.
struct Flip {
    file: fs::File,
    at: u64,
    mode: fs::Permissions,
}

impl Flip {
    fn new(path: &Path, at: u64) -> Result<Self> {
        let mode = path.metadata()?.permissions();
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let flip = Flip { file, at, mode };
        flip.toggle()?;
        Ok(flip)
    }

    fn toggle(&self) -> std::io::Result<()> {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, self.at)?;
        self.file.write_all_at(&[byte[0] ^ 1], self.at)?;
        self.file.set_permissions(self.mode.clone())
    }
}

impl Drop for Flip {
    fn drop(&mut self) {
        if let Err(error) = self.toggle() {
            eprintln!("the repository stays damaged: {error}");
        }
    }
}

fn objects_with(value: &Value, key: &str) -> usize {
    match value {
        Value::Object(fields) if fields.contains_key(key) => 1,
        Value::Object(fields) => fields.values().map(|v| objects_with(v, key)).sum(),
        Value::Array(items) => items.iter().map(|v| objects_with(v, key)).sum(),
        _ => 0,
    }
}
