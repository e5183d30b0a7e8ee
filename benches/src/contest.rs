//! Runs all programs that take part in a scenario on one corpus, each under the same conditions.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::change::{Change, apply};
use crate::check::equal_trees;
use crate::compare::{Args, Overwrite, Scenario, Sync};
use crate::corpora::PASSWORD;
use crate::process::{drop_pages, timed};
use crate::s3::Remote;
use crate::table::Sample;
use crate::tools::{BACKUP_RESTIC, BACKUP_RUSTIC, Place, Program, Tool, Wanted, list_kopia, programs};

pub(crate) struct Contest<'a> {
    pub(crate) args: &'a Args,
    /// Ours first.
    pub(crate) programs: Vec<Program>,
    pub(crate) environment: Vec<(String, OsString)>,
    source: PathBuf,
    snapshots: usize,
    remote: Option<Remote>,
    /// Where homes are made.
    homes: PathBuf,
    home: Cell<u32>,
}

impl<'a> Contest<'a> {
    /// Makes what is missing, and starts the server when there is one.
    pub(crate) fn new(args: &'a Args) -> Result<Self> {
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
        let homes = args.home.as_ref().map_or(Ok(dir.clone()), fs::canonicalize)?;
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
        let place = if args.s3.s3 { Place::S3 } else { Place::Local };
        let (scenario, overwrite, parallel) = (args.scenario, args.overwrite, args.parallel);
        let synced = args.sync == Sync::End;
        let mut programs = programs(&args.tools, Wanted { scenario, overwrite, place, parallel, synced });
        if !source.exists() {
            // Many indexes: nothing that others could back up.
            ensure!(
                args.scenario == Scenario::Snapshots,
                "this corpus can only be listed: --scenario snapshots"
            );
            programs.retain(|p| matches!(p.tool, Tool::Rekopia | Tool::Kopia));
        }
        let (remote, home) = (None, Cell::new(0));
        let mut contest = Contest { args, programs, environment, source, snapshots, remote, homes, home };
        contest.prepare(&corpus)?;
        if args.s3.s3 {
            let remote = Remote::start(&args.s3, &corpus, &dir)?;
            contest.environment.extend(remote.environment()?);
            contest.remote = Some(remote);
        }
        Ok(contest)
    }

    /// Makes what is missing of the others' repositories.
    fn prepare(&mut self, corpus: &Path) -> Result<()> {
        let mut environment = self.fresh()?;
        for (tool, name, script) in
            [(Tool::Restic, "restic", BACKUP_RESTIC), (Tool::Rustic, "rustic", BACKUP_RUSTIC)]
        {
            if self.programs.iter().any(|p| p.tool == tool) && !corpus.join(name).exists() {
                timed(script, &environment, &self.args.dir, None)
                    .with_context(|| format!("{name} backup"))?;
                environment = self.fresh()?;
            }
        }
        if self.args.scenario == Scenario::Ls && self.args.tools.kopia.is_some() {
            timed(&list_kopia(), &environment, &self.args.dir, None)?;
            let list: Value = serde_json::from_slice(&fs::read(self.args.dir.join("stdout"))?)?;
            let root = list[0]["rootEntry"]["obj"].as_str().context("no root in Kopia's list")?;
            self.environment.push(("ROOT".to_owned(), root.into()));
        }
        Ok(())
    }

    /// Makes a run under equal conditions, and checks its result.
    pub(crate) fn run(&self, program: &Program, number: usize, round: usize) -> Result<Sample> {
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
        let mut environment = self.fresh()?;
        if args.cold {
            let repository = if program.tool == Tool::Restic { "restic" } else { "kopia" };
            drop_pages(&args.corpus.join(if program.tool == Tool::Rustic { "rustic" } else { repository }))?;
        }
        environment.push(("TARGET".to_owned(), target.clone().into()));
        let sync = (restores && args.sync == Sync::End).then_some(target.as_path());
        self.remote.as_ref().map(Remote::take_traffic);
        let run = timed(&program.script, &environment, &args.dir, sync)?;
        let traffic = self.remote.as_ref().map(Remote::take_traffic);
        if restores {
            equal_trees(&self.source, &target, program.tool != Tool::Kopia)?;
            if args.remove && !in_place {
                fs::remove_dir_all(&target)?;
            }
        } else {
            self.check_output(program)?;
        }
        Ok(Sample { run, traffic })
    }

    /// The state before an in-place restore: the source tree with a hundredth changed, on the disk.
    pub(crate) fn disturb(&self, target: &Path, round: usize) -> Result<()> {
        if !target.exists() {
            let status = Command::new("cp").arg("-a").arg(&self.source).arg(target).status()?;
            ensure!(status.success(), "cp ended with {status}");
        }
        let keep_times = self.args.overwrite == Overwrite::Always;
        apply(target, &Change { block: self.args.block, keep_times, seed: round as u64 })?;
        ensure!(equal_trees(&self.source, target, false).is_err(), "the change changed nothing");
        Ok(rustix::fs::syncfs(fs::File::open(target)?)?)
    }

    /// Prepares the environment of one run: no configuration and no cache of an earlier one, and nothing left to be
    /// written.
    ///
    /// The homes of earlier runs stay where they are: creating files is slow on ext4 for minutes after many were removed.
    pub(crate) fn fresh(&self) -> Result<Vec<(String, OsString)>> {
        let number = self.home.replace(self.home.get() + 1);
        let home = self.homes.join(format!("home-{}-{number}", std::process::id()));
        fs::create_dir(&home)?;
        for folder in [&home, &self.args.dir] {
            rustix::fs::syncfs(fs::File::open(folder)?)?;
        }
        let mut environment = self.environment.clone();
        environment.push(("HOME".to_owned(), home.into()));
        Ok(environment)
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
}

fn objects_with(value: &Value, key: &str) -> usize {
    match value {
        Value::Object(fields) if fields.contains_key(key) => 1,
        Value::Object(fields) => fields.values().map(|v| objects_with(v, key)).sum(),
        Value::Array(items) => items.iter().map(|v| objects_with(v, key)).sum(),
        _ => 0,
    }
}
