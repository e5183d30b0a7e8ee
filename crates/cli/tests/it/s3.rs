//! The program against a real S3 server.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::s3::{ACCESS_KEY, Fault, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;

const SOURCE: &str = "paperless@media:/data";

struct Setting {
    runtime: tokio::runtime::Runtime,
    server: S3Server,
    dir: tempfile::TempDir,
}

fn serve(prefix: &str) -> Setting {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("s3");
    std::fs::create_dir(&root).unwrap();
    let server = runtime.block_on(S3Server::start(&root));
    server.upload(&testdata().join("quickstart/repo"), "bucket", prefix);
    Setting { runtime, server, dir }
}

fn rekopia(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    let password = testdata().join("quickstart/password");
    command.env_clear().env("HOME", "/proc/nonexistent").stdin(Stdio::null());
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.args(["--no-progress", "--password-file", password.to_str().unwrap()]).args(args);
    command
}

impl Setting {
    fn url(&self, place: &str) -> String {
        format!("s3://{place}?endpoint=http://{}&region=us-east-1", self.server.endpoint)
    }

    fn restore(&self, place: &str, target: &Path) -> Output {
        let url = self.url(place);
        let output =
            rekopia(&["--repo", &url, "restore", SOURCE, target.to_str().unwrap()]).output().unwrap();
        // No secret is shown, however the restore ends.
        for stream in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(stream).contains(SECRET_KEY));
        }
        output
    }
}

#[track_caller]
fn assert_restored(output: &Output, target: &Path) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let fixture = Fixture::load("quickstart");
    let diff = fixture.expected(&fixture.snapshots[2]).unwrap().diff(&Tree::read(target), &[]);
    assert!(diff.is_empty(), "{diff}");
}

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let s3 = serve("backups/");
    for (place, name) in [("bucket/backups/", "exact"), ("bucket/backups", "as a folder")] {
        let target = s3.dir.path().join(name);
        assert_restored(&s3.restore(place, &target), &target);
    }
    let storage = format!(
        r#"{{"type":"s3","config":{{"bucket":"bucket","prefix":"backups/","endpoint":"{}","doNotUseTLS":true,
        "accessKeyID":"{ACCESS_KEY}","secretAccessKey":"{SECRET_KEY}","region":"us-east-1"}}}}"#,
        s3.server.endpoint
    );
    let config = s3.dir.path().join("repository.config");
    std::fs::write(&config, format!(r#"{{"storage":{storage},"hostname":"h","username":"u"}}"#)).unwrap();
    let token =
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"version":"1","storage":{storage}}}"#));
    let token_file = s3.dir.path().join("token");
    std::fs::write(&token_file, token + "\n").unwrap();
    for (option, file) in [("--config", &config), ("--token-file", &token_file)] {
        let target = s3.dir.path().join(&option[2..]);
        let mut command =
            rekopia(&[option, file.to_str().unwrap(), "restore", SOURCE, target.to_str().unwrap()]);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        assert_restored(&command.output().unwrap(), &target);
    }
}

#[test]
fn only_lists_and_gets_and_few_of_them() {
    let s3 = serve("");
    let target = s3.dir.path().join("target");
    assert_restored(&s3.restore("bucket", &target), &target);
    let requests = s3.server.take_requests();
    assert!(requests.iter().all(|(method, ..)| method == "GET"), "{requests:?}");
    let lists = requests.iter().filter(|(_, _, query)| query.contains("list-type")).count();
    assert!(lists <= 2 && requests.len() <= 20, "{} requests: {requests:#?}", requests.len());
}

#[test]
fn refusals_have_their_codes_and_advice() {
    let s3 = serve("");
    let target = s3.dir.path().join("target");
    let refused = |place: &str, code: i32, part: &str| {
        let output = s3.restore(place, &target);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "{part}: {text}");
        assert!(!target.exists());
    };
    refused("bucket/elsewhere/", 10, "");
    refused("no-such-bucket", 15, "NoSuchBucket");
    s3.server.break_answers(|_, _| Some(Fault::Status(403, "AccessDenied")));
    refused("bucket", 15, "AccessDenied");
    s3.server.break_answers(|_, (_, path, _)| {
        path.starts_with("/bucket/p").then_some(Fault::Status(403, "InvalidObjectState"))
    });
    // Directories are made all the same; where the first failure is to end it, it ends as that.
    for (more, code) in [(&[][..], 3), (&["--on-error", "stop"], 15)] {
        let url = s3.url("bucket");
        let mut command = rekopia(&["--repo", &url, "restore", SOURCE, target.to_str().unwrap()]);
        let output = command.args(more).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("archive"), "{text}");
        assert_eq!(output.status.code(), Some(code), "{text}");
    }
    drop(s3.runtime);
}
