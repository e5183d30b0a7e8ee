//! Progress as people see it: the program in a pseudo-terminal, in front of a storage that is slow, and every screen on
//! the way is looked at.

pub(crate) mod terminal;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::corpus::{small_files, write_repository};
use rekopia_testkit::server::s3::{Fault, S3Server};
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Source, WriterOptions};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};
use vt100::Screen;

use terminal::{PASSWORD, PATIENCE, PHASES, Terminal, rows, shows_phase, with_environment};

const EXE: &str = env!("CARGO_BIN_EXE_rekopia");
const FILES: usize = 30;
/// A repository of some ten packs in a bucket that takes its time.
struct Cloud {
    server: S3Server,
    // In this order: the server's tasks end with the runtime, then its files go.
    _runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

impl Cloud {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        let options = WriterOptions { max_pack_size: 1_000_000, ..WriterOptions::default() };
        let mut writer = RepositoryWriter::create(DirectorySink::create(&repo).unwrap(), options).unwrap();
        let root = write_repository(&mut writer, |t| small_files(t, FILES as u64, 400_000.0, 1)).unwrap();
        let source = Source { user: "app".into(), host: "media".into(), path: "/data".into() };
        let now = writer.now() * 1_000_000_000;
        writer.put_snapshot(&NewSnapshot::new(source, now, root)).unwrap();
        writer.flush().unwrap();
        std::fs::create_dir(dir.path().join("s3")).unwrap();
        let server = runtime.block_on(S3Server::start(&dir.path().join("s3")));
        server.upload(&repo, "bucket", "");
        server.delay(Duration::from_millis(250));
        Cloud { server, _runtime: runtime, dir }
    }

