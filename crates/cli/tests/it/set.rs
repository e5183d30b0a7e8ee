//! `verify` of several snapshots: what it says, its state, its bounds, and the file for Prometheus.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::writer::{
    DirectorySink, DirectoryWriter, Metadata, NewSnapshot, RepositoryWriter, Source, WriterOptions,
};
use serde_json::Value;

fn run(fixture: &str, args: &[&str]) -> Output {
    let fixture = Fixture::load(fixture);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--repo").arg(fixture.repo()).args(args).stdin(Stdio::null());
    command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", "/proc/nonexistent").env("TZ", "UTC");
    command.output().unwrap()
}

#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn report(output: &Output) -> Value {
    let out = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// Returns the value of a metric, whose only label is the file's name.
#[track_caller]
fn metric(path: &Path, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let start = format!("rekopia_verify_{name}{{name=\"{stem}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn short_runs_cover_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    let (state, metrics) = (dir.path().join("state.json"), dir.path().join("media.prom"));
    let args = [
        "--json",
        "verify",
        "--all",
        "--sample",
        "20%",
        "--state",
        state.to_str().unwrap(),
        "--metrics",
        metrics.to_str().unwrap(),
    ];
    let mut shares = Vec::new();
    for _ in 0..6 {
        let output = run("quickstart", &args);
        ended(&output, 0);
        let set = &report(&output)["verified"];
        assert_eq!((&set["trees"], &set["endedBy"]), (&3.into(), &"sample".into()));
        let covered = set["coveredBytes"].as_f64().unwrap() / set["neededBytes"].as_f64().unwrap();
        assert_eq!(metric(&metrics, "covered_bytes"), set["coveredBytes"].as_f64().unwrap());
        assert_eq!((metric(&metrics, "success"), metric(&metrics, "affected_snapshots")), (1.0, 0.0));
        shares.push(covered);
    }
    assert!(shares[0] >= 0.2 && shares.windows(2).all(|pair| pair[0] <= pair[1]), "{shares:?}");
    assert_eq!(shares.last(), Some(&1.0), "{shares:?}");
    assert!(metric(&metrics, "covered_since_timestamp_seconds") > 1.7e9);
    let said = ended(&run("quickstart", &[&args[1..], &["--no-progress"]].concat()), 0);
    assert!(said.starts_with("Looked through 89 files, 33 directories and 3 symbolic links"), "{said}");
    assert!(said.contains("3 snapshots need 142.9 KB in 38 contents.\nThis run has read "), "{said}");
    assert!(said.contains("\nCovered: 142.9 KB of 142.9 KB (100 %), the oldest of it on 20"), "{said}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing half-written is left: {names:?}");
}

#[test]
fn damage_is_said_of_each_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = dir.path().join("x.prom");
    let output = run("damaged-pack-flipped", &["verify", "--all", "--metrics", metrics.to_str().unwrap()]);
    let said = ended(&output, 14);
    let bad = said.lines().filter(|line| line.starts_with("failed: app@media:/data ")).count();
    let affected = said.lines().filter(|line| line.starts_with("affected: app@media:/data ")).count();
    assert!(bad >= affected && affected >= 1, "{said}");
    assert!(
        said.contains(" of what was read is readable: ") && said.contains(" cannot be read.\n"),
        "{said}"
    );
    assert_eq!((metric(&metrics, "success"), metric(&metrics, "exit_code")), (0.0, 14.0));
    assert_eq!(metric(&metrics, "affected_snapshots"), affected as f64);
    // The snapshots can be named, too.
    let output = run("damaged-pack-flipped", &["--json", "snapshots"]);
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    let named = run("damaged-pack-flipped", &[&["--json", "verify"], &ids[..]].concat());
    ended(&named, 14);
    assert_eq!(report(&named)["verified"]["affectedTrees"], affected);
    let twice = run("damaged-pack-flipped", &["--json", "verify", ids[0], ids[0]]);
    assert_eq!(report(&twice)["verified"]["trees"], 1);
    let looked_up = run("damaged-pack-missing", &["verify", "--presence"]);
    assert!(ended(&looked_up, 14).contains("\nListed are "));
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (state, metrics) = (dir.path().join("state"), dir.path().join("m.prom"));
    let (state_at, metrics_at) = (state.to_str().unwrap(), metrics.to_str().unwrap());
    for args in [
        &["--sample", "0"][..],
        &["--sample", "120%"],
        &["--max-time", "soon"],
        &["--presence", "--state", state_at],
        &["--presence", "--hash"],
        &["--since", "latest"],
        &["--since", "2026", "--all"],
        &["latest", "latest", "--against", "/"],
    ] {
        ended(&run("quickstart", &[&["verify"], args].concat()), 2);
    }
    ended(&run("quickstart", &["verify", "--since", "2030"]), 13);
    ended(&run("quickstart", &["verify", "--since", "2020", "--metrics", metrics_at]), 0);
    // A state of another repository, or of nothing.
    ended(&run("epochs", &["verify", "--state", state_at]), 0);
    let before = fs::read(&state).unwrap();
    for odd in ["/dev/zero", dir.path().to_str().unwrap()] {
        let said = ended(&run("epochs", &["verify", "--state", odd]), 1);
        assert!(said.contains("it is not a file"), "{said}");
    }
    ended(&run("epochs", &["verify", "--state", state_at, "--metrics", state_at]), 2);
    for args in [&["--all", "--as-of", "2025"][..], &["--since", "2025", "--previous", "1"]] {
        ended(&run("quickstart", &[&["verify"], args].concat()), 2);
    }
    let other = ended(&run("quickstart", &["verify", "--state", state_at]), 2);
    assert!(other.contains("it belongs to the repository ") && other.contains("remove it"), "{other}");
    assert_eq!(fs::read(&state).unwrap(), before);
    fs::write(&state, "{").unwrap();
    ended(&run("epochs", &["verify", "--state", state_at, "--metrics", metrics_at]), 2);
    assert_eq!((metric(&metrics, "success"), metric(&metrics, "exit_code")), (0.0, 2.0));
    // Nothing is written into the folder of the repository.
    let fixture = Fixture::load("epochs");
    let copy = dir.path().join("copy");
    let copied = Command::new("cp").arg("-r").arg(fixture.repo()).arg(&copy).status().unwrap();
    assert!(copied.success());
    for option in ["--state", "--metrics"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        command.arg("--repo").arg(&copy).args(["verify", option]).arg(copy.join("new.prom"));
        command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", "/proc/nonexistent");
        ended(&command.output().unwrap(), 2);
        assert!(!copy.join("new.prom").exists(), "{option}");
    }
    // A run that could not begin is told, too.
    let output = run("damaged-format-missing", &["verify", "--metrics", metrics_at]);
    assert!(!output.status.success());
    assert_eq!(metric(&metrics, "success"), 0.0);
    assert_eq!(metric(&metrics, "exit_code"), f64::from(output.status.code().unwrap()));
}

