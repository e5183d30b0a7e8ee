//! Signals while the storage hangs: the program leaves soon, says how it ended, and asks for nothing more.
//!
//! Each row of the table is a command that is stopped in one phase: a proxy in front of a real server answers until then
//! and never again. Three seconds are promised; a busy machine gets five times that.

mod cloud;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::fuse::{Faults, FuseMount, Op};
use rekopia_testkit::server::faulty::{Fault, Seen};
use rekopia_testkit::server::sshd::Sshd;
use rekopia_testkit::server::tunnel::{Break, Tunnel};
use rekopia_testkit::skip::has_programs;
use rekopia_testkit::tree::Tree;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use cloud::{Cloud, EXE, PASSWORD, Phase, SIGNALS, leaves, modes, signal, text};

/// A target with something to fetch, and something to put back: folders that their modes close.
fn restore_and_change(cloud: &Cloud, id: &str, existing: &Path) {
    let restored = cloud.command(&["restore", id, existing.to_str().unwrap()]).output().unwrap();
    assert_eq!(restored.status.code(), Some(0), "{}", text(&restored.stderr));
    let mut changed = Vec::new();
    for path in Tree::read(existing).entries.into_keys().map(|path| existing.join(path)) {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_file() && meta.len() > 0 {
            changed.push(path);
        }
    }
    changed.iter().for_each(|path| std::fs::write(path, "x").unwrap());
    for (path, _) in modes(existing) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o555)).unwrap();
    }
}

/// The document and the status say the same, and the index is not read once more.
#[track_caller]
fn assert_one_verdict(cloud: &Cloud, phase: Phase, output: &Output, code: i32, what: &str) {
    use Phase::{Index, IndexList, Opening};
    let stdout = text(&output.stdout);
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{what}: {e}: {stdout}"));
    assert_eq!(last["exitCode"], code, "{what}: {last}");
    // What was on its way when the signal came may still be seen, but no index is read once more.
    let after = cloud.proxy.take_requests();
    let reloads = |seen: &&Seen| IndexList.is_it(seen) || Index.is_it(seen);
    assert!(
        matches!(phase, Opening | IndexList | Index) || !after.iter().any(|seen| reloads(&seen)),
        "{what}: {after:?}"
    );
}

/// Each folder has the mode that it had, or that of the snapshot: an empty one may have been finished.
#[track_caller]
fn assert_modes(existing: &Path, before: &[(PathBuf, u32)], expected: &Tree, what: &str) {
    for ((path, mode), (_, old)) in modes(existing).into_iter().zip(before) {
        let name = path.strip_prefix(existing).unwrap().to_str().unwrap();
        let wanted = expected.entries[name].mode;
        assert!(mode == *old || mode & 0o7777 == wanted, "{what}: {name} has {mode:o} instead of {old:o}");
    }
}

