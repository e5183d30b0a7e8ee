//! The program as a person or a script runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::{Fixture, copy_dir, testdata};
use rekopia_testkit::skip::has_programs;
use rekopia_testkit::tree::Tree;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_rekopia");

fn rekopia(args: &[&str]) -> Output {
    let mut command = Command::new(EXE);
    command.args(args).stdin(Stdio::null()).env_remove("KOPIA_PASSWORD").env("HOME", "/proc/nonexistent");
    command.output().unwrap()
}

fn password_file(dir: &Path, password: &str) -> PathBuf {
    let path = dir.join("password");
    std::fs::write(&path, format!("{password}\n")).unwrap();
    path
}

fn quickstart(rest: &[&str]) -> Output {
    let root = testdata().join("quickstart");
    let (repo, password) = (root.join("repo"), root.join("password"));
    let mut args = vec![
        "--repo",
        repo.to_str().unwrap(),
        "--password-file",
        password.to_str().unwrap(),
        "--no-progress",
    ];
    args.extend(rest);
    rekopia(&args)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", stdout(output), stderr(output));
}

#[test]
fn the_first_command_of_the_readme() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("restored");
    let output = quickstart(&["restore", "paperless@media:/data", target.to_str().unwrap()]);
    assert_code(&output, 0);
    assert!(
        stderr(&output).contains("Restored 31 files, 11 directories and 1 symbolic link"),
        "{}",
        stderr(&output)
    );
    let fixture = Fixture::load("quickstart");
    let diff = fixture.expected(&fixture.snapshots[2]).unwrap().diff(&Tree::read(&target), &[]);
    assert!(diff.is_empty(), "{diff}");
}

#[test]
fn exit_codes_and_untouched_targets() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let target_str = target.to_str().unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let wrong = password_file(dir.path(), "wrong");
    let root = testdata().join("quickstart");
    let (repo, password) = (root.join("repo"), root.join("password"));
    let (repo, password) = (repo.to_str().unwrap(), password.to_str().unwrap());
    for (code, repo, password, reference) in [
        (12, repo, wrong.to_str().unwrap(), "latest"),
        (10, empty.to_str().unwrap(), password, "latest"),
        (10, "/nonexistent/repository", password, "latest"),
        (13, repo, password, "paperles@media:/data"),
        (13, repo, password, "deadbeefdeadbeefdeadbeefdeadbeef"),
        (13, repo, password, "latest/nothing/here"),
        (2, repo, password, "what is this"),
        (2, repo, "/nonexistent/password", "latest"),
    ] {
        let args = ["--repo", repo, "--password-file", password, "restore", reference, target_str];
        let output = rekopia(&args);
        assert_code(&output, code);
        assert!(!target.exists(), "{args:?}");
        assert!(stderr(&output).lines().next().unwrap().starts_with("rekopia: "), "{}", stderr(&output));
    }
    let near = quickstart(&["restore", "paperles@media:/data", target_str]);
    assert!(stderr(&near).contains("paperless@media:/data"), "near misses are listed: {}", stderr(&near));
    assert_code(&rekopia(&["restore"]), 2);
    assert_code(&rekopia(&["--help"]), 0);
    let damaged = Fixture::load("damaged-pack-missing");
    let snapshot = damaged.snapshots.iter().find(|s| s.expect_error).unwrap();
    let password = password_file(dir.path(), &damaged.password);
    let repo = damaged.repo();
    let mut args =
        vec!["--repo", repo.to_str().unwrap(), "--password-file", password.to_str().unwrap(), "restore"];
    args.extend([snapshot.manifest_id.as_str(), target_str]);
    assert_code(&rekopia(&args), 3);
    args.extend(["--on-error", "stop"]);
    assert_code(&rekopia(&args), 14);
}

