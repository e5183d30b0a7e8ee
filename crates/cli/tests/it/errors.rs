//! What a person reads when something goes wrong, word for word: a changed message shows in the change that makes it.
//!
//! `INSTA_UPDATE=always cargo test --workspace --test it errors::` writes the files in `snapshots/` anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rekopia_testkit::fixture::{copy_dir, testdata};

/// A folder with a copy of the quick start's repository, and what was said in it so far.
struct Session {
    dir: tempfile::TempDir,
    said: String,
}

impl Session {
    fn new() -> Self {
        let session = Session { dir: tempfile::tempdir().unwrap(), said: String::new() };
        copy_dir(&testdata().join("quickstart/repo"), &session.at("repo"));
        std::fs::copy(testdata().join("quickstart/password"), session.at("password")).unwrap();
        std::fs::write(session.at("wrong"), "not-the-password\n").unwrap();
        session
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a line as typed in the folder.
    fn type_line(&mut self, line: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        command.args(line.split_whitespace()).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", "/proc/nonexistent").env("USER", "me").env("TZ", "UTC");
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let stderr = stderr.replace(self.dir.path().to_str().unwrap(), "DIR");
        let stderr: String = stderr.lines().map(|line| format!("{}\n", without_time(line))).collect();
        let code = output.status.code().unwrap();
        write!(self.said, "$ rekopia {line}\n{stderr}=> {code}\n\n").unwrap();
    }

    /// Types lines with the repository and its password.
    fn with_repo(&mut self, lines: &[&str]) {
        for line in lines {
            self.type_line(&format!("--repo repo --password-file password --no-progress {line}"));
        }
    }

    #[track_caller]
    fn reads(&self, name: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, self.said.trim_end()));
    }
}

/// Returns the line of the totals without how long it took.
fn without_time(line: &str) -> &str {
    match line.rsplit_once(" in ") {
        Some((totals, time)) if line.starts_with(['R', 'V']) && time.ends_with("s.") => totals,
        _ => line,
    }
}

/// Returns the blobs of a repository whose names begin so.
fn blobs(repo: &Path, begins: &str) -> Vec<PathBuf> {
    let files = rekopia_testkit::server::blobs_of(repo);
    files.into_iter().filter(|(name, _)| name.starts_with(begins)).map(|(_, file)| file).collect()
}

#[test]
fn arguments() {
    let mut session = Session::new();
    for line in [
        "restroe latest t",
        "restore",
        "restore latest t --ovewrite never",
        "restore latest t --overwrite sometimes",
        "snapshots",
        "--repo nowhere --password-file password snapshots",
        "--repo repo snapshots",
        "--repo repo --password-file nothing snapshots",
        "--repo gopher://host/x --password-file password snapshots",
        "--repo s3:// --password-file password snapshots",
        "--repo repo --config also.config snapshots",
        "--token-file repo --password-file password snapshots",
    ] {
        session.type_line(line);
    }
    session.reads("arguments");
}

#[test]
fn repositories() {
    let mut session = Session::new();
    session.type_line("--repo repo --password-file wrong snapshots");
    std::fs::create_dir(session.at("empty")).unwrap();
    session.type_line("--repo empty --password-file password snapshots");
    std::fs::create_dir_all(session.at("other/data")).unwrap();
    std::fs::write(session.at("other/config"), "restic").unwrap();
    session.type_line("--repo other --password-file password snapshots");
    let format = blobs(&session.at("repo"), "kopia.repository").pop().unwrap();
    std::fs::write(&format, "{}").unwrap();
    session.with_repo(&["snapshots"]);
    std::fs::write(&format, "").unwrap();
    session.with_repo(&["snapshots"]);
    session.reads("repositories");
}

#[test]
fn references() {
    let mut session = Session::new();
    session.with_repo(&[
        "restore nobody@nowhere:/data t",
        "restore paperless@media:/data/nothing t",
        "ls latest/medai",
        "cat latest/media",
        "restore ffffffffffffffff t",
        "restore latest t --as-of 1999",
        "restore latest t --as-of someday",
        "restore latest t --tag app:other",
        "restore latest t --include *.docx",
        "snapshots nobody@nowhere",
    ]);
    session.reads("references");
}

#[test]
fn destinations() {
    let mut session = Session::new();
    std::fs::write(session.at("file"), "in the way").unwrap();
    std::fs::create_dir(session.at("full")).unwrap();
    std::fs::write(session.at("full/extra"), "of somebody").unwrap();
    session.with_repo(&[
        "restore latest file",
        "restore latest file/below",
        "restore latest repo",
        "restore latest repo/below",
        "restore latest full --delete-extra --max-delete 0",
    ]);
    session.reads("destinations");
}

#[test]
fn damage() {
    let mut session = Session::new();
    for pack in blobs(&session.at("repo"), "p") {
        std::fs::remove_file(pack).unwrap();
    }
    session.with_repo(&[
        "restore latest t --include config/secret.key",
        "verify latest/config/secret.key",
        "cat latest/config/secret.key",
    ]);
    let pack = blobs(&session.at("repo"), "q").pop().unwrap();
    std::fs::write(pack, "damaged").unwrap();
    session.with_repo(&[
        "snapshots",
        "restore latest t",
        "restore cb475e5a8ce4f685416880e5c424d08b t --include config/secret.key",
    ]);
    let index = blobs(&session.at("repo"), "x").pop().unwrap();
    std::fs::write(index, "damaged").unwrap();
    session.with_repo(&["snapshots", "restore latest t", "status"]);
    session.reads("damage");
}