#[test]
fn a_command_leaves_a_storage_that_hangs() {
    use Phase::{Data, Directories, Index, IndexList, Manifests, Opening, Packs};
    let cloud = Cloud::new();
    let fixture = Fixture::load("quickstart");
    let expected = fixture.expected(&fixture.snapshots[0]).unwrap();
    let id = fixture.snapshots[0].manifest_id.as_str();
    let (fresh, existing) = (cloud.dir.path().join("fresh"), cloud.dir.path().join("existing"));
    restore_and_change(&cloud, id, &existing);
    let (to_fresh, onto) = (fresh.to_str().unwrap(), existing.to_str().unwrap());
    let mirror = &["--json", "restore", "--delete-extra", "--yes", id, onto][..];
    let commands: &[(&[&str], &[Phase])] = &[
        (&["--json", "restore", id, to_fresh], &[Opening, IndexList, Index, Manifests, Directories, Data]),
        (mirror, &[Opening, Packs, Directories, Data]),
        (&["--json", "restore", "--dry-run", id, onto], &[Packs, Directories]),
        (&["--json", "verify", id], &[Opening, Index, Manifests, Directories, Data]),
        (&["--json", "verify", "--all", "--hash"], &[Manifests, Directories, Data]),
        (&["--json", "ls", "-r", id], &[Opening, IndexList, Index, Manifests, Directories]),
        (&["--json", "snapshots"], &[Opening, Index, Manifests]),
        (&["--json", "status"], &[Opening, Index]),
    ];
    let rows = commands.iter().flat_map(|(args, phases)| phases.iter().map(move |phase| (*args, *phase)));
    let mut longest = Duration::ZERO;
    for (number, (args, phase)) in rows.enumerate() {
        let (sent, code) = SIGNALS[number % SIGNALS.len()];
        let what = format!("{args:?} while {phase:?}");
        let before = modes(&existing);
        cloud.hang(phase, usize::from(phase == Directories));
        let broken = cloud.proxy.broken();
        let mut command = cloud.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(cloud.waits_for(&mut child, broken), "{what}: it was not stopped by that");
        cloud.proxy.take_requests();
        let began = Instant::now();
        signal(&child, sent);
        let output = leaves(child, &what);
        longest = longest.max(began.elapsed());
        assert_eq!(output.status.code(), Some(code), "{what}: {}", text(&output.stderr));
        assert_one_verdict(&cloud, phase, &output, code, &what);
        assert_modes(&existing, &before, &expected, &what);
        cloud.answer();
    }
    println!("the longest took {longest:?}");
    for target in [to_fresh, onto] {
        let output = cloud.command(&["restore", id, target]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let diff = expected.diff(&Tree::read(Path::new(target)), &[]);
        assert!(diff.is_empty(), "{target}: {diff}");
    }
}

/// `syncfs` may take minutes, and whoever stops a restore does not want to wait for it.
#[test]
fn nothing_is_synced_after_a_signal() {
    if !has_programs("system calls after a signal", &["strace"]) {
        return;
    }
    let cloud = Cloud::new();
    let target = cloud.dir.path().join("t");
    let calls = cloud.dir.path().join("calls");
    cloud.hang(Phase::Data, 0);
    let program = cloud.command(&["--json", "restore", "latest", target.to_str().unwrap()]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=syncfs,fsync,fdatasync,sync", "-o"]).arg(&calls);
    traced.arg(program.get_program()).args(program.get_args()).stdin(Stdio::null());
    traced.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = traced.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(cloud.waits_for(&mut child, 0));
    let below = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let inner = below.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(inner).unwrap(), Signal::TERM).unwrap();
    let output = leaves(child, "restore");
    assert_eq!(output.status.code(), Some(143), "{}", text(&output.stderr));
    let said = std::fs::read_to_string(&calls).unwrap();
    assert!(!said.contains("sync("), "{said}");
    let report: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("not synced, because the run was stopped"), "{report}");
}

/// Nobody waits for what only passes time: a storage that asks to be left alone, a limit of bandwidth, a question.
#[test]
fn waits_do_not_hold_up_a_signal() {
    let cloud = Cloud::new();
    let target = cloud.dir.path().join("t");
    let restore = ["restore", "latest", target.to_str().unwrap()];
    for (what, args, fault) in [
        ("second tries", &restore[..], Some(Fault::Busy(503, "SlowDown", 300))),
        ("second tries", &["ls", "latest"], Some(Fault::Busy(503, "SlowDown", 300))),
        ("bandwidth", &["--limit-download", "200", "restore", "latest", restore[2]], None),
    ] {
        cloud.proxy.take_requests();
        cloud.proxy.break_answers(move |seen| fault.filter(|_| Phase::Index.is_it(seen)));
        let mut command = cloud.command(args);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let began = Instant::now();
        let mut seen = Vec::new();
        while !seen.iter().any(|seen| Phase::Index.is_it(seen)) {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}: no index is asked for");
            std::thread::sleep(Duration::from_millis(5));
            seen.extend(cloud.proxy.take_requests());
        }
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, Signal::TERM);
        let output = leaves(child, what);
        assert_eq!(output.status.code(), Some(143), "{what}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("topped on request"), "{what}: {}", text(&output.stderr));
        cloud.answer();
    }
}

/// A file system that answers nobody: not even opening a file can be dropped, and the process still goes.
#[test]
fn a_dead_mount_is_left_behind() {
    let backing = tempfile::tempdir().unwrap();
    rekopia_testkit::fixture::copy_dir(&testdata().join("quickstart/repo"), &backing.path().join("repo"));
    std::fs::write(backing.path().join("blocker"), "").unwrap();
    let faults = Faults::default();
    let Some(mount) = FuseMount::or_skip(backing.path(), &faults) else { return };
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (hangs, hanging) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    // The server has one thread. Whoever comes now waits for it and can be killed; the kernel lets nobody go whose own
    // question the server has taken.
    faults.before(Op::Lookup, move |call| {
        if call.name == "blocker" {
            let _ = hangs.send(());
            let _ = released.lock().unwrap().recv();
        }
        Ok(())
    });
    let blocker = mount.path().join("blocker");
    let blocked = std::thread::spawn(move || drop(blocker.metadata()));
    hanging.recv().unwrap();
    let target = backing.path().join("t");
    let repo = mount.path().join("repo");
    for args in [&["restore", "latest", target.to_str().unwrap()][..], &["verify"], &["ls", "latest"]] {
        let mut command = Command::new(EXE);
        command.args(["--repo", repo.to_str().unwrap()]).args(args).env("KOPIA_PASSWORD", PASSWORD);
        command.env("HOME", "/proc/nonexistent").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert!(child.try_wait().unwrap().is_none(), "{args:?} does not hang");
        signal(&child, Signal::TERM);
        let output = leaves(child, &format!("{args:?}"));
        assert_eq!(output.status.code(), Some(143), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("topped on request"), "{args:?}: {}", text(&output.stderr));
    }
    drop(release);
    blocked.join().unwrap();
}

