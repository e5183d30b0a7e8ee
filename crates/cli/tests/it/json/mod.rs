//! All JSON that the program prints or writes, against the schemas in docs/schema.

mod documents;
mod files;
mod streams;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rekopia_format::directory::EntryFailure;
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::schema;
use rekopia_testkit::writer::{
    DirectorySink, EntryKind, NewSnapshot, RepositoryWriter, Source, WriterOptions,
};
use serde_json::Value;

/// How a command ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn ran(repo: &Path, password: &str, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--json").arg("--repo").arg(repo).args(args).stdin(Stdio::null());
    command.env("KOPIA_PASSWORD", password).env("HOME", "/proc/nonexistent");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// The command with `--json` and the repository of a fixture.
fn of(name: &str, args: &[&str]) -> Ran {
    let fixture = Fixture::load(name);
    ran(&fixture.repo(), &fixture.password, args)
}

impl Ran {
    /// All that was printed, as one document.
    #[track_caller]
    fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }

    /// The last line of a command that ended with this code. Every line is checked.
    #[track_caller]
    fn ends(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        let lines: Vec<Value> = self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (number, line) in lines.iter().enumerate() {
            let is_last = number + 1 == lines.len();
            match line["event"].as_str().unwrap() {
                "report" => schema::check("report", line),
                "error" => schema::check("error", line),
                "receipt" => schema::check("receipt-check", line),
                _ => schema::check("event", line),
            }
            let has_version = line.get("version").is_some();
            assert_eq!(has_version, number == 0 || is_last, "line {number}: {line}");
        }
        let last = lines.last().unwrap().clone();
        assert_eq!(last["exitCode"], code, "{last}");
        last
    }
}

/// Names of fixtures that something is wrong with.
fn damaged() -> Vec<String> {
    let all = std::fs::read_dir(testdata()).unwrap();
    let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("damaged-")).collect();
    names.sort();
    names
}

/// A repository with a snapshot of `u@h:/p` that recorded errors.
fn with_errors(dir: &Path) -> PathBuf {
    let (repo, tree) = (dir.join("repo"), dir.join("tree"));
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), "data").unwrap();
    let options = WriterOptions { password: "secret".into(), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(&repo).unwrap(), options).unwrap();
    let mut root = writer.put_tree(&tree).unwrap();
    let EntryKind::Directory(summary) = &mut root.kind else { panic!("no directory") };
    summary.num_failed = 12;
    let failure = |n| EntryFailure::new(format!("db/{n:02}"), "permission denied");
    summary.errors = (0..12).map(failure).collect();
    let source = Source { user: "u".into(), host: "h".into(), path: "/p".into() };
    writer.put_snapshot(&NewSnapshot::new(source, 1_700_000_000_000_000_000, root)).unwrap();
    writer.flush().unwrap();
    repo
}
