//! Which snapshots are meant, how they are shown, and where a restore without a target goes.

mod made;

use std::path::Path;
use std::process::{Command, Stdio};

use rekopia_format::directory::EntryFailure;
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::writer::{DirectoryWriter, EntryKind, Metadata, NewSnapshot, RepositoryWriter};
use serde_json::{Value, json};

use made::{DAY, METADATA, Made, START, ended, source_of, stderr, stdout, tagged, text};

#[test]
fn tags_choose_and_are_shown() {
    let mut made = Made::new();
    made.snapshot("me@nas:/a", 0, tagged("app", "paperless"));
    made.snapshot("me@nas:/a", 1, tagged("app", "other"));
    made.snapshot("me@nas:/a", 2, |_| {});
    let cat = |args: &[&str]| made.run(&[&["cat", "latest/file"], args].concat());
    assert_eq!(stdout(&ended(cat(&[]), 0)), "day 2 of me@nas:/a");
    assert_eq!(stdout(&ended(cat(&["--tag", "app"]), 0)), "day 1 of me@nas:/a");
    assert_eq!(stdout(&ended(cat(&["--tag", "app:paperless"]), 0)), "day 0 of me@nas:/a");
    assert_eq!(stdout(&ended(cat(&["--tags", "app:paperless"]), 0)), "day 0 of me@nas:/a");
    let none = ended(cat(&["--tag", "app:none"]), 13);
    assert!(stderr(&none).contains("none has these tags"), "{}", stderr(&none));
    let target = made.path("t");
    ended(made.run(&["restore", "latest", target.to_str().unwrap(), "--tag", "app:paperless"]), 0);
    assert_eq!(text(&target.join("file")), "day 0 of me@nas:/a");
    assert_eq!(stdout(&ended(made.run(&["ls", "latest", "--tag", "app"]), 0)), "file\n");

    let listed = stdout(&ended(made.run(&["snapshots"]), 0));
    assert!(listed.contains("  tags:app=paperless\n"), "{listed}");
    let listed = stdout(&ended(made.run(&["snapshots", "--tag", "app"]), 0));
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let listed = stdout(&ended(made.run(&["snapshots", "--tag", "app:other"]), 0));
    assert!(listed.contains("tags:app=other") && !listed.contains("paperless"), "{listed}");
    ended(made.run(&["snapshots", "--tag", "missing"]), 13);
    ended(made.run(&["snapshots", "--tag", ":x"]), 2);
    let verified = |args: &[&str]| {
        let output = made.run(&[&["--json", "verify", "--all"], args].concat());
        let last: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
        (output.status.code(), last["files"].clone())
    };
    assert_eq!(verified(&[]), (Some(0), json!(3)));
    assert_eq!(verified(&["--tag", "app:other"]), (Some(0), json!(1)));
    assert_eq!(verified(&["--tag", "missing"]).0, Some(13));
}

#[test]
fn whoever_is_connected_decides_among_several() {
    let mut made = Made::new();
    made.snapshot("me@nas:/a", 0, |_| {});
    made.snapshot("you@nas:/a", 1, |_| {});
    ended(made.run(&["cat", "/a/file"]), 2);
    let mine = ended(made.run_as("me", "nas", &["cat", "/a/file"]), 0);
    assert_eq!(stdout(&mine), "day 0 of me@nas:/a");
    assert!(stderr(&mine).contains("me@nas:/a is taken, which is yours, of 2"), "{}", stderr(&mine));
    assert_eq!(stdout(&made.run_as("you", "nas", &["cat", "latest/file"])), "day 1 of you@nas:/a");
    ended(made.run_as("they", "nas", &["cat", "/a/file"]), 2);
}