/// Returns the end of a pipe whose other end is never read, and has no room.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let writer = OwnedFd::from(writer);
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut pipe = std::fs::File::from(writer);
    while pipe.write(&[b'x'; 1024]).is_ok() {}
    while pipe.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&pipe, false).unwrap();
    (reader.into(), pipe.into())
}

/// A terminal that was stopped, a log that nobody takes: the first signal is obeyed all the same, the second at once.
#[test]
fn output_that_nobody_takes_does_not_hold_up_a_signal() {
    let cloud = Cloud::new();
    for (number, args) in
        [&["restore", "latest"][..], &["verify", "latest"], &["ls", "-r", "latest"]].into_iter().enumerate()
    {
        for twice in [false, true] {
            let what = format!("{args:?}, twice: {twice}");
            cloud.hang(if args[0] == "ls" { Phase::Directories } else { Phase::Data }, 0);
            let broken = cloud.proxy.broken();
            let (_unread, full) = full_pipe();
            let (_unread_too, full_too) = full_pipe();
            let target = cloud.dir.path().join(format!("t{number}{twice}"));
            let more = if args[0] == "restore" { vec![target.to_str().unwrap()] } else { Vec::new() };
            let mut command = cloud.command(&[args, &more].concat());
            let mut child = command.stdout(full).stderr(full_too).spawn().unwrap();
            drop(command);
            // A restore waits to say what it restores, the others come to the storage.
            let began = Instant::now();
            while cloud.proxy.broken() == broken && began.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(child.try_wait().unwrap().is_none(), "{what}");
            signal(&child, Signal::TERM);
            if twice {
                std::thread::sleep(Duration::from_millis(100));
                if child.try_wait().unwrap().is_none() {
                    signal(&child, Signal::INT);
                }
            }
            let output = leaves(child, &what);
            let codes: &[i32] = if twice { &[130, 143] } else { &[143] };
            assert!(codes.contains(&output.status.code().unwrap_or(-1)), "{what}: {}", output.status);
            cloud.answer();
        }
    }
}

/// An SFTP server stops in the middle, or says nothing at all: the program leaves as soon.
#[test]
fn a_command_leaves_an_sftp_server_that_hangs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let Some(sshd) = Sshd::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let tunnel = runtime.block_on(Tunnel::start(sshd.port));
    let known = dir.path().join("known_hosts");
    let key = sshd.known_hosts("ed25519");
    let key = key.split_once(' ').unwrap().1;
    std::fs::write(&known, format!("[127.0.0.1]:{} {key}", tunnel.port)).unwrap();
    let repo = testdata().join("quickstart/repo").canonicalize().unwrap();
    let url = format!(
        "sftp://{}@127.0.0.1:{}{}?key={}&known-hosts={}",
        sshd.user,
        tunnel.port,
        repo.display(),
        sshd.key().display(),
        known.display()
    );
    let target = dir.path().join("t");
    let restore = ["restore", "latest", target.to_str().unwrap()];
    // Before the greeting, in the session's beginning, among the index, among the rest.
    for (number, bytes) in [0, 2000, 6000, 20_000, 60_000].into_iter().enumerate() {
        for args in [&restore[..], &["verify", "latest"], &["ls", "-r", "latest"]] {
            let (sent, code) = SIGNALS[number % SIGNALS.len()];
            let what = format!("{args:?} after {bytes} bytes");
            tunnel.break_connections(move |_| Some(Break::Stall(bytes)));
            let mut command = Command::new(EXE);
            command.args(["--repo", &url]).args(args).env("KOPIA_PASSWORD", PASSWORD);
            command.env("HOME", "/proc/nonexistent").stdin(Stdio::null());
            let before = tunnel.connections();
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let began = Instant::now();
            while tunnel.connections() == before {
                assert!(began.elapsed() < Duration::from_secs(60), "{what}: no connection");
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(800));
            if child.try_wait().unwrap().is_some() {
                // The data that is asked for is little.
                assert_eq!((child.wait().unwrap().code(), bytes > 20_000), (Some(0), true), "{what}");
                continue;
            }
            signal(&child, sent);
            let output = leaves(child, &what);
            assert_eq!(output.status.code(), Some(code), "{what}: {}", text(&output.stderr));
            assert!(text(&output.stderr).contains("topped on request"), "{what}: {}", text(&output.stderr));
        }
    }
}
