//! What a small file costs in system calls, counted by strace on the built program.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rekopia_testkit::corpus::{small_files, write_repository};
use rekopia_testkit::skip::has_programs;
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Source, WriterOptions};

const FILES: u64 = 2000;

fn repository(at: &Path) {
    let options = WriterOptions { compression: Some("zstd-fastest".into()), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(at).unwrap(), options).unwrap();
    let root = write_repository(&mut writer, |target| small_files(target, FILES, 4096.0, 7)).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/d".into() };
    let start_ns = writer.now() * 1_000_000_000;
    writer.put_snapshot(&NewSnapshot::new(source, start_ns, root)).unwrap();
    writer.flush().unwrap();
}

/// Calls of each kind of a run of the program.
fn traced(dir: &Path, arguments: &[&str]) -> HashMap<String, u64> {
    let counts = dir.join("counts");
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-c", "-U", "calls,name", "-o"]).arg(&counts);
    command.arg(env!("CARGO_BIN_EXE_rekopia")).args(arguments);
    command.env("KOPIA_PASSWORD", "test-password").stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(counts).unwrap();
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
    });
    lines.map(|(calls, name): (u64, String)| (name, calls)).collect()
}

#[test]
fn a_small_file_costs_a_handful_of_system_calls() {
    if !has_programs("system calls of a small file", &["strace"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (repo, target) = (dir.path().join("repo"), dir.path().join("target"));
    repository(&repo);
    let (repo, target) = (repo.to_str().unwrap(), target.to_str().unwrap());
    // The owner is whoever runs this, so that the same calls are made as root and as anybody else.
    let arguments = [
        "--repo",
        repo,
        "--no-progress",
        "-q",
        "restore",
        "--sync",
        "none",
        "--owner",
        "skip",
        "latest",
        target,
    ];
    let calls = traced(dir.path(), &arguments);
    let of = |name: &str| calls.get(name).copied().unwrap_or(0) as f64 / FILES as f64;
    for (name, most) in [
        ("openat", 1.2),
        ("pwrite64", 1.05),
        ("fchmod", 1.05),
        ("fchown", 0.05),
        ("utimensat", 1.05),
        ("close", 1.25),
        ("fstat", 0.1),
        ("newfstatat", 0.15),
        ("statx", 0.1),
        ("unlinkat", 0.01),
        ("fsync", 0.0),
        ("fdatasync", 0.0),
        ("rename", 0.0),
    ] {
        assert!(of(name) <= most, "{name}: {:.2} calls a file; {calls:?}", of(name));
    }
    assert!(of("openat") >= 1.0 && of("pwrite64") >= 0.9, "strace did not see the threads: {calls:?}");

    // A second restore of the tree opens and reads every file once, and changes nothing.
    let again = traced(dir.path(), &arguments);
    let of = |name: &str| again.get(name).copied().unwrap_or(0) as f64 / FILES as f64;
    for (name, most) in [("openat", 1.3), ("pread64", 1.3), ("newfstatat", 1.3), ("close", 1.4)] {
        assert!(of(name) <= most, "{name}: {:.2} calls a kept file; {again:?}", of(name));
    }
    for name in ["pwrite64", "fchmod", "fchown", "utimensat", "unlinkat", "ftruncate"] {
        assert_eq!(of(name), 0.0, "{name} on a tree that is right; {again:?}");
    }
}
