//! A volume, a cache and a repository, and the built program run on them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rekopia_testkit::fixture::copy_dir;
use rekopia_testkit::tree::Tree;

use crate::stock;

/// An application's place, with the contract's base environment "D": `app@ns:/data` in the captured repository.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) args: Vec<String>,
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) log: String,
}

/// Restores of the stock mover: the three snapshots of `app@ns:/data`, oldest first.
pub(crate) const S1: &str = "app-s1";
pub(crate) const S2: &str = "app-s2";
pub(crate) const S3: &str = "app-s3";

impl Place {
    /// Nothing but a folder.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Other users have to come through.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Place { dir, env: BTreeMap::new(), args: Vec::new() }
    }

    pub(crate) fn new() -> Self {
        let mut place = Place::bare();
        place.args = vec!["restore".into()];
        for folder in ["restore/data", "cache"] {
            std::fs::create_dir_all(place.dir.path().join(folder)).unwrap();
        }
        let (data, cache) = (place.data(), place.dir.path().join("cache"));
        place.at(&stock::repository()).set("KOPIA_PASSWORD", "secret");
        place.set("DATA_DIR", data.to_str().unwrap()).set("KOPIA_CACHE_DIR", cache.to_str().unwrap());
        for (name, value) in [
            ("KOPIA_OVERRIDE_USERNAME", "app"),
            ("KOPIA_OVERRIDE_HOSTNAME", "ns"),
            ("KOPIA_DISCOVER_SNAPSHOTS", "true"),
            ("PRIVILEGED_MOVER", "0"),
            ("KOPIA_CACHE_CAPACITY_BYTES", "8589934592"),
        ] {
            place.set(name, value);
        }
        place
    }

    pub(crate) fn with(name: &str, value: &str) -> Self {
        let mut place = Place::new();
        place.set(name, value);
        place
    }

    pub(crate) fn of_user(user: &str) -> Self {
        Place::with("KOPIA_OVERRIDE_USERNAME", user)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Uses the repository in this directory.
    pub(crate) fn at(&mut self, repository: &Path) -> &mut Self {
        self.set("KOPIA_REPOSITORY", &format!("filesystem://{}", repository.display()))
    }

    /// Returns the volume.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("restore/data")
    }

    /// Makes an empty folder of this name beside the volume.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Puts a file into the volume before the run.
    pub(crate) fn put(&self, name: &str) -> PathBuf {
        let file = self.data().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "from before").unwrap();
        file
    }

    /// Makes a repository of the place's own, to be changed.
    pub(crate) fn copied(&mut self) -> PathBuf {
        let copy = self.dir.path().join("repo");
        copy_dir(&stock::repository(), &copy);
        self.at(&copy);
        copy
    }

    pub(crate) fn command(&self) -> Command {
        self.started_by(Command::new(env!("CARGO_BIN_EXE_rekopia-mover")))
    }

    /// Makes the command for another user; needs root.
    pub(crate) fn command_as(&self, uid: u32) -> Command {
        let program = self.dir.path().join("rekopia-mover");
        if !program.exists() {
            // The built program may lie where only root may look.
            std::fs::copy(env!("CARGO_BIN_EXE_rekopia-mover"), &program).unwrap();
        }
        let mut command = self.started_by(Command::new(program));
        command.uid(uid).gid(uid);
        command
    }

    /// Makes the command that runs through a shell, after `before`: mounts, limits.
    pub(crate) fn command_after(&self, before: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-ec", &format!("{before}\nexec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_rekopia-mover")]);
        self.started_by(command)
    }

    fn started_by(&self, mut command: Command) -> Command {
        command.args(&self.args).env_clear().envs(&self.env).current_dir("/").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self) -> Ended {
        self.end(self.command())
    }

    pub(crate) fn end(&self, mut command: Command) -> Ended {
        let output = command.output().unwrap();
        let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(log.lines().all(|l| l.len() <= 8192), "a long line");
        for name in ["KOPIA_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WEBDAV_PASSWORD"] {
            // A short one, such as "secret", is a word like any other.
            if let Some(value) = self.env.get(name).map(|v| v.trim()).filter(|v| v.len() > 6) {
                assert!(!log.contains(value), "{name} is in the log");
            }
        }
        Ended { code: output.status.code().unwrap_or(-1), log }
    }

    #[track_caller]
    pub(crate) fn ends(&self, code: i32, part: &str) -> Ended {
        self.run().with(code, part)
    }

    #[track_caller]
    pub(crate) fn holds(&self, restore: &str) {
        let diff = stock::tree(restore).diff(&Tree::read(&self.data()), &[]);
        assert!(diff.is_empty(), "{restore}: {diff}");
    }

    /// Restores, and checks that the stock mover did so, too.
    #[track_caller]
    pub(crate) fn restores(&self, restore: &str) -> Ended {
        let ended = self.ends(0, "Snapshot restore completed");
        let chosen = format!("Selected snapshot with id: {}", stock::snapshot(restore));
        assert!(ended.log.contains(&chosen), "{chosen:?} is not in: {}", ended.log);
        self.holds(restore);
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

impl Ended {
    #[track_caller]
    pub(crate) fn with(self, code: i32, part: &str) -> Self {
        assert_eq!(self.code, code, "{}", self.log);
        assert!(self.log.contains(part), "{part:?} is not in: {}", self.log);
        self
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