    /// Returns the program and its arguments.
    fn words(&self, more: &[&str]) -> Vec<String> {
        let url = format!("s3://bucket?endpoint=http://{}&region=us-east-1", self.server.endpoint);
        let words = [&[EXE, "--repo", &url, "--parallel", "1"], more].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    fn at_a_terminal(&self, columns: u16, more: &[&str]) -> Terminal {
        Terminal::start(columns, &self.words(more), |_| ())
    }

    fn target(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns a target that holds everything, and something more.
    fn restored(&self, name: &str) -> PathBuf {
        let target = self.target(name);
        self.server.delay(Duration::ZERO);
        let words = self.words(&["--no-progress", "restore", "latest", target.to_str().unwrap()]);
        let output = with_environment(Command::new(&words[0]).args(&words[1..])).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        self.server.delay(Duration::from_millis(250));
        std::fs::write(target.join("extra"), "x").unwrap();
        target
    }
}

fn has(words: &'static str) -> impl Fn(&Screen) -> bool {
    move |screen| screen.contents().contains(words)
}

fn files_in(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let count = |path: PathBuf| if path.is_dir() { files_in(&path) } else { 1 };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}

#[test]
fn a_restore_shows_one_line_at_any_width() {
    let cloud = Cloud::new();
    let expected: [(u16, &[&str]); 4] = [
        (40, &[" MB of ", " MB"]),
        (50, &[" MB of ", "left"]),
        (80, &[" MB of ", "MB/s", "left", " of 30 files"]),
        (120, &["[#", "%", " MB of ", "MB/s", "left", " of 30 files"]),
    ];
    std::thread::scope(|scope| {
        for (columns, words) in expected {
            let cloud = &cloud;
            scope.spawn(move || {
                let target = cloud.target(&format!("at {columns}"));
                let mut terminal =
                    cloud.at_a_terminal(columns, &["restore", "latest", target.to_str().unwrap()]);
                let (code, left) = terminal.ends();
                assert_eq!(code, Some(0), "{left}");
                assert!(terminal.showed("opening", &[]), "{columns}: {:?}", terminal.rows);
                assert!(terminal.showed("restoring", words), "{columns}: {:?}", terminal.rows);
                let said = left.replace('\n', " ");
                assert!(said.contains("Restored 30 files, "), "{left}");
                assert!(left.trim_end().ends_with("/s)."), "{left}");
                assert_eq!(files_in(&target), FILES);
            });
        }
    });
}

#[test]
fn failures_scroll_above_it() {
    let cloud = Cloud::new();
    let is_broken = std::sync::atomic::AtomicBool::new(false);
    let pack = std::sync::Mutex::new(None);
    cloud.server.break_answers(move |_, (_, path, _)| {
        // The second pack that is read: progress is seen before and after.
        if !path.starts_with("/bucket/p") {
            return None;
        }
        let mut pack = pack.lock().unwrap();
        let first: &String = pack.get_or_insert_with(|| path.clone());
        if first != path && !is_broken.load(std::sync::atomic::Ordering::SeqCst) {
            is_broken.store(true, std::sync::atomic::Ordering::SeqCst);
            *pack = Some(path.clone());
            return Some(Fault::Status(404, "NoSuchKey"));
        }
        (is_broken.load(std::sync::atomic::Ordering::SeqCst) && first == path)
            .then_some(Fault::Status(404, "NoSuchKey"))
    });
    let mut terminal = cloud.at_a_terminal(80, &["restore", "latest", cloud.target("t").to_str().unwrap()]);
    let above = |screen: &Screen| {
        let rows = rows(screen);
        let at = rows.iter().position(|row| shows_phase(row));
        at.is_some_and(|at| rows[..at].iter().any(|row| row.starts_with("failed: ")))
    };
    let is_seen = terminal.until(above);
    let (code, left) = terminal.ends();
    assert_eq!(code, Some(3), "{left}");
    assert!(left.contains("failed: ") && left.contains("NOT as in the snapshot"), "{left}");
    assert!(is_seen || terminal.showed("restoring", &[" failed"]), "{left}: {:?}", terminal.rows);
}

#[test]
fn an_error_at_opening_takes_it_away() {
    let cloud = Cloud::new();
    let words = cloud.words(&["restore", "latest", cloud.target("t").to_str().unwrap()]);
    let mut terminal = Terminal::start(80, &words, |command| {
        command.env("KOPIA_PASSWORD", "wrong");
    });
    let (code, left) = terminal.ends();
    assert_eq!(code, Some(12), "{left}");
    assert!(terminal.showed("opening", &[]) && left.trim_start().starts_with("rekopia: "), "{left}");
}

#[test]
fn an_interrupted_restore_leaves_nothing_of_it() {
    let cloud = Cloud::new();
    let target = cloud.target("t");
    for (columns, phase, command) in [
        (40, "restoring", &["restore", "latest", target.to_str().unwrap()][..]),
        (80, "opening", &["restore", "latest", target.to_str().unwrap()]),
        (120, "verifying", &["verify", "latest"]),
    ] {
        let mut terminal = cloud.at_a_terminal(columns, command);
        assert!(terminal.until(|screen| rows(screen).iter().any(|row| row.starts_with(phase))), "{phase}");
        terminal.type_keys("\u{3}");
        let (code, left) = terminal.ends();
        assert_eq!(code, Some(130), "{left}");
        let last = if phase == "opening" { "rekopia: stopped on request" } else { "Stopped on request" };
        assert!(left.contains(last), "{left}");
    }
}

#[test]
fn a_question_has_the_terminal_for_itself() {
    let cloud = Cloud::new();
    for (keys, code) in [("y\r", 0), ("n\r", 18)] {
        let target = cloud.restored(&format!("t{code}"));
        let mut terminal =
            cloud.at_a_terminal(80, &["restore", "--delete-extra", "latest", target.to_str().unwrap()]);
        assert!(terminal.until(has("Delete them? [y/N]")));
        terminal.rows.clear();
        terminal.look_on(Duration::from_secs(1));
        assert_eq!(terminal.rows, BTreeSet::new(), "progress while something is asked");
        terminal.type_keys(keys);
        let (ended, left) = terminal.ends();
        assert_eq!(ended, Some(code), "{left}");
        let question = format!("Delete them? [y/N] {}\n", keys.trim());
        assert!(left.contains(&question), "{left}");
        assert_eq!(target.join("extra").exists(), code != 0);
    }
}

#[test]
fn a_password_is_asked_for_undisturbed() {
    let cloud = Cloud::new();
    let words = cloud.words(&["restore", "latest", cloud.target("t").to_str().unwrap()]);
    for (keys, expected) in [("test-password\r", 0), ("\u{3}", 130), ("", 143)] {
        let mut terminal = Terminal::start(80, &words, |command| {
            command.env_remove("KOPIA_PASSWORD");
        });
        assert!(terminal.until(has("Repository password:")));
        terminal.rows.clear();
        terminal.look_on(Duration::from_secs(1));
        assert_eq!(terminal.rows, BTreeSet::new(), "progress while something is asked");
        match keys {
            "" => kill_process(Pid::from_child(&terminal.child), Signal::TERM).unwrap(),
            keys => terminal.type_keys(keys),
        }
        let (code, left) = terminal.ends();
        assert_eq!(code, Some(expected), "{left}");
        assert!(!left.contains(PASSWORD), "{left}");
        let modes = tcgetattr(&terminal.keyboard).unwrap().local_modes;
        assert!(
            modes.contains(LocalModes::ECHO | LocalModes::ICANON),
            "what is typed next would not be seen"
        );
    }
}

#[test]
fn verifications_and_dry_runs_have_their_own_names_for_it() {
    let cloud = Cloud::new();
    let mut terminal = cloud.at_a_terminal(80, &["verify", "latest"]);
    let (code, left) = terminal.ends();
    assert_eq!(code, Some(0), "{left}");
    assert!(terminal.showed("verifying", &["MB/s", " of 30 files"]), "{:?}", terminal.rows);
    assert!(left.contains("Verified 30 files, ") && left.contains("/s)."), "{left}");

    let mut terminal = cloud.at_a_terminal(80, &["verify", "--all"]);
    let (code, left) = terminal.ends();
    assert_eq!(code, Some(0), "{left}");
    assert!(terminal.showed("verifying", &["MB/s", "%"]), "{:?}", terminal.rows);
    assert!(!terminal.showed("verifying", &["files"]), "{:?}", terminal.rows);

    let target = cloud.restored("t");
    let mut terminal = cloud.at_a_terminal(80, &["restore", "--dry-run", "latest", target.to_str().unwrap()]);
    let (code, left) = terminal.ends();
    assert_eq!(code, Some(0), "{left}");
    assert!(terminal.showed("comparing", &[]) || terminal.showed("planning", &[]), "{:?}", terminal.rows);
    assert!(!terminal.showed("restoring", &[]), "{:?}", terminal.rows);
}

#[test]
fn events_name_each_phase_once() {
    let cloud = Cloud::new();
    let target = cloud.restored("t");
    cloud.server.delay(Duration::ZERO);
    let target = target.to_str().unwrap();
    let restore = ["restore", "--delete-extra", "--verify", "latest", target];
    for (args, expected) in [
        (&["restore", "--delete-extra", "--dry-run", "latest", target][..], "opening comparing planning"),
        (&restore, "opening comparing restoring deleting re-reading syncing"),
        (&["verify", "latest"], "opening verifying"),
        (&["verify"], "opening listing verifying"),
    ] {
        let words = cloud.words(&[&["--json"], args].concat());
        let output = with_environment(Command::new(&words[0]).args(&words[1..])).output().unwrap();
        let events = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{events}");
        let phases = events.lines().filter_map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            (event["event"] == "phase").then(|| event["phase"].as_str().unwrap().to_owned())
        });
        assert_eq!(Vec::from_iter(phases).join(" "), expected, "{events}");
        let progress = events.lines().rfind(|line| line.contains(r#""event":"progress""#)).unwrap();
        let of_many = expected.contains("listing");
        assert!(of_many || progress.contains(r#""totalFiles":30}"#), "{progress}");
    }
}

#[test]
fn who_wants_none_sees_none() {
    let cloud = Cloud::new();
    for (n, option) in ["--no-progress", "--quiet"].into_iter().enumerate() {
        let target = cloud.target(&n.to_string());
        let mut terminal = cloud.at_a_terminal(80, &[option, "restore", "latest", target.to_str().unwrap()]);
        let (code, left) = terminal.ends();
        assert_eq!(code, Some(0), "{left}");
        assert_eq!(terminal.rows, BTreeSet::new(), "{option}");
        assert_eq!(left.contains("Restored 30 files"), option == "--no-progress", "{left}");
    }
}

#[test]
fn only_standard_error_has_to_be_a_terminal() {
    let cloud = Cloud::new();
    let words = cloud.words(&["restore", "latest", cloud.target("t").to_str().unwrap()]);
    let mut terminal = Terminal::start(80, &words, |command| {
        command.stdout(Stdio::piped());
    });
    let mut stdout = terminal.child.stdout.take().unwrap();
    let (code, left) = terminal.ends();
    assert_eq!(code, Some(0), "{left}");
    assert!(terminal.showed("restoring", &["MB/s"]), "{:?}", terminal.rows);
    let mut piped = String::new();
    stdout.read_to_string(&mut piped).unwrap();
    assert_eq!(piped, "");
}

#[test]
fn a_log_gets_a_line_every_ten_seconds() {
    let cloud = Cloud::new();
    cloud.server.delay(Duration::from_millis(1300));
    let words = cloud.words(&["restore", "latest", cloud.target("t").to_str().unwrap()]);
    let began = Instant::now();
    let Output { status, stderr, .. } =
        with_environment(Command::new(&words[0]).args(&words[1..])).stdin(Stdio::null()).output().unwrap();
    let (took, said) = (began.elapsed(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(0), "{said}");
    let is_progress = |line: &&str| {
        let begins = |phase: &&str| {
            line.strip_prefix(*phase).is_some_and(|rest| matches!(rest.get(..1), None | Some(":")))
        };
        PHASES.iter().any(begins)
    };
    let lines = said.lines().filter(is_progress).count() as u64;
    assert!((1..=took.as_secs() / 10).contains(&lines), "{took:?}: {said}");
    assert!(!said.contains(['\r', '\u{1b}']) && said.contains("Restored 30 files"), "{said}");
}

#[test]
fn a_terminal_may_change_hang_or_go_away() {
    let cloud = Cloud::new();
    let restoring = |screen: &Screen| rows(screen).iter().any(|row| row.starts_with("restoring  "));
    let start = |name: &str| {
        let mut terminal =
            cloud.at_a_terminal(80, &["restore", "latest", cloud.target(name).to_str().unwrap()]);
        assert!(terminal.until(restoring));
        terminal
    };
    let mut resized = start("resized");
    for columns in [120, 0, 40, 1] {
        resized.resize(columns);
        resized.look_on(Duration::from_millis(300));
    }
    resized.resize(80);
    let (code, left) = resized.ends();
    assert_eq!(code, Some(0), "{left}");

    // Ctrl-S: nothing is taken any more. The restore goes on to its end all the same.
    let mut stopped = start("stopped");
    stopped.type_keys("\u{13}");
    let began = Instant::now();
    while files_in(&cloud.target("stopped")) < FILES {
        assert!(began.elapsed() < PATIENCE, "the terminal holds the restore up");
        std::thread::sleep(Duration::from_millis(50));
    }
    stopped.type_keys("\u{11}");
    let (code, left) = stopped.ends();
    assert_eq!(code, Some(0), "{left}");

    let Terminal { mut child, keyboard, .. } = start("gone");
    drop(keyboard);
    assert_eq!(child.wait().unwrap().code(), Some(129));
}
