//! The metadata cache as the program uses it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;

struct Setting {
    fixture: Fixture,
    server: S3Server,
    dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Setting {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (dir, fixture) = (tempfile::tempdir().unwrap(), Fixture::load("many-indexes"));
        let root = dir.path().join("s3");
        std::fs::create_dir(&root).unwrap();
        let server = runtime.block_on(S3Server::start(&root));
        server.upload(&fixture.repo(), "bucket", "");
        std::fs::write(dir.path().join("password"), &fixture.password).unwrap();
        Setting { fixture, server, dir, _runtime: runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, cache: &Path, target: &Path) -> Child {
        let password = self.path("password");
        let url = format!("s3://bucket?endpoint=http://{}&region=us-east-1", self.server.endpoint);
        let snapshot = &self.fixture.snapshots[0].manifest_id;
        Command::new(env!("CARGO_BIN_EXE_rekopia"))
            .env_clear()
            .env("HOME", "/proc/nonexistent")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .args(["--no-progress", "--password-file", password.to_str().unwrap(), "--repo", &url])
            .args(["--cache", cache.to_str().unwrap(), "restore", snapshot, target.to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits for a restore, checks it, and gives what it said.
    fn finish(&self, child: Child, target: &Path) -> String {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        let diff = self.fixture.expected(&self.fixture.snapshots[0]).unwrap().diff(&Tree::read(target), &[]);
        assert!(diff.is_empty(), "{diff}");
        text
    }

    /// Restores and gives the requests that it took, and what it said.
    fn restore(&self, cache: &Path, name: &str) -> (usize, String) {
        let target = self.path(name);
        self.server.take_requests();
        let text = self.finish(self.start(cache, &target), &target);
        (self.server.take_requests().len(), text)
    }
}

#[test]
fn a_second_run_asks_for_less_and_a_damaged_cache_for_more() {
    let s = Setting::new();
    let cache = s.path("cache");
    let (first, text) = s.restore(&cache, "first");
    assert!(!text.contains("WARN"), "{text}");
    let (second, _) = s.restore(&cache, "second");
    assert!(first > 20 && second <= 8, "{first} requests, then {second}");

    let below = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let mut damaged = 0;
    for (number, entry) in std::fs::read_dir(below).unwrap().enumerate() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        match number % 3 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes.clear(),
            _ => *bytes.last_mut().unwrap() ^= 0x80,
        }
        std::fs::write(path, bytes).unwrap();
        damaged += 1;
    }
    assert!(damaged > 10);
    let (third, text) = s.restore(&cache, "third");
    assert_eq!(third, first, "nothing damaged is used");
    assert!(!text.contains("WARN"), "{text}");
    assert_eq!(s.restore(&cache, "fourth").0, second, "it was put right");
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let s = Setting::new();
    let cache = s.path("cache");
    for round in 0..3 {
        let targets = ["a", "b", "c"].map(|name| s.path(&format!("{name}{round}")));
        let children = targets.each_ref().map(|target| s.start(&cache, target));
        for (child, target) in children.into_iter().zip(&targets) {
            let text = s.finish(child, target);
            assert!(!text.contains("WARN"), "{text}");
        }
        if round == 1 {
            std::fs::remove_dir_all(&cache).unwrap();
        }
    }
    let below = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let left = std::fs::read_dir(below).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with('.')), "nothing half-written is left");
}

#[test]
fn a_folder_that_cannot_be_written_is_only_warned_of() {
    let s = Setting::new();
    let file = s.path("a file");
    std::fs::write(&file, "").unwrap();
    for (number, cache) in [Path::new("/proc/no/cache"), &file].into_iter().enumerate() {
        let (_, text) = s.restore(cache, &format!("target{number}"));
        assert_eq!(text.matches("WARN").count(), 1, "{text}");
        assert!(text.contains("no metadata is cached in"), "{text}");
    }
}