#[test]
fn lists_take_snapshots_and_paths_below_sources() {
    let mut made = Made::new();
    let first = made.snapshot("me@nas:/a", 0, |_| {});
    made.snapshot("me@nas:/a", 1, |_| {});
    made.snapshot("me@nas:/a/b", 2, |_| {});
    made.snapshot("you@nas:/c", 3, |_| {});
    for (wanted, code, parts) in [
        (first.as_str(), 0, &[first.as_str()][..]),
        (&first[..8], 0, &[first.as_str()]),
        ("me@nas:/a", 0, &["me@nas:/a\n", "\n  2023-11-14", "\n  2023-11-15"]),
        ("me@nas:/a/x/y", 0, &["me@nas:/a\n"]),
        ("me@nas:/a/b/y", 0, &["me@nas:/a/b\n"]),
        ("/c/x", 0, &["you@nas:/c\n"]),
        ("/a", 0, &["me@nas:/a\n"]),
        ("me@nas", 0, &["me@nas:/a\n", "me@nas:/a/b\n"]),
        ("me@nas:/d", 13, &[]),
        ("/ax", 13, &[]),
        ("00000000000000000000000000000000", 13, &[]),
    ] {
        let output = ended(made.run(&["snapshots", wanted]), code);
        let listed = stdout(&output);
        assert!(parts.iter().all(|part| listed.contains(part)), "{wanted}: {listed}");
        let aloud = stderr(&output).contains(&format!("no source {wanted}: it is in "));
        assert_eq!(aloud, matches!(wanted, "me@nas:/a/x/y" | "me@nas:/a/b/y" | "/c/x"), "{wanted}");
        if wanted.len() == 8 || wanted == first {
            assert_eq!(listed.lines().count(), 2, "{listed}");
        }
        assert!(code == 13 || listed.contains("you@") == wanted.starts_with("/c"), "{wanted}: {listed}");
    }
}

#[test]
fn listings_show_names_as_they_are_stored() {
    let mut made = Made::new();
    let names = [".", "..", "/abs.sql", "a/b", "turn\u{202e}ed"];
    let mut root = DirectoryWriter::new(&made.writer);
    for name in names {
        let file = made.file(name, b"data");
        root.add(&mut made.writer, &file).unwrap();
    }
    let root = root.finish(&mut made.writer, &b"root"[..], Metadata { mode: 0o755, ..METADATA }).unwrap();
    let object = root.object.unwrap().to_string();
    let single = made.file("/dump.sql", b"select 1");
    let data = single.object.unwrap().to_string();
    let put = |writer: &mut RepositoryWriter, source: &str, root| {
        writer.put_snapshot(&NewSnapshot::new(source_of(source), START, root)).unwrap();
    };
    put(&mut made.writer, "me@nas:/a", root);
    put(&mut made.writer, "me@nas:/dump.sql", single);
    made.writer.flush().unwrap();
    for reference in ["me@nas:/a", &object] {
        let listed = stdout(&ended(made.run(&["ls", reference]), 0));
        assert_eq!(listed, ".\n..\n/abs.sql\na/b\nturn\\u{202e}ed\n");
        let listed: Value = serde_json::from_str(&stdout(&made.run(&["--json", "ls", reference]))).unwrap();
        let paths: Vec<&str> =
            listed.as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
        assert_eq!(paths, names);
    }
    assert_eq!(stdout(&ended(made.run(&["ls", "me@nas:/dump.sql"]), 0)), "/dump.sql\n");
    // The snapshot of the object knows its name.
    assert_eq!(stdout(&ended(made.run(&["ls", &data]), 0)), "/dump.sql\n");
    // Without a snapshot an object is named by its ID.
    let bare = made.writer.put_object(0, b"bare").unwrap().to_string();
    made.writer.flush().unwrap();
    assert_eq!(stdout(&ended(made.run(&["ls", &bare]), 0)), format!("{bare}\n"));
}

