//! A repository that a test makes, and the program run on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rekopia_testkit::writer::{
    DirectorySink, DirectoryWriter, Entry, EntryKind, Metadata, NewSnapshot, RepositoryWriter, Source,
    WriterOptions,
};
use serde_json::json;

pub(crate) const METADATA: Metadata =
    Metadata { mode: 0o644, uid: 0, gid: 0, mtime_ns: 1_700_000_000_000_000_000 };
pub(crate) const DAY: i64 = 86_400_000_000_000;
pub(crate) const START: i64 = 1_700_000_000_000_000_000;

/// A repository that a test makes, and the folder that it lies in.
pub(crate) struct Made {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) writer: RepositoryWriter,
}

impl Made {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = WriterOptions { password: "secret".into(), ..WriterOptions::default() };
        let sink = DirectorySink::create(&dir.path().join("repo")).unwrap();
        Made { writer: RepositoryWriter::create(sink, options).unwrap(), dir }
    }

    /// Returns the root of a tree with one file of this name.
    pub(crate) fn tree(&mut self, name: &str, data: &[u8]) -> Entry<'static> {
        let mut root = DirectoryWriter::new(&self.writer);
        let file = self.file(name, data);
        root.add(&mut self.writer, &file).unwrap();
        root.finish(&mut self.writer, &b"root"[..], Metadata { mode: 0o755, ..METADATA }).unwrap()
    }

    pub(crate) fn file(&mut self, name: &str, data: &[u8]) -> Entry<'static> {
        let object = Some(self.writer.put_object(0, data).unwrap());
        let name = name.as_bytes().to_vec().into();
        Entry { name, kind: EntryKind::File(data.len() as u64), metadata: METADATA, object }
    }

    /// A snapshot of one file that holds `data`; gives its ID.
    pub(crate) fn snapshot(
        &mut self,
        source: &str,
        day: i64,
        change: impl FnOnce(&mut NewSnapshot),
    ) -> String {
        let root = self.tree("file", format!("day {day} of {source}").as_bytes());
        let mut snapshot = NewSnapshot::new(source_of(source), START + day * DAY, root);
        change(&mut snapshot);
        let id = self.writer.put_snapshot(&snapshot).unwrap();
        self.writer.flush().unwrap();
        id.to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        command.args(args).stdin(Stdio::null()).current_dir(self.dir.path());
        command.env("KOPIA_PASSWORD", "secret").env("HOME", "/proc/nonexistent").env("TZ", "UTC");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(&[&["--repo", self.path("repo").to_str().unwrap()], args].concat()).output().unwrap()
    }

    /// With a configuration of Kopia that says who is connected.
    pub(crate) fn run_as(&self, user: &str, host: &str, args: &[&str]) -> Output {
        let config = json!({"storage": {"type": "filesystem", "config": {"path": self.path("repo")}},
            "username": user, "hostname": host});
        let path = self.path("repository.config");
        std::fs::write(&path, config.to_string()).unwrap();
        self.command(&[&["--config", path.to_str().unwrap()], args].concat()).output().unwrap()
    }
}

pub(crate) fn source_of(text: &str) -> Source {
    let (user, rest) = text.split_once('@').unwrap();
    let (host, path) = rest.split_once(':').unwrap();
    Source { user: user.into(), host: host.into(), path: path.into() }
}

pub(crate) fn tagged(key: &str, value: &str) -> impl FnOnce(&mut NewSnapshot) {
    let (key, value) = (format!("tag:{key}"), value.to_owned());
    move |snapshot| drop(snapshot.tags.insert(key, value))
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
pub(crate) fn ended(output: Output, code: i32) -> Output {
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", stdout(&output), stderr(&output));
    output
}

pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
