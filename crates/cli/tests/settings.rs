//! What is typed, pasted and set in the environment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rekopia_testkit::fixture::testdata;
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};

fn repo() -> String {
    testdata().join("quickstart/repo").to_str().unwrap().to_owned()
}

fn rekopia(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.env_clear().env("HOME", "/proc/nonexistent").stdin(Stdio::null()).args(args);
    command.envs(variables.iter().copied());
    command.output().unwrap()
}

fn password() -> PathBuf {
    testdata().join("quickstart/password")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A configuration of Kopia's that names the repository of the quick start, with its password beside it.
fn config(dir: &std::path::Path, limits: &str) -> String {
    let path = dir.join("repository.config");
    let json = format!(
        r#"{{"storage":{{"type":"filesystem","config":{{"path":{:?}{limits}}}}},"hostname":"media","username":"paperless"}}"#,
        repo()
    );
    std::fs::write(&path, json).unwrap();
    let text = std::fs::read_to_string(password()).unwrap();
    let saved = base64::prelude::BASE64_STANDARD.encode(text.trim());
    std::fs::write(dir.join("repository.config.kopia-password"), saved).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_typed_beats_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let (good_config, good, bad) = (config(dir.path(), ""), repo(), "/nonexistent/place");
    let key = password();
    let password = ["--password-file", key.to_str().unwrap()];
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&[&str], Variables, i32); 14] = [
        (&["--repo", &good], &[("KOPIA_CONFIG_PATH", bad)], 0),
        (&["--repo", &good], &[("KOPIA_CONFIG_PATH", bad), ("REKOPIA_REPOSITORY", bad)], 0),
        (&["-r", &good], &[("KOPIA_CONFIG_PATH", bad), ("REKOPIA_REPOSITORY", bad)], 0),
        (&["--config", &good_config], &[("REKOPIA_REPOSITORY", bad)], 0),
        (&["--config", &good_config], &[("KOPIA_CONFIG_PATH", bad)], 0),
        (&[], &[("REKOPIA_REPOSITORY", &good), ("KOPIA_CONFIG_PATH", bad)], 0),
        (&[], &[("REKOPIA_REPOSITORY", bad), ("KOPIA_CONFIG_PATH", &good_config)], 10),
        (&[], &[("REKOPIA_REPOSITORY", ""), ("KOPIA_CONFIG_PATH", &good_config)], 0),
        (&[], &[("KOPIA_CONFIG_PATH", &good_config)], 0),
        (&[], &[("REKOPIA_REPOSITORY", ""), ("KOPIA_CONFIG_PATH", "")], 2),
        (&["--repo", &good, "--config", &good_config], &[], 2),
        (&["-r", &good, "--config", &good_config], &[], 2),
        (&["-r", &good, "--repo", &good], &[], 2),
        (&["--repo", &good, "--token-file", &good_config], &[], 2),
    ];
    for (options, variables, code) in cases {
        let args = [options, &password, &["snapshots"]].concat();
        let output = rekopia(&args, variables);
        assert_eq!(output.status.code(), Some(code), "{options:?} {variables:?}: {}", stderr(&output));
        // `-r` has its meaning before the command only.
        let (before, after) = options.split_at(if options.contains(&"-r") { 2 } else { 0 });
        let args = [before, &["snapshots"], &password, after].concat();
        let output = rekopia(&args, variables);
        assert_eq!(output.status.code(), Some(code), "after: {options:?} {variables:?}: {}", stderr(&output));
    }
    // An empty password is none: what Kopia saved is taken.
    let saved = rekopia(&["--config", &good_config, "snapshots"], &[("KOPIA_PASSWORD", "")]);
    assert_eq!(saved.status.code(), Some(0), "{}", stderr(&saved));
}