fn with_errors(count: u64, named: u64) -> impl FnOnce(&mut NewSnapshot) {
    move |snapshot| {
        let root = snapshot.root.as_mut().unwrap();
        let EntryKind::Directory(summary) = &mut root.kind else { panic!("no directory") };
        let failure = |n| EntryFailure::new(format!("db/{n:02}"), "permission denied");
        summary.num_ignored_errors = count;
        summary.errors = (0..named).map(failure).collect();
    }
}

#[test]
fn recorded_errors_are_said_everywhere() {
    let mut made = Made::new();
    let id = made.snapshot("me@nas:/a", 0, with_errors(12, 11));
    let listed = stdout(&ended(made.run(&["snapshots"]), 0));
    assert!(listed.contains("  errors:12"), "{listed}");
    let said = "recorded 12 errors when it was taken: db/00: permission denied; db/01: permission denied; ";
    let target = made.path("t");
    let target = target.to_str().unwrap();
    for args in [&["restore", "latest", target][..], &["verify"], &["verify", "latest"]] {
        let output = ended(made.run(args), 0);
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("db/09") && !stderr(&output).contains("db/10"), "ten are named");
        let output = ended(made.run(&[&["--json"], args].concat()), 0);
        let lines: Vec<Value> = stdout(&output).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let warned = |line: &Value| line["message"].as_str().is_some_and(|m| m.contains(said));
        assert!(lines.iter().any(warned), "{args:?}: {lines:?}");
        let recorded = &lines.last().unwrap()["recordedErrors"];
        assert_eq!((&recorded[0]["snapshot"], &recorded[0]["count"]), (&json!(id), &json!(12)), "{recorded}");
        assert_eq!(recorded[0]["first"][1], json!({"path": "db/01", "error": "permission denied"}));
    }
}

#[test]
fn a_snapshot_without_errors_is_not_cautioned() {
    let mut made = Made::new();
    made.snapshot("me@nas:/a", 0, |_| {});
    let output = ended(made.run(&["restore", "latest", made.path("t").to_str().unwrap()]), 0);
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    let report = stdout(&made.run(&["--json", "verify"]));
    let report: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(report["recordedErrors"], json!([]));
}

#[test]
fn what_is_incomplete_or_of_the_future_is_said() {
    let mut made = Made::new();
    made.snapshot("me@nas:/a", 0, |snapshot| snapshot.incomplete = Some("checkpoint".into()));
    let target = made.path("t");
    let target = target.to_str().unwrap();
    ended(made.run(&["restore", "latest", target]), 13);
    let output = ended(made.run(&["restore", "--incomplete", "latest", target]), 0);
    assert!(stderr(&output).contains("is incomplete (checkpoint)"), "{}", stderr(&output));

    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    for (ahead, warned) in [(DAY / 1440, false), (DAY / 24, true)] {
        made.snapshot("me@nas:/a", 1, |snapshot| snapshot.start_ns = now + ahead);
        let output = ended(made.run(&["restore", "latest", target]), 0);
        assert_eq!(stderr(&output).contains("is dated in the future"), warned, "{}", stderr(&output));
    }
}

#[test]
fn kopias_options_keep_their_meaning() {
    let mut made = Made::new();
    made.snapshot("me@nas:/a", 0, |_| {});
    let dir = made.path("");
    let restore = |args: &[&str]| made.run(&[&["restore", "latest"], args].concat());
    for refused in ["--mode=zip", "--mode=tar", "--mode=tgz", "--mode=x"] {
        let output = ended(restore(&["t", refused]), 2);
        assert!(stderr(&output).contains("archive is not possible"), "{}", stderr(&output));
    }
    for refused in ["--shallow=1", "--shallow-minsize=1", "--consistent-attributes"] {
        let output = ended(restore(&["t", refused]), 2);
        let name = refused.split('=').next().unwrap();
        assert!(stderr(&output).contains(&format!("{name} is not possible")), "{}", stderr(&output));
    }
    for target in ["x.zip", "x.tar", "x.tar.gz", "x.tgz/", "y/x.zip"] {
        let output = ended(restore(&[target]), 2);
        assert!(stderr(&output).contains("--mode local"), "{}", stderr(&output));
        assert!(!dir.join(target).exists());
        ended(restore(&["--mode", "local", target]), 0);
        assert!(dir.join(target).is_dir());
        // Now it is a folder.
        ended(restore(&[target]), 0);
    }
    ended(restore(&["--mode=auto", "zip"]), 0);
}

