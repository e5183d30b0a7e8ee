//! An SFTP server with a place for files, and the program run on it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rekopia_blob::Settings;
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::sshd::{PASSWORD, Sshd, Ways};
use rekopia_testkit::tree::Tree;
use serde_json::{Value, json};

pub(crate) fn repo() -> PathBuf {
    testdata().join("quickstart/repo").canonicalize().unwrap()
}

/// Returns what must not be shown: passwords, and every line of a private key's text.
pub(crate) fn secrets(key: &str) -> Vec<String> {
    let lines = key.lines().filter(|line| !line.starts_with("-----") && line.len() > 16);
    lines.map(str::to_owned).chain([PASSWORD.to_owned(), "canary".to_owned()]).collect()
}

/// A server, and a place for files.
pub(crate) struct Place {
    pub(crate) sshd: Sshd,
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    /// `None` where OpenSSH is not installed.
    pub(crate) fn new() -> Option<Self> {
        Self::with(Ways::default())
    }

    pub(crate) fn with(ways: Ways<'_>) -> Option<Self> {
        let place = Place { sshd: Sshd::with(ways)?, dir: tempfile::tempdir().unwrap() };
        place.write("known_hosts", &place.sshd.known_hosts("ed25519"));
        Some(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(self.sshd.key()).unwrap()
    }

    pub(crate) fn url(&self, known_hosts: &str) -> String {
        format!(
            "sftp://{}@127.0.0.1:{}{}?key={}&known-hosts={}",
            self.sshd.user,
            self.sshd.port,
            repo().display(),
            self.sshd.key().display(),
            self.path(known_hosts).display()
        )
    }

    /// Kopia's fields for the server, by the data of key and known hosts.
    pub(crate) fn fields(&self) -> Value {
        json!({"host": "127.0.0.1", "port": self.sshd.port, "username": self.sshd.user, "path": repo(),
            "keyData": self.key(), "knownHostsData": self.sshd.known_hosts("ed25519"), "externalSSH": false,
            "dirShards": null})
    }

    pub(crate) fn settings(&self, port: u16) -> Settings {
        let mut fields = self.fields();
        fields["port"] = port.into();
        fields["knownHostsData"] =
            format!("127.0.0.1 {}", self.sshd.known_hosts("ed25519").split_once(' ').unwrap().1).into();
        Settings::from_kopia("sftp", fields).unwrap()
    }

    /// Writes a configuration as Kopia does.
    pub(crate) fn config(&self, fields: &Value) -> String {
        let storage = json!({"type": "sftp", "config": fields});
        self.write("repository.config", &json!({"storage": storage}).to_string())
    }

    pub(crate) fn command(&self, before: &[&str], target: &str) -> Command {
        crate::traced_restore(before, self.path(target).as_ref())
    }

    /// Restores into `target`; whatever happens, no secret is shown.
    pub(crate) fn restore(&self, before: &[&str], target: &str) -> Output {
        self.shown(self.command(before, target).output().unwrap())
    }

    pub(crate) fn shown(&self, output: Output) -> Output {
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            assert!(!secrets(&self.key()).iter().any(|secret| text.contains(secret)), "{text}");
        }
        output
    }

    #[track_caller]
    pub(crate) fn assert_restored(&self, output: &Output, target: &str) {
        assert_eq!(output.status.code(), Some(0), "{target}: {}", String::from_utf8_lossy(&output.stderr));
        let diff = expected().diff(&Tree::read(&self.path(target)), &[]);
        assert!(diff.is_empty(), "{target}: {diff}");
    }

    #[track_caller]
    pub(crate) fn restores(&self, before: &[&str], target: &str) {
        self.assert_restored(&self.restore(before, target), target);
    }

    /// Ends with this code, says these, and leaves no target; what it said.
    #[track_caller]
    pub(crate) fn refused(&self, before: &[&str], code: i32, parts: &[&str]) -> String {
        let output = self.restore(before, "refused");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!self.path("refused").exists());
        text
    }
}

pub(crate) fn expected() -> Tree {
    let fixture = Fixture::load("quickstart");
    fixture.expected(&fixture.snapshots[2]).unwrap()
}

pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
