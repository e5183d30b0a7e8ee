//! Signals while the storage hangs or the log is not read: the mover leaves soon, with its verdict.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::server::faulty::{Fault, Faulty, Seen};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::place::{Place, S3};

/// Five times what is promised: the machine may be busy.
const LEAVES: Duration = Duration::from_secs(15);

/// What a phase asks for first, by the start of the path below the repository, or by the prefix that is listed.
const PHASES: [(&str, &str); 5] = [
    ("opening", "kopia.repository"),
    ("listing the index", "prefix=volsync%2Fx"),
    ("reading the index", "/x"),
    ("manifests and directories", "/q"),
    ("data", "/p"),
];

fn is_asked(seen: &Seen, what: &str) -> bool {
    match what.starts_with("prefix=") {
        true => seen.query.contains(what) || seen.query.contains(&what.replace("%2F", "/")),
        false => !seen.is_list() && seen.path.contains(what),
    }
}

/// A place whose bucket is behind a proxy, with a file for the termination message.
struct Stopped {
    proxy: Faulty,
    place: Place,
    message: PathBuf,
    _cloud: Cloud,
}

impl Stopped {
    fn new() -> Self {
        let cloud = Cloud::holding(&["volsync/"]);
        let mut place = cloud.place("s3://backups/volsync");
        let proxy = cloud.runtime().block_on(Faulty::start(&cloud.server.endpoint));
        place.set("AWS_S3_ENDPOINT", &format!("http://{}", proxy.address));
        let message = place.dir.path().join("termination-log");
        place.set("REKOPIA_TERMINATION_LOG", message.to_str().unwrap());
        Stopped { proxy, place, message, _cloud: cloud }
    }

    /// Starts a run that hangs where `what` is asked for.
    fn hanging(&self, what: &'static str, stdout: Stdio) -> Child {
        std::fs::write(&self.message, "").unwrap();
        let hangs = std::sync::atomic::AtomicBool::new(false);
        self.proxy.break_answers(move |seen| {
            use std::sync::atomic::Ordering::SeqCst;
            hangs.fetch_or(is_asked(seen, what), SeqCst);
            hangs.load(SeqCst).then_some(Fault::Hang)
        });
        let broken = self.proxy.broken();
        let mut child = self.place.command().stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while self.proxy.broken() == broken {
            assert!(child.try_wait().unwrap().is_none(), "nothing asked for {what}");
            assert!(began.elapsed() < Duration::from_secs(60), "nobody asks for {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    /// Returns the message after the end, which comes in time.
    #[track_caller]
    fn leaves(&self, mut child: Child, what: &str, code: i32) -> (Value, String) {
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > LEAVES {
                let _ = child.kill();
                panic!("{what}: still there after {LEAVES:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{what}: {log}");
        let text = std::fs::read_to_string(&self.message).unwrap();
        let message: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{what}: {e}: {text:?}"));
        rekopia_testkit::schema::check("termination-message", &message);
        assert_eq!((&message["outcome"], &message["exitCode"]), (&"stopped".into(), &code.into()), "{what}");
        (message, log)
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Returns a pipe whose other end is never read, and that has no room.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut pipe = File::from(OwnedFd::from(writer));
    rustix::io::ioctl_fionbio(&pipe, true).unwrap();
    while pipe.write(&[b'x'; 1024]).is_ok() {}
    while pipe.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&pipe, false).unwrap();
    (reader.into(), pipe.into())
}

#[test]
fn the_mover_leaves_a_storage_that_hangs() {
    let mut stopped = Stopped::new();
    let signals = [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)];
    for (round, operation) in ["restore", "check"].into_iter().enumerate() {
        stopped.place.args = vec![operation.into()];
        for (number, (phase, what)) in PHASES.into_iter().enumerate() {
            if operation == "check" && phase == "data" {
                continue;
            }
            let (sent, code) = signals[(number + round) % signals.len()];
            let child = stopped.hanging(what, Stdio::piped());
            signal(&child, sent);
            let (message, log) = stopped.leaves(child, &format!("{operation} while {phase}"), code);
            let verdict = if operation == "check" { "a restore would have failed" } else { "restore failed" };
            let last = format!("ERROR: {verdict} (stopped, exit {code}): stopped on request");
            assert!(log.contains(&last), "{phase}: {log}");
            // What was begun is told of.
            assert_eq!(log.contains(", not synced"), phase == "data", "{phase}: {log}");
            assert_eq!(message["files"].is_u64(), log.contains("ERROR: failed after"), "{phase}: {message}");
        }
    }
    stopped.proxy.break_answers(|_| None);
    stopped.place.args = vec!["restore".into()];
    stopped.place.restores(S3);
}

/// The message comes before the log, which may block for good; the second signal waits for nothing.
#[test]
fn a_log_that_is_not_read_does_not_hold_up_the_verdict() {
    let mut stopped = Stopped::new();
    stopped.place.args = vec!["restore".into()];
    for twice in [false, true] {
        let (reader, writer) = std::io::pipe().unwrap();
        let child = stopped.hanging("/p", writer.into());
        // What the mover itself can write before it blocks fits into the pipe; the rest is filled here.
        let fd = format!("/proc/{}/fd/1", child.id());
        let mut log = File::options().write(true).open(fd).unwrap();
        rustix::io::ioctl_fionbio(&log, true).unwrap();
        while log.write(&[b'x'; 512]).is_ok() {}
        while log.write(b"x").is_ok() {}
        signal(&child, Signal::TERM);
        if twice {
            std::thread::sleep(Duration::from_millis(100));
            signal(&child, Signal::TERM);
        }
        stopped.leaves(child, &format!("twice: {twice}"), 143);
        drop(reader);
    }
    // The log is blocked from its first line on.
    stopped.proxy.break_answers(|_| None);
    let (_reader, full) = full_pipe();
    std::fs::write(&stopped.message, "").unwrap();
    let child = stopped.place.command().stdout(full).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    signal(&child, Signal::TERM);
    stopped.leaves(child, "blocked from the first line on", 143);
}