#[test]
fn without_a_target_it_goes_where_it_came_from() {
    let mut made = Made::new();
    let place = made.path("home/docs");
    let own = place.to_str().unwrap().to_owned();
    made.snapshot(&format!("me@nas:{own}"), 0, |_| {});
    made.snapshot(&format!("you@nas:{own}"), 1, |_| {});
    for args in [&["restore", own.as_str()][..], &["restore", "--snapshot-time=latest", "./home/x/../docs"]] {
        let output = ended(made.run_as("me", "nas", args), 0);
        let said = format!("rekopia: no TARGET: restoring to the original place, {own}\n");
        assert!(stderr(&output).contains(&said), "{}", stderr(&output));
        assert_eq!(text(&place.join("file")), format!("day 0 of me@nas:{own}"));
        std::fs::remove_dir_all(&place).unwrap();
    }
    // A part of it.
    for part in [format!("me@nas:{own}/file"), format!("{own}/file")] {
        ended(made.run_as("me", "nas", &["restore", &part]), 0);
        assert_eq!(text(&place.join("file")), format!("day 0 of me@nas:{own}"));
        std::fs::remove_dir_all(&place).unwrap();
    }
    ended(made.run_as("me", "nas", &["restore", &format!("{own}/missing")]), 13);
    for (user, reference) in [
        ("they", own.clone()),
        ("me", format!("you@nas:{own}")),
        ("me", "/elsewhere".into()),
        ("me", "latest".into()),
    ] {
        let output = ended(made.run_as(user, "nas", &["restore", &reference]), 2);
        assert!(stderr(&output).contains("TARGET"), "{}", stderr(&output));
        assert!(!place.exists());
    }
    // Without Kopia's configuration the system says who asks.
    ended(made.run(&["restore", &own]), 2);
    let system = |program: &str, option: &str| {
        let output = Command::new(program).arg(option).output().unwrap();
        stdout(&output).trim().to_owned()
    };
    let host = system("uname", "-n").split('.').next().unwrap().to_lowercase();
    let identity = format!("{}@{host}", system("id", "-un"));
    made.snapshot(&format!("{identity}:{own}"), 2, |_| {});
    ended(made.run(&["restore", &own]), 0);
    assert_eq!(text(&place.join("file")), format!("day 2 of {identity}:{own}"));
}

#[test]
fn skipped_files_are_counted_apart() {
    let fixture = Fixture::load("quickstart");
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let (repo, target) = (fixture.repo(), target.to_str().unwrap());
    let restore = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        command.args(["--repo", repo.to_str().unwrap(), "restore", "latest", target]).args(args);
        command.env("KOPIA_PASSWORD", &fixture.password).env("HOME", "/proc/nonexistent");
        ended(command.stdin(Stdio::null()).output().unwrap(), 0)
    };
    assert!(!stderr(&restore(&[])).contains("skipped"));
    std::fs::remove_file(Path::new(target).join("config/secret.key")).unwrap();
    let said = stderr(&restore(&["--skip-existing"]));
    assert!(said.contains("Restored 1 file, ") && said.contains("and 0 symbolic links"), "{said}");
    assert!(said.contains(", skipped 31"), "{said}");
    let report = stdout(&restore(&["--skip-existing", "--json"]));
    let report: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!((&report["files"], &report["skipped"]), (&json!(31), &json!(32)));
}