#[test]
fn a_full_target_is_16() {
    if !rustix::process::geteuid().is_root() {
        rekopia_testkit::must_run("a full file system", "only root can mount a small one");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = r#"set -e; mount -t tmpfs -o size=64k none "$D"; shift 0; exec "$E" --repo "$R/repo" \
        --password-file "$R/password" --no-progress restore "$REF" "$D/t""#;
    // A target that is too small from the start, and one that fills while nothing says how much is needed.
    for (reference, said) in [("latest", "are needed"), ("latest/media", "")] {
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", script])
            .env("D", dir.path())
            .env("E", EXE)
            .env("R", testdata().join("quickstart"))
            .env("REF", reference)
            .output()
            .unwrap();
        if reference == "latest" || stderr(&output).contains("no /media") {
            assert!(reference != "latest" || output.status.code() == Some(16), "{}", stderr(&output));
            assert!(reference != "latest" || stderr(&output).contains(said), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_read_only_repository_as_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("t"));
    copy_dir(&testdata().join("quickstart/repo"), &repo);
    let password = password_file(dir.path(), "rekopia-quickstart");
    let chmod = |mode: &str, path: &Path| {
        assert!(Command::new("chmod").args(["-R", mode]).arg(path).status().unwrap().success())
    };
    chmod("a-w,a+rX", &repo);
    chmod("a+rwX", dir.path());
    chmod("a-w", &repo);
    let before = Tree::read(&repo);
    let root = rustix::process::geteuid().is_root();
    if root && !has_programs("a read-only repository as somebody else", &["setpriv"]) {
        return;
    }
    let mut command = if root {
        let exe = dir.path().join("rekopia");
        std::fs::copy(EXE, &exe).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=1234", "--regid=1234", "--clear-groups", "--bounding-set=-all"]).arg(exe);
        command
    } else {
        Command::new(EXE)
    };
    let output = command
        .args([
            "--repo",
            repo.to_str().unwrap(),
            "--password-file",
            password.to_str().unwrap(),
            "--no-progress",
        ])
        .args(["restore", "latest", target.to_str().unwrap()])
        .output()
        .unwrap();
    assert_code(&output, 0);
    assert!(Tree::read(&target).entries.len() > 40);
    assert_eq!(Tree::read(&repo), before, "not one file of the repository changes");
    assert!(stderr(&output).contains("could not be set") || !root);
}

/// What it starts with is all taken before the first file is opened.
#[test]
fn a_small_limit_of_open_files_is_raised() {
    let dir = tempfile::tempdir().unwrap();
    let root = testdata().join("quickstart");
    let mut command = Command::new("sh");
    command.args(["-ec", "ulimit -Sn 8; exec \"$0\" \"$@\"", EXE, "--no-progress", "--repo"]);
    command.arg(root.join("repo")).arg("--password-file").arg(root.join("password"));
    let output = command.args(["restore", "latest"]).arg(dir.path().join("t")).output().unwrap();
    assert_code(&output, 0);
}

#[test]
fn listings_agree_with_kopia() {
    for name in ["quickstart", "identities", "volsync", "epochs", "format-v1", "maintained"] {
        let fixture = Fixture::load(name);
        let dir = tempfile::tempdir().unwrap();
        let (repo, password) = (fixture.repo(), password_file(dir.path(), &fixture.password));
        let args =
            ["--repo", repo.to_str().unwrap(), "--password-file", password.to_str().unwrap(), "--json"];
        let output = rekopia(&[&args[..], &["snapshots"]].concat());
        assert_code(&output, 0);
        let ours: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let kopia = fixture.kopia_cli();
        let commands = kopia["commands"].as_array().unwrap();
        let list = commands.iter().find(|c| {
            let args: Vec<&str> = c["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            args.starts_with(&["snapshot", "list"])
                && args.contains(&"--json")
                && args.contains(&"--show-identical")
        });
        let theirs = list.unwrap()["stdout"].as_array().unwrap();
        assert_eq!(ours.as_array().unwrap().len(), theirs.len(), "{name}");
        for their in theirs {
            let our = ours.as_array().unwrap().iter().find(|o| o["id"] == their["id"]).unwrap();
            for (field, value) in their.as_object().unwrap() {
                assert_eq!(&our[field], value, "{name} {} {field}", their["id"]);
            }
        }
    }
}

#[test]
fn ls_and_cat_show_what_is_there() {
    let output = quickstart(&["ls", "-r", "latest"]);
    assert_code(&output, 0);
    let fixture = Fixture::load("quickstart");
    let expected = fixture.expected(&fixture.snapshots[2]).unwrap();
    let mut listed: Vec<String> =
        stdout(&output).lines().map(|l| l.trim_end_matches('/').to_owned()).collect();
    listed.sort();
    let mut paths: Vec<String> = expected.entries.keys().filter(|p| !p.is_empty()).cloned().collect();
    paths.sort();
    assert_eq!(listed, paths);
    let json: Value = serde_json::from_str(&stdout(&quickstart(&["--json", "ls", "latest/config"]))).unwrap();
    assert!(json.as_array().unwrap().iter().any(|e| e["path"] == "secret.key" && e["type"] == "f"));
    let cat = quickstart(&["cat", "latest/config/secret.key"]);
    assert_eq!(cat.stdout.len() as u64, expected.entries["config/secret.key"].size);
    assert_code(&quickstart(&["cat", "latest/config"]), 2);
    assert_code(&quickstart(&["verify", "--hash"]), 0);
    let status: Value = serde_json::from_str(&stdout(&quickstart(&["--json", "status"]))).unwrap();
    assert_eq!(status["contentFormat"]["hash"], "BLAKE2B-256-128");
}

#[test]
fn events_are_lines_of_json_and_the_last_is_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("entries.jsonl");
    let output = quickstart(&[
        "--json",
        "restore",
        "--report",
        report.to_str().unwrap(),
        "latest",
        dir.path().join("t").to_str().unwrap(),
    ]);
    assert_code(&output, 0);
    let lines: Vec<Value> = stdout(&output).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["files"], &last["exitCode"]),
        (&"report".into(), &31.into(), &0.into())
    );
    assert_eq!(std::fs::read_to_string(report).unwrap().lines().count(), 32);
}

#[test]
fn kopias_own_configuration_and_saved_password() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("kopia");
    std::fs::create_dir(&folder).unwrap();
    let config = serde_json::json!({
        "storage": {"type": "filesystem", "config": {"path": testdata().join("quickstart/repo"), "dirShards": null}},
        "hostname": "media", "username": "paperless",
    });
    std::fs::write(folder.join("repository.config"), config.to_string()).unwrap();
    std::fs::write(folder.join("repository.config.kopia-password"), "cmVrb3BpYS1xdWlja3N0YXJ0").unwrap();
    let run = |args: &[&str]| {
        Command::new(EXE)
            .args(args)
            .env("XDG_CONFIG_HOME", dir.path())
            .env_remove("KOPIA_PASSWORD")
            .output()
            .unwrap()
    };
    let output = run(&["snapshots"]);
    assert_code(&output, 0);
    assert!(stdout(&output).starts_with("paperless@media:/data"));
    let named = folder.join("repository.config");
    assert_code(&run(&["--config", named.to_str().unwrap(), "snapshots"]), 0);
    assert_code(&run(&["--config", "repository.config", "snapshots"]), 0);
    assert_code(&run(&["--config", "missing.config", "snapshots"]), 2);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let root = testdata().join("many-files");
    let fixture = Fixture::load("many-files");
    let dir = tempfile::tempdir().unwrap();
    let password = password_file(dir.path(), &fixture.password);
    let script = r#""$E" --repo "$R/repo" --password-file "$P" ls -r latest 2>"$D/err" | head -n 1 >/dev/null; cat "$D/err""#;
    let output = Command::new("sh")
        .args(["-c", script])
        .env("E", EXE)
        .env("R", root)
        .env("P", password)
        .env("D", dir.path())
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "");
}

#[test]
fn secrets_are_in_no_output() {
    let dir = tempfile::tempdir().unwrap();
    let canary = "CANARY-6b1d-secret";
    let password = password_file(dir.path(), canary);
    let repo = testdata().join("quickstart/repo");
    for verbose in [&["-v"][..], &["-vvv"], &["--json"]] {
        let mut args = vec!["--repo", repo.to_str().unwrap(), "--password-file", password.to_str().unwrap()];
        args.extend(verbose);
        args.push("snapshots");
        let output = Command::new(EXE)
            .args(&args)
            .env("REKOPIA_LOG", "trace")
            .env("KOPIA_PASSWORD", canary)
            .output()
            .unwrap();
        assert_code(&output, 12);
        assert!(!stdout(&output).contains(canary) && !stderr(&output).contains(canary));
    }
}

#[test]
fn completions_and_the_manual_page() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&rekopia(&["completions", shell])).contains("rekopia"));
    }
    let man = stdout(&rekopia(&["man"]));
    assert!(man.contains(".TH") && man.contains("delete\\-extra"));
}
