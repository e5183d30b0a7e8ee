//! An index that takes more memory than it may.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::corpus::{tiny_files, write_directory, write_repository};
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Source, WriterOptions};

const FILES: u64 = 2500;

/// A repository of many contents in `dir/repo`, and its tree in `dir/source`.
fn make(dir: &Path) {
    let sink = DirectorySink::create(&dir.join("repo")).unwrap();
    let mut writer = RepositoryWriter::create(sink, WriterOptions::default()).unwrap();
    let root = write_repository(&mut writer, |target| tiny_files(target, FILES, 1)).unwrap();
    let source = Source { user: "app".into(), host: "media".into(), path: "/data".into() };
    let now = writer.now() * 1_000_000_000;
    writer.put_snapshot(&NewSnapshot::new(source, now, root)).unwrap();
    writer.flush().unwrap();
    write_directory(&dir.join("source"), |target| tiny_files(target, FILES, 1)).unwrap();
}

fn rekopia(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--repo").arg(dir.join("repo")).args(["--no-progress", "--index-memory", "40KiB"]).args(args);
    command.env("KOPIA_PASSWORD", "test-password").env("HOME", dir.join("home")).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn restore(dir: &Path, name: &str, args: &[&str]) -> String {
    let target = dir.join(name);
    let output = rekopia(
        dir,
        &[args, &["restore", "app@media:/data", target.to_str().unwrap(), "--sync", "none"]].concat(),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let diff = Command::new("diff").arg("-r").arg(dir.join("source")).arg(&target).output().unwrap();
    assert!(diff.status.success(), "{}", text(&diff.stdout));
    text(&output.stderr)
}

#[test]
fn lies_in_a_file_without_a_name() {
    // Not where temporary files are: that may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    make(dir.path());
    let cache = dir.path().join("cache");
    let said = restore(dir.path(), "named", &["--cache", cache.to_str().unwrap()]);
    assert!(!said.contains("index"), "{said}");
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);

    std::fs::create_dir_all(dir.path().join("home/.cache")).unwrap();
    let said = restore(dir.path(), "usual", &[]);
    assert!(!said.contains("index"), "{said}");
    assert_eq!(std::fs::read_dir(dir.path().join("home/.cache/rekopia")).unwrap().count(), 0);

    let output = rekopia(dir.path(), &["--json", "status"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let index = &status["index"];
    assert!(index["fileBytes"].as_u64().unwrap() > FILES * 36, "{index}");
    assert!(index["bytes"].as_u64().unwrap() < 1000, "{index}");
}

#[test]
fn stays_in_memory_where_there_is_no_disk_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let said = restore(dir.path(), "restored", &["--cache", "/proc/nowhere"]);
    assert!(said.contains("the index is larger than the memory it should take"), "{said}");
    assert!(said.contains("/proc/nowhere"), "{said}");
}