/// Velero keeps its volumes in Kopia repositories: one identity for all, paths without a leading slash, tags that tell
/// backup, namespace, pod and volume, and block volumes whose root is a file.
#[test]
fn a_repository_as_velero_writes_it() {
    let mut made = Made::new();
    let tags = |snapshot: &mut NewSnapshot, backup: &str, volume: &str| {
        for (key, value) in [("backup", backup), ("ns", "media"), ("pod", "paperless-0"), ("volume", volume)]
        {
            snapshot.tags.insert(format!("tag:{key}"), value.into());
        }
    };
    let source = "default@default:paperless-0/data";
    let old = made.snapshot(source, 0, |s| tags(s, "nightly-1", "data"));
    made.snapshot(source, 1, |s| tags(s, "nightly-2", "data"));
    made.snapshot("default@default:paperless-0/media", 1, |s| tags(s, "nightly-2", "media"));
    let block = made.file("block-device", &[7; 5000]);
    let mut volume = NewSnapshot::new(source_of("default@default:paperless-0/block"), START + DAY, block);
    tags(&mut volume, "nightly-2", "block");
    made.writer.put_snapshot(&volume).unwrap();
    made.writer.flush().unwrap();

    let listed = stdout(&ended(made.run(&["snapshots"]), 0));
    let sources: Vec<&str> = listed.lines().filter(|line| line.starts_with("default@")).collect();
    assert_eq!(sources.len(), 3, "{listed}");
    for source in sources {
        // What is listed is a reference, for every command.
        ended(made.run(&["snapshots", source]), 0);
        ended(made.run(&["verify", source]), 0);
        let is_block = source.ends_with("block");
        let shown = stdout(&ended(made.run(&["ls", source]), 0));
        assert_eq!(shown, if is_block { "block-device\n" } else { "file\n" });
        let target = made.path(if is_block { "device" } else { source.rsplit('/').next().unwrap() });
        ended(made.run(&["restore", source, target.to_str().unwrap()]), 0);
        let file = if is_block { source.to_owned() } else { format!("{source}/file") };
        let read = ended(made.run(&["cat", &file]), 0).stdout;
        let restored = if is_block { target } else { target.join("file") };
        assert_eq!(read, std::fs::read(restored).unwrap());
    }
    let of_backup = |reference: &str, backup: &str| {
        let tag = format!("backup:{backup}");
        stdout(&ended(made.run(&["cat", reference, "--tag", &tag, "--tag", "ns:media"]), 0))
    };
    assert_eq!(of_backup(&format!("{source}/file"), "nightly-1"), format!("day 0 of {source}"));
    assert_eq!(of_backup(&format!("{source}/file"), "nightly-2"), format!("day 1 of {source}"));
    let one = stdout(&ended(made.run(&["snapshots", "--tag", "backup:nightly-1"]), 0));
    assert!(one.contains(&old) && one.lines().count() == 2, "{one}");
    let verified = ended(made.run(&["--json", "verify", "--all", "--tag", "backup:nightly-2"]), 0);
    let last: Value = serde_json::from_str(stdout(&verified).lines().last().unwrap()).unwrap();
    assert_eq!(last["files"], json!(3));
}

#[test]
fn what_exists_and_may_not_be_overwritten_refuses() {
    let mut made = Made::new();
    made.snapshot("me@nas:/a", 0, |_| {});
    let target = made.path("t");
    let restore =
        |options: &[&str]| made.run(&[&["restore", "me@nas:/a", target.to_str().unwrap()], options].concat());
    std::fs::create_dir(&target).unwrap();
    ended(restore(&["--no-overwrite-files", "--no-overwrite-directories"]), 0);
    std::fs::write(target.join("file"), "mine").unwrap();
    let refused = ended(restore(&["--no-overwrite-files"]), 16);
    assert!(stderr(&refused).contains("exists already"), "{}", stderr(&refused));
    assert_eq!(text(&target.join("file")), "mine");
    ended(restore(&["--no-overwrite-symlinks"]), 0);
    assert_eq!(text(&target.join("file")), "day 0 of me@nas:/a");
}
