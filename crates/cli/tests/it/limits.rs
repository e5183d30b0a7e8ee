//! What is left where the system grants few threads, and where nobody takes what the program says.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::fixture::{Fixture, copy_dir};
use rekopia_testkit::pod::Pod;
use rekopia_testkit::scarce::{HANGS, ends, with_processes};
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;

const EXE: &str = env!("CARGO_BIN_EXE_rekopia");
/// How a program may end that cannot go on (README).
const CODES: [i32; 11] = [1, 2, 3, 10, 12, 13, 14, 15, 16, 17, 18];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder that everybody may enter, with the program, a repository and its password.
struct Place {
    fixture: Fixture,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let (fixture, dir) = (Fixture::load("quickstart"), tempfile::tempdir().unwrap());
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::copy(EXE, dir.path().join("rekopia")).unwrap();
        copy_dir(&fixture.repo(), &dir.path().join("repo"));
        Place { fixture, dir }
    }

    fn id(&self) -> &str {
        &self.fixture.snapshots[0].manifest_id
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Whether the target is what it is to be, but for owners and the groups' bit, which not everybody may set.
    fn assert_restored(&self, target: &Path, what: &str) {
        let expected = self.fixture.expected(&self.fixture.snapshots[0]).unwrap().of_nobody();
        let diff = expected.diff(&Tree::read(target).of_nobody(), &[]);
        assert!(diff.is_empty(), "{what}: {diff}");
    }
}

/// The limit counts the threads of a user, and root has none.
#[test]
fn few_threads_are_enough_or_are_named() {
    if !Pod::has_users_or_skips() {
        return;
    }
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    std::fs::create_dir(place.path("s3")).unwrap();
    let server = runtime.block_on(S3Server::start(&place.path("s3")));
    server.upload(&place.fixture.repo(), "bucket", "");
    let bucket = format!("s3://bucket?endpoint=http://{}&region=us-east-1", server.endpoint);
    let directory = place.path("repo").display().to_string();
    let mut restored = Vec::new();
    for limit in (1..=12).chain([20]) {
        for (number, repo) in [&directory, &bucket].into_iter().enumerate() {
            for (command, args) in [
                ("restore", &["restore", place.id()][..]),
                ("mirror", &["restore", "--delete-extra", "--yes", place.id()]),
                ("verify", &["verify", "--hash", "--all"]),
                ("ls", &["ls", "-r", place.id()]),
            ] {
                let what = format!("{command} from {repo} with {limit} processes");
                // A user of its own for each run: those of the run before are put away when the kernel has the time.
                let user = 3_000_000 + limit * 100 + number as u32 * 10 + command.len() as u32;
                let target = place.path(&format!("{user}{command}"));
                std::fs::create_dir(&target).unwrap();
                std::os::unix::fs::chown(&target, Some(user), Some(user)).unwrap();
                if command == "mirror" {
                    std::fs::write(target.join("extra"), "").unwrap();
                }
                let mut run = with_processes(limit, user);
                run.arg(place.path("rekopia")).args(["--repo", repo]).args(args);
                let writes = command == "restore" || command == "mirror";
                if writes {
                    run.arg(&target);
                }
                run.env("KOPIA_PASSWORD", &place.fixture.password).env("HOME", "/proc/nonexistent");
                run.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
                let errors = place.path("errors");
                run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors).unwrap());
                let status = ends(run.spawn().unwrap(), &what);
                let said = text(&std::fs::read(&errors).unwrap());
                assert!(!said.contains("panicked"), "{what}: {said}");
                match status.code() {
                    Some(0) if writes => {
                        place.assert_restored(&target, &what);
                        restored.push(limit);
                    }
                    Some(0) => {}
                    Some(code) if CODES.contains(&code) => {
                        assert!(said.contains("rekopia: ") && limit < 4, "{what}: {said}");
                    }
                    _ => panic!("{what}: {status}: {said}"),
                }
            }
        }
    }
    // There is one thread that may block, and all else is done between its turns.
    assert!(restored.contains(&2) && restored.contains(&20), "{restored:?}");
}

/// How standard output or standard error cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Closed,
    Unread,
    Full,
    HungUp,
}