#[test]
fn nobody_is_asked_for_the_password_of_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().to_str().unwrap();
    for repo in ["/nonexistent/place", empty] {
        let output = rekopia(&["--repo", repo, "snapshots"], &[]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(10), "{repo}: {said}");
        let says_so = said.contains("no Kopia repository at") || said.contains("no such place");
        assert!(says_so && !said.contains("password"), "{said}");
    }
    let output = rekopia(&["--repo", &repo(), "snapshots"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn options_are_in_the_same_groups_everywhere() {
    const GROUPS: [&str; 5] = ["What to read:", "Target:", "Attributes:", "Repository:", "Output:"];
    for (command, groups) in [
        ("restore", &GROUPS[..]),
        ("ls", &["What to read:", "Repository:", "Output:"]),
        ("cat", &["What to read:", "Repository:", "Output:"]),
        ("verify", &["What to read:", "Repository:", "Output:"]),
        ("snapshots", &["What to read:", "Repository:", "Output:"]),
        ("status", &["Repository:", "Output:"]),
    ] {
        let output = rekopia(&[command, "--help"], &[]);
        let help = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = help.lines().filter(|line| GROUPS.contains(line)).collect();
        assert_eq!(found, groups, "{command}: {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        let group_of = |option: &str| {
            let at = help.lines().position(|line| line.trim_start().contains(option)).unwrap();
            help.lines().take(at).filter(|line| GROUPS.contains(line)).last().unwrap()
        };
        assert_eq!(group_of("--repo "), "Repository:");
        assert_eq!(group_of("--json"), "Output:");
        if command == "restore" {
            assert_eq!(group_of("--as-of"), "What to read:");
            assert_eq!(group_of("--include"), "What to read:");
            assert_eq!(group_of("--delete-extra"), "Target:");
            assert_eq!(group_of("--owner"), "Attributes:");
            assert_eq!(group_of("--report"), "Output:");
        }
    }
}

#[test]
fn the_manual_page_has_every_exit_code() {
    let page = String::from_utf8(rekopia(&["man"], &[]).stdout).unwrap();
    let (_, status) = page.split_once(".SH EXIT STATUS").unwrap();
    for row in rekopia_testkit::exit_codes::rows() {
        assert!(status.contains(&format!("\\fB{}\\fR", row.code)), "{}", row.code);
    }
}

#[test]
fn the_log_holds_no_secret_at_any_level() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = runtime.block_on(S3Server::start(dir.path()));
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let url = format!("s3://bucket?endpoint=http://{}&region=us-east-1", server.endpoint);
    let key = password();
    for level in ["trace", "debug", "hyper=trace,aws_sdk_s3=trace,aws_smithy_runtime=trace", "rekopia=trace"]
    {
        let output = rekopia(
            &["--repo", &url, "--password-file", key.to_str().unwrap(), "-vvv", "snapshots"],
            &[
                ("REKOPIA_LOG", level),
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
                ("AWS_SESSION_TOKEN", "canary-token"),
            ],
        );
        let said = stderr(&output);
        for secret in [SECRET_KEY, "canary-token", "Signature="] {
            assert!(!said.contains(secret), "{level}: {said}");
        }
    }
}

#[test]
fn what_kopia_prints_is_a_token_file_and_zero_is_no_limit() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(password()).unwrap();
    let token = format!(
        r#"{{"version":"1","storage":{{"type":"filesystem","config":{{"path":{:?}}}}},"password":{:?}}}"#,
        repo(),
        text.trim()
    );
    let token = BASE64_URL_SAFE_NO_PAD.encode(token);
    let file = dir.path().join("status");
    let printed = format!(
        "Config file:         /home/me/.config/kopia/repository.config\n\n\
         To reconnect to the repository use:\n\n$ kopia repository connect from-config --token {token}\n\n\
         NOTICE: The token printed above can be trivially decoded to reveal the repository password.\n"
    );
    std::fs::write(&file, printed).unwrap();
    let file = file.to_str().unwrap();
    for more in [&[][..], &["--limit-download", "0"], &["--limit-download", "100MB"]] {
        let output = rekopia(&[&["--token-file", file][..], more, &["snapshots"]].concat(), &[]);
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", stderr(&output));
    }
    // Kopia's own limits are no obstacle.
    let limits = r#","maxDownloadSpeedBytesPerSecond":100000000,"concurrentReads":2,"readsPerSecond":500"#;
    let config = config(dir.path(), limits);
    let output = rekopia(&["--config", &config, "verify"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
