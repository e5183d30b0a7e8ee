//! Ended at any moment and started again: in the end the volume is as the snapshot has it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rekopia_testkit::random::Random;
use rekopia_testkit::tree::Tree;
use rustix::process::{Pid, Signal, kill_process};

use crate::made::{Made, large_files, small_files};
use crate::place::{Ended, change_times, plain};

/// What the volume holds before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// All files, each of them damaged in some way.
    Damaged,
}

/// When a run is ended.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After this share of the time that a whole run takes: most of it goes by before the first write.
    Time(f64),
    /// When this share of the entries has been changed.
    Entries(f64),
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        Made::of(|root| {
            small_files(root, 600, 3000);
            large_files(root, 3, 3 << 20);
        })
    })
}

/// A volume outside of any pod: root in CI, whoever it is elsewhere.
struct Volume {
    dir: tempfile::TempDir,
    whole_run: Duration,
}

impl Volume {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let mut volume = Volume { dir, whole_run: Duration::ZERO };
        let started = Instant::now();
        volume.completes("the first run");
        volume.whole_run = started.elapsed();
        volume
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self) -> Command {
        plain(&made().repo(), &self.data())
    }

    fn prepare(&self, before: Before, random: &mut Random) {
        match before {
            Before::Nothing => {
                for entry in std::fs::read_dir(self.data()).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
                        .unwrap();
                }
            }
            Before::Damaged => {
                for (path, entry) in &made().tree.entries {
                    if entry.kind == 'f' {
                        damage(&self.data().join(path), random);
                    }
                }
            }
        }
    }

    #[track_caller]
    fn completes(&self, what: &str) {
        let ended = Ended::of(self.command().output().unwrap());
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.log);
        let diff = made().tree.diff(&Tree::read(&self.data()), &[]);
        assert!(diff.is_empty(), "{what}:\n{diff}");
    }

    /// Starts a run and waits for the moment; false when the run was over before.
    fn run_until(&self, moment: Moment) -> (Child, bool) {
        let before = change_times(&self.data());
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        match moment {
            Moment::Time(share) => std::thread::sleep(self.whole_run.mul_f64(share)),
            Moment::Entries(share) => {
                let wanted = (made().tree.entries.len() as f64 * share) as usize;
                while changed(&self.data(), &before) < wanted && child.try_wait().unwrap().is_none() {}
            }
        }
        let runs = child.try_wait().unwrap().is_none();
        (child, runs)
    }

    /// What looks finished is finished: no rule that goes by size and time may take a part for a whole.
    #[track_caller]
    fn holds_no_impostor(&self, what: &str) {
        let found = Tree::read(&self.data());
        for (path, entry) in &found.entries {
            let wanted = made().tree.entries.get(path);
            let wanted = wanted.unwrap_or_else(|| panic!("{what}: {path} is no entry of the snapshot"));
            let looks = (entry.size, entry.mtime_ns) == (wanted.size, wanted.mtime_ns);
            assert!(!looks || entry.sha256 == wanted.sha256, "{what}: {path} looks finished and is not");
        }
    }
}

/// Entries that are new or other than before.
fn changed(data: &Path, before: &std::collections::BTreeMap<std::path::PathBuf, (i64, i64, u64)>) -> usize {
    change_times(data).iter().filter(|(path, time)| before.get(*path) != Some(time)).count()
}

/// Shorter, longer, gone, or other bytes at one place or many.
fn damage(path: &Path, random: &mut Random) {
    let mut bytes = std::fs::read(path).unwrap();
    match random.below(5) {
        0 => return std::fs::remove_file(path).unwrap(),
        1 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        2 => bytes.extend([7; 5000]),
        3 => {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1;
        }
        _ => bytes.iter_mut().step_by(1000).for_each(|byte| *byte ^= 1),
    }
    // In place: the inode stays.
    std::fs::write(path, bytes).unwrap();
}

/// Returns moments: every third by the clock, the others by what was written; every second volume has everything
/// already.
fn moments(rounds: u64, seed: u64) -> impl Iterator<Item = (Before, Moment)> {
    let mut random = Random::new(seed);
    (0..rounds).map(move |round| {
        let before = if round % 2 == 0 { Before::Nothing } else { Before::Damaged };
        let share = random.unit();
        (before, if round % 3 == 0 { Moment::Time(share) } else { Moment::Entries(share) })
    })
}

fn killed(rounds: u64) {
    let volume = Volume::new();
    let mut random = Random::new(5);
    let (mut alive, mut amid) = (0, 0);
    for (before, moment) in moments(rounds, 17) {
        let what = format!("killed at {moment:?} onto {before:?}");
        volume.prepare(before, &mut random);
        let then = change_times(&volume.data());
        let (mut child, runs) = volume.run_until(moment);
        let _ = child.kill();
        let status = child.wait().unwrap();
        alive += u64::from(runs && status.signal() == Some(9));
        let written = changed(&volume.data(), &then);
        amid += u64::from(status.signal() == Some(9) && written > 0);
        volume.holds_no_impostor(&what);
        volume.completes(&what);
    }
    // Otherwise the moments were none: all before the first write, or all too late.
    assert!(
        alive * 2 > rounds && amid * 3 > rounds,
        "of {rounds} runs {alive} were killed, {amid} amid writing"
    );
}

/// A dozen moments; `.ci/full` asks for fifty.
#[test]
fn killed_at_any_moment_and_completed() {
    killed(std::env::var("REKOPIA_KILLS").map_or(12, |rounds| rounds.parse().unwrap()));
}

#[test]
fn stopped_at_any_moment_and_completed() {
    let volume = Volume::new();
    let mut random = Random::new(6);
    let (rounds, mut stopped) = (12, 0);
    for (before, moment) in moments(rounds, 18) {
        let what = format!("stopped at {moment:?} onto {before:?}");
        volume.prepare(before, &mut random);
        let (mut child, _) = volume.run_until(moment);
        let started = Instant::now();
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        let status = child.wait().unwrap();
        // The contract says two seconds; a busy machine gets five times that.
        assert!(started.elapsed() < Duration::from_secs(10), "{what}: {:?}", started.elapsed());
        // The first moments of a process are the kernel's and the loader's.
        let too_early = matches!(moment, Moment::Time(share) if share < 0.1) && status.signal() == Some(15);
        assert!(too_early || [Some(143), Some(0)].contains(&status.code()), "{what}: {status}");
        stopped += u64::from(status.code() == Some(143));
        volume.holds_no_impostor(&what);
        volume.completes(&what);
    }
    assert!(stopped * 2 > rounds, "of {rounds} runs {stopped} were stopped");
}

/// In a pod the mover is process 1, and for that one a signal that nobody handles is lost.
#[test]
fn process_1_stops_from_its_first_line_on() {
    if !rekopia_testkit::pod::Pod::has_users_or_skips() {
        return;
    }
    let volume = Volume::new();
    volume.prepare(Before::Nothing, &mut Random::new(7));
    let mover = volume.command();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--"]).arg(mover.get_program()).args(mover.get_args());
    command.env_clear().envs(mover.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let first: i32 = children.trim().parse().unwrap();
    kill_process(Pid::from_raw(first).unwrap(), Signal::TERM).unwrap();
    std::io::Read::read_to_string(&mut output, &mut line).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{line}");
    volume.completes("after it was stopped");
}