/// Returns what a shell does to run the program so; it leaves its status in the file `code`, and may wait for `flag` to
/// go.
fn script(place: &Place, args: &[&str], streams: &str, way: Way) -> String {
    let quoted = |text: &str| format!("'{text}'");
    let program: Vec<String> = std::iter::once(EXE).chain(args.iter().copied()).map(quoted).collect();
    let program = program.join(" ");
    let redirect = |to: &str| -> String { streams.chars().map(|n| format!(" {n}>{to}")).collect() };
    let (code, flag) = (place.path("code"), place.path("flag"));
    match way {
        Way::Closed => format!("{program}{}; echo $? > {}", redirect("&-"), code.display()),
        Way::Full => format!("{program}{}; echo $? > {}", redirect("/dev/full"), code.display()),
        // Descriptor 9 is a pipe that `true` has left by the time that the flag is gone.
        Way::Unread => format!(
            "{{ while [ -e {flag} ]; do sleep 0.02; done; {program}{}; echo $? > {code}; }} 9>&1 | true",
            redirect("&9"),
            flag = flag.display(),
            code = code.display()
        ),
        // The terminal is gone when the flag is.
        Way::HungUp => format!(
            "trap '' HUP; echo ready; while [ -e {flag} ]; do sleep 0.02; done; {program}{}; echo $? > {code}",
            if streams == "1" {
                " 2>/dev/null"
            } else if streams == "2" {
                " >/dev/null"
            } else {
                ""
            },
            flag = flag.display(),
            code = code.display()
        ),
    }
}

/// Runs `program` with its arguments, its streams as told; gives its status. `streams`: 1, 2 or 12.
fn run_with(place: &Place, args: &[&str], streams: &str, way: Way) -> Output {
    let (code, flag) = (place.path("code"), place.path("flag"));
    let _ = std::fs::remove_file(&code);
    std::fs::write(&flag, "").unwrap();
    let script = script(place, args, streams, way);
    let mut command = match way {
        Way::HungUp => {
            let mut command = Command::new("script");
            command.args(["-qec", &script, "/dev/null"]);
            command
        }
        _ => {
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        }
    };
    command.env("KOPIA_PASSWORD", &place.fixture.password).env("HOME", "/proc/nonexistent");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if way == Way::HungUp {
        let mut ready = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    } else {
        std::thread::sleep(Duration::from_millis(30));
    }
    std::fs::remove_file(&flag).unwrap();
    let began = Instant::now();
    while std::fs::read_to_string(&code).map_or(true, |text| !text.ends_with('\n')) {
        assert!(began.elapsed() < HANGS, "{args:?} {streams} {way:?} does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let status: i32 = std::fs::read_to_string(&code).unwrap().trim().parse().unwrap();
    let mut output = match way {
        Way::HungUp => Output { status: ExitStatus::default(), stdout: Vec::new(), stderr: Vec::new() },
        _ => child.wait_with_output().unwrap(),
    };
    output.status = std::os::unix::process::ExitStatusExt::from_raw(status << 8);
    output
}

#[test]
fn streams_that_cannot_be_written_change_nothing() {
    let place = Place::new();
    let repo = place.path("repo").display().to_string();
    for way in [Way::Closed, Way::Unread, Way::Full, Way::HungUp] {
        for streams in ["1", "2", "12"] {
            for (number, args) in [
                &["restore", place.id()][..],
                &["--json", "restore", place.id()],
                &["-v", "restore", place.id()],
                &["verify", place.id()],
                &["--json", "verify", place.id()],
                &["ls", "-r", place.id()],
                &["snapshots"],
                &["cat", "nothing-that-exists"],
                &["verify", "nothing-that-exists"],
            ]
            .into_iter()
            .enumerate()
            {
                let target = place.path(&format!("{way:?}{streams}{number}"));
                let mut all = vec!["--repo", &repo];
                all.extend(args);
                let restores = args.contains(&"restore");
                if restores {
                    all.push(target.to_str().unwrap());
                }
                let output = run_with(&place, &all, streams, way);
                let (code, said) = (output.status.code().unwrap(), text(&output.stderr));
                let what = format!("{args:?}, {streams} {way:?}: {code}: {said}");
                let lists = matches!(args[0], "ls" | "snapshots");
                let says_json = args[0] == "--json";
                match args.last() {
                    Some(&"nothing-that-exists") => assert!([2, 13].contains(&code), "{what}"),
                    // What was to be given out could not be: a failure where somebody may want it.
                    _ if (lists || says_json) && streams != "2" && matches!(way, Way::Full | Way::HungUp) => {
                        assert!([0, 1].contains(&code), "{what}");
                    }
                    _ => assert_eq!(code, 0, "{what}"),
                }
                assert!(!said.contains("panicked"), "{what}");
                if restores {
                    place.assert_restored(&target, &what);
                    let _ = std::fs::remove_dir_all(&target);
                }
            }
        }
    }
}

/// A file that is longer than the process may write fails alone; the program is not killed for it.
#[test]
fn a_limit_of_the_length_of_files_fails_the_longer_ones() {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -f 8; exec \"$@\"", "bash", EXE, "--repo", fixture.repo().to_str().unwrap()]);
    command.args(["restore", "paperless@media:/data", target.to_str().unwrap()]);
    let output = command.env("KOPIA_PASSWORD", &fixture.password).stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("File too large"), "{said}");
}
