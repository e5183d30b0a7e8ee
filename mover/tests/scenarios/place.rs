//! A volume, a cache and a repository, and the built program run on them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rekopia_testkit::fixture::{Fixture, copy_dir};
use rekopia_testkit::tree::Tree;

/// One application's place: a volume, a cache, a repository.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) args: Vec<String>,
    pub(crate) fixture: Fixture,
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) log: String,
}

/// Three complete snapshots of one identity, oldest first, in [`Place::of`]'s repository.
pub(crate) const S1: usize = 0;
pub(crate) const S2: usize = 1;
pub(crate) const S3: usize = 2;

impl Place {
    /// `paperless@media:/data` in the repository that was written as VolSync's mover writes.
    pub(crate) fn new() -> Self {
        Place::of("volsync")
    }

    pub(crate) fn of(fixture: &str) -> Self {
        let fixture = Fixture::load(fixture);
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("restore/data");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::create_dir(dir.path().join("cache")).unwrap();
        let mut place = Place { dir, env: BTreeMap::new(), args: vec!["restore".into()], fixture };
        let repo = place.fixture.repo();
        place.set("KOPIA_REPOSITORY", &format!("filesystem://{}", repo.display()));
        let password = place.fixture.password.clone();
        place.set("KOPIA_PASSWORD", &password);
        place.set("DATA_DIR", data.to_str().unwrap());
        let cache = place.dir.path().join("cache");
        place.set("KOPIA_CACHE_DIR", cache.to_str().unwrap());
        for (name, value) in [
            ("KOPIA_OVERRIDE_USERNAME", "paperless"),
            ("KOPIA_OVERRIDE_HOSTNAME", "media"),
            ("KOPIA_DISCOVER_SNAPSHOTS", "true"),
            ("PRIVILEGED_MOVER", "0"),
            ("KOPIA_CACHE_CAPACITY_BYTES", "8589934592"),
        ] {
            place.set(name, value);
        }
        place
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    pub(crate) fn with(name: &str, value: &str) -> Self {
        let mut place = Place::new();
        place.set(name, value);
        place
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("restore/data")
    }

    /// A repository of its own, to be changed.
    pub(crate) fn copied(&mut self) -> PathBuf {
        let copy = self.dir.path().join("repo");
        copy_dir(&self.fixture.repo(), &copy);
        self.set("KOPIA_REPOSITORY", &format!("filesystem://{}", copy.display()));
        copy
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia-mover"));
        command.args(&self.args).env_clear().envs(&self.env).current_dir("/").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self) -> Ended {
        let output = self.command().output().unwrap();
        let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(log.lines().all(|l| l.len() <= 8192), "a long line");
        for secret in ["KOPIA_PASSWORD", "AWS_SECRET_ACCESS_KEY", "WEBDAV_PASSWORD"] {
            if let Some(value) = self.env.get(secret).map(|v| v.trim()).filter(|v| v.len() > 5) {
                assert!(!log.contains(value), "{secret} is in the log");
            }
        }
        Ended { code: output.status.code().unwrap_or(-1), log }
    }

    #[track_caller]
    pub(crate) fn ends(&self, code: i32, part: &str) -> Ended {
        let ended = self.run();
        assert_eq!(ended.code, code, "{}", ended.log);
        assert!(ended.log.contains(part), "{part:?} is not in: {}", ended.log);
        ended
    }

    #[track_caller]
    pub(crate) fn holds(&self, snapshot: usize) {
        let expected = self.fixture.expected(&self.fixture.snapshots[snapshot]).unwrap();
        let diff = expected.diff(&Tree::read(&self.data()), &[]);
        assert!(diff.is_empty(), "{diff}");
    }

    #[track_caller]
    pub(crate) fn restores(&self, snapshot: usize) -> Ended {
        let ended = self.ends(0, "Snapshot restore completed");
        self.holds(snapshot);
        ended
    }

    #[track_caller]
    pub(crate) fn untouched(&self) {
        assert_eq!(std::fs::read_dir(self.data()).unwrap().count(), 0, "the volume was touched");
    }

    #[track_caller]
    pub(crate) fn refuses(&self, code: i32, part: &str) -> Ended {
        let ended = self.ends(code, part);
        self.untouched();
        ended
    }
}

/// What the operator keeps of a log (contract §3.5): filtered lines, of these the last 1,024 bytes.
pub(crate) fn status(log: &str) -> String {
    let kept = |line: &&str| {
        let lower = line.to_lowercase();
        ["error", "failed", "unable to"].iter().any(|w| lower.contains(w))
            || [
                "=== Discovery Mode",
                "Available Snapshots",
                "No snapshots found",
                "Snapshot restore completed",
                "Repository connected",
                "No eligible snapshots",
            ]
            .iter()
            .any(|w| line.contains(w))
            || (line.contains('@')
                && line.contains(':')
                && line.split(' ').nth(1).is_some_and(|d| d.len() == 10 && d.starts_with("20")))
    };
    let text = log.lines().filter(kept).collect::<Vec<_>>().join("\n");
    let from = (text.len().saturating_sub(1024)..).find(|at| text.is_char_boundary(*at)).unwrap();
    text[from..].to_owned()
}
