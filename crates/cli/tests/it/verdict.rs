//! How the program ends: one code for the status and the report, whoever reads what it says.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::exit_codes::code_of;
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{DirectorySink, RepositoryWriter, WriterOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn rekopia(repo: &str, password: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.args(["--repo", repo]).args(args).stdin(Stdio::null());
    command.env("KOPIA_PASSWORD", password).env("HOME", "/proc/nonexistent");
    command
}

fn fixture(name: &str, args: &[&str]) -> Command {
    let fixture = Fixture::load(name);
    rekopia(fixture.repo().to_str().unwrap(), &fixture.password, args)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the status, which is also what the last line of the output says.
#[track_caller]
fn code(output: &Output) -> i32 {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let code = output.status.code().unwrap();
    assert_eq!(last["exitCode"], code, "{last}\n{stderr}");
    code
}

#[test]
fn the_report_says_the_status() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let target = target.to_str().unwrap();
    for (name, args, expected) in [
        ("quickstart", &["verify"][..], 0),
        ("quickstart", &["restore", "latest", target], 0),
        ("damaged-pack-missing", &["verify"], 14),
        ("damaged-pack-missing", &["verify", "latest"], 14),
        ("damaged-directory-flipped", &["verify", "--all"], 14),
        ("damaged-directory-flipped", &["verify"], 14),
        ("damaged-pack-missing", &["restore", "latest", target], 3),
        ("damaged-pack-missing", &["restore", "--on-error", "stop", "latest", target], 14),
        ("quickstart", &["restore", "latest/nothing", target], 13),
    ] {
        let _ = std::fs::remove_dir_all(target);
        let output = fixture(name, &[&["--json"], args].concat()).output().unwrap();
        assert_eq!(code(&output), expected, "{name} {args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_receipt_that_cannot_be_written_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let (target, receipt) = (dir.path().join("t"), dir.path().join("no/such/folder"));
    let args =
        ["--json", "restore", "--receipt", receipt.to_str().unwrap(), "latest", target.to_str().unwrap()];
    let output = fixture("quickstart", &args).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("cannot write the receipt"), "{}", text(&output.stderr));
}

#[test]
fn nothing_to_verify_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let options = WriterOptions { password: "secret".into(), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(dir.path()).unwrap(), options).unwrap();
    writer.flush().unwrap();
    let repo = dir.path().to_str().unwrap();
    let empty = rekopia(repo, "secret", &["verify"]).output().unwrap();
    assert_eq!(empty.status.code(), Some(13), "{}", text(&empty.stderr));
    assert!(text(&empty.stderr).contains("the repository has no snapshots"), "{}", text(&empty.stderr));
    let partial = fixture("checkpoint-partial", &["verify"]).output().unwrap();
    assert_eq!(partial.status.code(), Some(13), "{}", text(&partial.stderr));
    assert!(
        text(&partial.stderr).contains("2 incomplete (--incomplete takes them)"),
        "{}",
        text(&partial.stderr)
    );
    let asked = fixture("checkpoint-partial", &["verify", "--incomplete"]).output().unwrap();
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
}

/// `restore … | head -1`, `2>` a full disk: what is said is lost, what is done is not.
#[test]
fn nobody_listening_changes_nothing() {
    let fixture_dir = Fixture::load("damaged-pack-missing");
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let trees: Vec<Tree> = (0..3)
        .map(|way| {
            let target = dir.path().join(way.to_string());
            let mut command =
                fixture("damaged-pack-missing", &["--json", "restore", "latest", target.to_str().unwrap()]);
            let mut child = match way {
                0 => command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
                1 => command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap(),
                _ => {
                    let mut args = vec!["restore", "latest", target.to_str().unwrap()];
                    args.insert(0, "-v");
                    fixture("damaged-pack-missing", &args).stdout(full()).stderr(full()).spawn().unwrap()
                }
            };
            // The reader of the pipe leaves before the first line.
            drop(child.stdout.take());
            assert_eq!(child.wait().unwrap().code(), Some(3), "{way}");
            Tree::read(&target)
        })
        .collect();
    for tree in &trees[1..] {
        let diff = trees[0].diff(tree, &[]);
        assert!(diff.is_empty(), "{diff}");
    }
    assert!(trees[0].entries.len() > 5, "{}", fixture_dir.name);
    // A listing that cannot be written is a failure, one that nobody wants is none.
    let listed = fixture("many-files", &["ls", "-r", "latest"]).stdout(full()).output().unwrap();
    assert_eq!(listed.status.code(), Some(1));
    assert!(
        text(&listed.stderr).contains("cannot write to standard output: No space left"),
        "{}",
        text(&listed.stderr)
    );
    let mut child = fixture("many-files", &["ls", "-r", "latest"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

/// Each signal has its code, in the report too, and is obeyed where the terminal has gone away.
/// What opening the repository and looking up the snapshot cost is told with what the run cost.
#[test]
fn the_numbers_are_those_of_all_requests() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("s3");
    std::fs::create_dir(&root).unwrap();
    let server = runtime.block_on(S3Server::start(&root));
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let url = format!("s3://bucket?endpoint=http://{}&region=us-east-1", server.endpoint);
    let target = dir.path().join("t");
    let restore = ["restore", "latest", target.to_str().unwrap()];
    for args in [&["verify", "latest"][..], &["verify", "--all"], &restore] {
        server.take_requests();
        let mut run = rekopia(&url, "rekopia-quickstart", &[&["--json"], args].concat());
        run.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let output = run.output().unwrap();
        assert_eq!(code(&output), 0, "{args:?}");
        let told: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
        assert_eq!(told["requests"], server.take_requests().len(), "{args:?}: {told}");
    }
}

#[test]
fn a_stopped_run_ends_as_its_signal() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("s3");
    std::fs::create_dir(&root).unwrap();
    let server = runtime.block_on(S3Server::start(&root));
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let url = format!("s3://bucket?endpoint=http://{}&region=us-east-1", server.endpoint);
    for (signal, expected, command) in
        [(Signal::TERM, 143, "restore"), (Signal::HUP, 129, "verify"), (Signal::INT, 130, "restore")]
    {
        server.delay(Duration::from_millis(400));
        server.take_requests();
        let target = dir.path().join(expected.to_string());
        let args =
            [&["--json", "--parallel", "1", command, "latest"][..], &[target.to_str().unwrap()]].concat();
        let args = if command == "verify" { &args[..args.len() - 1] } else { &args };
        let mut run = rekopia(&url, "rekopia-quickstart", args);
        run.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut child = run.stdout(Stdio::piped()).stderr(full).spawn().unwrap();
        let began = Instant::now();
        while !server.take_requests().iter().any(|(_, path, _)| path.starts_with("/bucket/p")) {
            assert!(began.elapsed() < Duration::from_secs(60), "no request for a pack");
            std::thread::sleep(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let output = child.wait_with_output().unwrap();
        let output = Output { stdout: stdout.into_bytes(), ..output };
        assert_eq!(code(&output), expected, "{command}");
    }
    server.delay(Duration::ZERO);
}

#[test]
fn advice_is_true_in_this_case() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let target = target.to_str().unwrap();
    let said = |name: &str, args: &[&str]| text(&fixture(name, args).output().unwrap().stderr);
    // An older one is restored: nothing is wrong with that.
    let lost = said("damaged-index-missing", &["restore", "latest", target]);
    assert!(!lost.contains("`rekopia "), "{lost}");
    // The root of the newest is unreadable: others are not.
    let root = said("damaged-directory-flipped", &["restore", "app@media:/data", target]);
    assert!(root.contains("`rekopia doctor` says what is damaged"), "{root}");
    let verified = said("damaged-directory-flipped", &["verify", "--all"]);
    assert!(verified.contains("failed: app@media:/data 3a2ab2e6001c9d24031b1ada4aa2ae08: "), "{verified}");
    assert!(!verified.contains("`rekopia verify"), "{verified}");
    // A file where the folder should be: an error before anything is done.
    std::fs::write(dir.path().join("file"), "").unwrap();
    let file = dir.path().join("file/below");
    let refused = said("quickstart", &["restore", "latest", file.to_str().unwrap()]);
    assert!(refused.contains("Nothing that was there before has been changed."), "{refused}");
    // A report of failures makes no such promise.
    let in_the_way = dir.path().join("full");
    std::fs::create_dir_all(in_the_way.join("config/secret.key")).unwrap();
    let said = said("quickstart", &["restore", "--on-error", "stop", "latest", in_the_way.to_str().unwrap()]);
    assert!(said.contains("Stopped: ") && !said.contains("Nothing that was there"), "{said}");
}

#[test]
fn a_time_that_a_list_shows_selects_what_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let fixture_of = Fixture::load("quickstart");
    for zone in ["UTC", "Europe/Berlin"] {
        let list = fixture("quickstart", &["snapshots"]).env("TZ", zone).output().unwrap();
        let shown: Vec<(String, String)> = text(&list.stdout)
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .map(|line| line.split("  "))
            .filter_map(|mut columns| Some((columns.next()?.to_owned(), columns.next()?.to_owned())))
            .collect();
        assert_eq!(shown.len(), fixture_of.snapshots.len(), "{}", text(&list.stdout));
        for (time, id) in &shown {
            for asked in [time.as_str(), time.rsplit_once(' ').unwrap().0] {
                let target = dir.path().join(format!("{zone} {asked}").replace('/', " "));
                let args = ["restore", "--dry-run", "--as-of", asked, "latest", target.to_str().unwrap()];
                let output = fixture("quickstart", &args).env("TZ", zone).output().unwrap();
                assert_eq!(output.status.code(), Some(0), "{asked}: {}", text(&output.stderr));
                assert!(
                    text(&output.stderr).contains(&format!("({id})")),
                    "{asked}: {}",
                    text(&output.stderr)
                );
            }
        }
    }
    for (asked, expected) in [("2020", 13), ("soon", 2), ("2026-11-29 16:29:20 PST", 2), ("oldest", 0)] {
        let output =
            fixture("quickstart", &["ls", "--as-of", asked, "latest"]).env("TZ", "UTC").output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{asked}: {}", text(&output.stderr));
    }
    assert!(
        Path::new("/usr/share/zoneinfo/Europe/Berlin").exists(),
        "the zones of this test are not installed"
    );
}

/// What names contents and snapshots is damaged: lists show the rest, an ID is what it is, and nothing else is guessed.
#[test]
fn a_bad_index_blob_in_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let into = target.to_str().unwrap();
    let name = "damaged-index-flipped";
    let of = Fixture::load(name);
    let run = |args: &[&str]| fixture(name, args).output().unwrap();
    let list = run(&["snapshots", "--json"]);
    let listed: Vec<Value> = serde_json::from_slice(&list.stdout).unwrap();
    assert!(!listed.is_empty() && listed.len() <= of.snapshots.len());
    let blob = "index blob x";
    for args in [
        &["snapshots"][..],
        &["snapshots", "--json"],
        &["snapshots", "app@media"],
        &["status"],
        &["status", "--json"],
        &["verify"],
        &["verify", "--all"],
        &["ls", "latest"],
        &["restore", "latest", into],
        &["restore", "app@media:/data", into],
        &["restore", "app@media", into, "--as-of", "2030-01-01"],
        &["restore", "/data", into, "--dry-run"],
        &["restore", "0123456789abcdef0123456789abcdef", into],
    ] {
        let ended = run(args);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code_of("corrupt")), "{args:?}: {said}");
        assert!(said.contains(blob), "{args:?}: {said}");
        assert!(!said.contains("--salvage") && !target.exists(), "{args:?}: {said}");
    }
    let refused = text(&run(&["restore", "latest", into]).stderr);
    assert!(refused.contains("the newest readable one is "), "{refused}");
    let mut worked = 0;
    for snapshot in &listed {
        let id = snapshot["id"].as_str().unwrap();
        let restored = run(&["restore", id, into]);
        let said = text(&restored.stderr);
        assert!(said.contains(blob), "{said}");
        match restored.status.code().unwrap() {
            0 => {
                let expected = of.snapshots.iter().find(|s| s.manifest_id == id).unwrap();
                assert!(of.expected(expected).unwrap().diff(&Tree::read(&target), &[]).is_empty());
                std::fs::remove_dir_all(&target).unwrap();
                assert!(run(&["verify", id]).status.success());
                assert!(run(&["ls", "-r", id]).status.success());
                worked += 1;
            }
            other => assert!(other == 14 && !target.exists(), "{other}: {said}"),
        }
    }
    assert!(worked > 0);
}
