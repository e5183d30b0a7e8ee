//! The program against Azure Blob Storage, Google Cloud Storage and Backblaze B2, as emulators and a stand-in play them.

mod azure;
mod b2;
mod gcs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::s3::Seen;
use rekopia_testkit::tree::Tree;
use tokio::runtime::Runtime;

const SOURCE: &str = "paperless@media:/data";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn quickstart() -> PathBuf {
    testdata().join("quickstart/repo")
}

/// A way to name a repository and the credentials for it.
struct Way<'a> {
    options: Vec<String>,
    environment: Vec<(&'a str, String)>,
    /// What must not be shown.
    canaries: Vec<String>,
}

impl<'a> Way<'a> {
    fn url(url: impl Into<String>) -> Self {
        Way { options: vec!["--repo".into(), url.into()], environment: Vec::new(), canaries: Vec::new() }
    }

    /// Names the repository by a file that Kopia would have written into `dir`.
    fn config(dir: &Path, storage: &str) -> Self {
        let file = dir.join("repository.config");
        std::fs::write(&file, format!(r#"{{"storage":{storage},"hostname":"h","username":"u"}}"#)).unwrap();
        let options = vec!["--config".into(), file.to_str().unwrap().into()];
        Way { options, environment: Vec::new(), canaries: Vec::new() }
    }

    fn token(dir: &Path, storage: &str) -> Self {
        let token = format!(r#"{{"version":"1","storage":{storage}}}"#);
        let file = dir.join("token-file");
        std::fs::write(&file, base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(token)).unwrap();
        let options = vec!["--token-file".into(), file.to_str().unwrap().into()];
        Way { options, environment: Vec::new(), canaries: Vec::new() }
    }

    fn with(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    fn hiding(mut self, canary: impl Into<String>) -> Self {
        self.canaries.push(canary.into());
        self
    }

    fn restore(&self, target: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        let password = testdata().join("quickstart/password");
        command.env_clear().env("HOME", "/proc/nonexistent").env("REKOPIA_LOG", "debug").stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["--no-progress", "--password-file", password.to_str().unwrap()]).args(&self.options);
        let output = command.args(["restore", SOURCE, target.to_str().unwrap()]).output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            for canary in &self.canaries {
                assert!(!text.contains(canary), "a secret is shown: {text}");
            }
        }
        output
    }

    #[track_caller]
    fn restores(&self, dir: &Path, name: &str) {
        let target = dir.join(name);
        let output = self.restore(&target);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let fixture = Fixture::load("quickstart");
        let diff = fixture.expected(&fixture.snapshots[2]).unwrap().diff(&Tree::read(&target), &[]);
        assert!(diff.is_empty(), "{name}: {diff}");
    }

    /// Ends with this code, says this, and leaves no target.
    #[track_caller]
    fn is_refused(&self, dir: &Path, code: i32, part: &str) {
        let target = dir.join("refused");
        let output = self.restore(&target);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "{part}: {text}");
        assert!(!target.exists());
    }
}

/// A few requests, and none that could change anything.
#[track_caller]
fn assert_only_reads(requests: &[Seen], also: &[&str]) {
    let reads = |(method, path, _): &Seen| {
        matches!(method.as_str(), "GET" | "HEAD") || also.iter().any(|allowed| path.ends_with(allowed))
    };
    assert!(!requests.is_empty() && requests.iter().all(reads), "{requests:#?}");
    assert!(requests.len() <= 25, "{} requests: {requests:#?}", requests.len());
}
