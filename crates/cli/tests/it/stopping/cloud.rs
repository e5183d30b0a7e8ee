//! A storage that stops answering in one phase of a command, and whoever waits for its end.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::fixture::testdata;
use rekopia_testkit::server::faulty::{Fault, Faulty, Seen};
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const EXE: &str = env!("CARGO_BIN_EXE_rekopia");
pub(crate) const PASSWORD: &str = "rekopia-quickstart";
/// Five times what is promised.
pub(crate) const LEAVES: Duration = Duration::from_secs(15);
/// The signals and their codes.
pub(crate) const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// Where a command is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The format blob is asked for.
    Opening,
    /// Index blobs are listed.
    IndexList,
    /// Index blobs are read.
    Index,
    /// Snapshots are listed: their manifests, or a block with them.
    Manifests,
    /// Packs are listed, to know what is there.
    Packs,
    /// Directories are read, after the manifests.
    Directories,
    /// Data is read.
    Data,
}

impl Phase {
    pub(crate) fn is_it(self, seen: &Seen) -> bool {
        let lists = |prefix: &str| seen.is_list() && seen.query.contains(&format!("prefix={prefix}"));
        let reads = |start: &str| !seen.is_list() && seen.path.starts_with(&format!("/bucket/{start}"));
        match self {
            Phase::Opening => reads("kopia.repository"),
            Phase::IndexList => lists("x"),
            Phase::Index => reads("x"),
            Phase::Manifests | Phase::Directories => reads("q"),
            Phase::Packs => lists("p") || lists("q"),
            Phase::Data => reads("p"),
        }
    }
}

/// A bucket with the repository `quickstart`, behind a proxy.
pub(crate) struct Cloud {
    pub(crate) proxy: Faulty,
    // In this order: the server's tasks end with the runtime, then its files go.
    _runtime: tokio::runtime::Runtime,
    pub(crate) dir: tempfile::TempDir,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("s3")).unwrap();
        let server = runtime.block_on(S3Server::start(&dir.path().join("s3")));
        server.upload(&testdata().join("quickstart/repo"), "bucket", "");
        let proxy = runtime.block_on(Faulty::start(&server.endpoint));
        Cloud { proxy, _runtime: runtime, dir }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(EXE);
        let url = format!("s3://bucket?endpoint=http://{}&region=us-east-1", self.proxy.address);
        command.args(["--repo", &url]).args(args).stdin(Stdio::null());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env("KOPIA_PASSWORD", PASSWORD).env("HOME", "/proc/nonexistent");
        command
    }

    /// From the request of this number of a phase on nothing is answered.
    pub(crate) fn hang(&self, phase: Phase, number: usize) {
        let of_phase = std::sync::atomic::AtomicUsize::new(0);
        let hangs = std::sync::atomic::AtomicBool::new(false);
        self.proxy.take_requests();
        self.proxy.break_answers(move |seen| {
            use std::sync::atomic::Ordering::SeqCst;
            if phase.is_it(seen) && of_phase.fetch_add(1, SeqCst) >= number {
                hangs.store(true, SeqCst);
            }
            hangs.load(SeqCst).then_some(Fault::Hang)
        });
    }

    pub(crate) fn answer(&self) {
        self.proxy.break_answers(|_| None);
    }

    /// Waits until something hangs; `false` when the command ends without that.
    pub(crate) fn waits_for(&self, child: &mut Child, broken: usize) -> bool {
        let began = Instant::now();
        while self.proxy.broken() == broken {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "nothing was asked for that hangs");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Others are sent at the same time.
        std::thread::sleep(Duration::from_millis(50));
        true
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for the end; a process that stays is killed, and the test fails.
#[track_caller]
pub(crate) fn leaves(mut child: Child, what: &str) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > LEAVES {
            let _ = child.kill();
            panic!(
                "{what}: still there after {LEAVES:?}: {}",
                text(&child.wait_with_output().unwrap().stderr)
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn modes(target: &Path) -> Vec<(PathBuf, u32)> {
    let paths = Tree::read(target).entries.into_keys().map(|path| target.join(path));
    let folders = paths.filter(|path| path.symlink_metadata().unwrap().is_dir());
    folders.map(|path| (path.clone(), path.metadata().unwrap().mode())).collect()
}