/// A thousand snapshots of a million files stay within the bound of the README. Without time, a hundredth of that.
#[test]
fn memory_does_not_grow_with_snapshots() {
    let is_full = std::env::var_os("REKOPIA_FULL").is_some();
    let (folders, files, snapshots) = if is_full { (1000, 1000, 1000) } else { (30, 100, 100) };
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    let options = WriterOptions { password: "secret".into(), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(&repo).unwrap(), options).unwrap();
    let metadata = Metadata { mode: 0o644, uid: 0, gid: 0, mtime_ns: 1_700_000_000_000_000_000 };
    let folder = |writer: &mut RepositoryWriter, number: u64, version: u64| {
        let mut folder = DirectoryWriter::new(writer);
        for file in 0..files {
            // A single file of each folder is new in each version.
            let version = if file == 0 { version } else { 0 };
            let data = format!("{number}/{file}/{version}");
            let entry = writer.put_file(file.to_string().into_bytes(), metadata, data.as_bytes()).unwrap();
            folder.add(writer, &entry).unwrap();
        }
        folder.finish(writer, number.to_string().into_bytes(), metadata).unwrap()
    };
    let mut entries: Vec<_> = (0..folders).map(|number| folder(&mut writer, number, 0)).collect();
    for version in 0..snapshots {
        let changed = version % folders;
        entries[changed as usize] = folder(&mut writer, changed, version + 1);
        let mut root = DirectoryWriter::new(&writer);
        entries.iter().for_each(|entry| root.add(&mut writer, entry).unwrap());
        let root = root.finish(&mut writer, b"p", metadata).unwrap();
        let source = Source { user: "u".into(), host: "h".into(), path: "/p".into() };
        let at = 1_700_000_000_000_000_000 + version as i64 * 86_400_000_000_000;
        writer.put_snapshot(&NewSnapshot::new(source, at, root)).unwrap();
    }
    writer.flush().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--repo").arg(&repo).args(["--json", "verify", "--all"]).stdin(Stdio::null());
    command.env("KOPIA_PASSWORD", "secret").env("HOME", "/proc/nonexistent");
    let mut child = command.stdout(fs::File::create(dir.path().join("out")).unwrap()).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = peak.max(kib.map_or(0, |kib| kib.parse::<u64>().unwrap()));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(std::time::Duration::from_millis(2)),
        }
    };
    let out = fs::read_to_string(dir.path().join("out")).unwrap();
    let report: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(status.code(), Some(0), "{report}");
    // Before the first snapshot one file has changed already.
    assert_eq!(report["verified"]["neededContents"], folders * files + snapshots - 1);
    let contents = folders * files + 2 * snapshots + folders + 100;
    let bound = (32 << 10) + (80 << 10) + contents * 40 / 1024;
    println!("{peak} KiB of {bound}, {} s", report["seconds"]);
    assert!(peak < bound, "{peak} KiB, {bound} are allowed");
}
