//! Makes an application's pod: a read-only root with nothing but the mover, a volume, a cache, a read-only repository.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rekopia_testkit::pod::{Pod, User, install, libraries};
use rekopia_testkit::server::tls::AUTHORITY;
use rekopia_testkit::tree::Tree;

/// A pod that is ready to run the mover.
pub(crate) struct Place {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) pod: Pod,
    _dir: tempfile::TempDir,
}

pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
}

/// The user of a pod with `runAsUser: 1234` and `fsGroup: 1234`; where no group is set it is root's.
pub(crate) const APP: User = User { uid: 1234, gid: 0, second: Some(1234) };

/// A volume as a kubelet prepares it for `fsGroup: 1234`: root's, the group may write and is inherited.
pub(crate) const FS_GROUP: &str =
    "chown 0:1234 $R/../data; chmod 2775 $R/../data; mount --bind $R/../data $R/restore/data";
/// A fresh volume where nothing is set: root's.
pub(crate) const FRESH: &str = "chmod 755 $R/../data; mount --bind $R/../data $R/restore/data";

/// Returns the volume of a group where a pod has users, else the fresh one.
pub(crate) fn usual_volume() -> &'static str {
    if Pod::has_users() { FS_GROUP } else { FRESH }
}

/// Owner and group of what `user` makes in a [`usual_volume`], as seen from here.
pub(crate) fn owner(user: User) -> (u32, u32) {
    if Pod::has_users() {
        (user.uid, user.second.unwrap_or(user.gid))
    } else {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }
}

impl Place {
    /// Makes a pod with this repository; `volume` mounts `$R/restore/data`, `more` whatever else. `None` where this
    /// machine makes no pods for `user`.
    pub(crate) fn new(repository: &Path, user: User, volume: &str, more: &str) -> Option<Self> {
        if !Pod::possible_or_skips() || user.uid != 0 && !Pod::has_users_or_skips() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let places = ["mover-kopia", "cache", "restore", "mnt/repo"].map(|p| root.join(p));
        let outside = ["data", "cache", "restore/data"].map(|p| dir.path().join(p));
        for folder in places.iter().chain(&outside) {
            std::fs::create_dir_all(folder).unwrap();
        }
        // Other folders are open to all, as an emptyDir is.
        for folder in ["cache", "restore"] {
            std::fs::set_permissions(dir.path().join(folder), PermissionsExt::from_mode(0o777)).unwrap();
        }
        // The image has authorities, too: without any there is not even plain HTTP, and any will do where the machine
        // has none.
        let bundle = root.join("etc/ssl/certs/ca-certificates.crt");
        std::fs::create_dir_all(bundle.parent().unwrap()).unwrap();
        let authorities = std::fs::read("/etc/ssl/certs/ca-certificates.crt");
        std::fs::write(bundle, authorities.unwrap_or_else(|_| AUTHORITY.into())).unwrap();
        let program = program();
        // The libraries are copied, the program is large and mounted instead.
        std::fs::write(root.join("mover-kopia/entry.sh"), "").unwrap();
        for library in libraries(&program) {
            install(&root, &library, library.to_str().unwrap());
        }
        let mounts = format!(
            "mount --bind {program:?} $R/mover-kopia/entry.sh\n\
             mount --bind $R/../restore $R/restore\nmount --bind $R/../cache $R/cache\n{volume}\n\
             mount --bind {repository:?} $R/mnt/repo\nmount -o remount,bind,ro $R/mnt/repo\n{more}"
        );
        let pod = Pod::start(&root, &mounts);
        let env = [
            ("DATA_DIR", "/restore/data"),
            ("KOPIA_CACHE_DIR", "/cache"),
            ("KOPIA_REPOSITORY", "filesystem:///mnt/repo"),
            ("KOPIA_PASSWORD", crate::made::PASSWORD),
            ("KOPIA_OVERRIDE_USERNAME", "app"),
            ("KOPIA_OVERRIDE_HOSTNAME", "ns"),
            ("KOPIA_DISCOVER_SNAPSHOTS", "true"),
            ("KOPIA_CACHE_CAPACITY_BYTES", "8589934592"),
            ("PRIVILEGED_MOVER", "0"),
            ("HOME", "/"),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Some(Place { env, pod, _dir: dir })
    }

    /// Returns the mover with this argument.
    pub(crate) fn command(&self, user: User, argument: &str) -> Command {
        let mut command = self.pod.command(user, &["/mover-kopia/entry.sh", argument]);
        command.envs(&self.env);
        command
    }

    /// Runs a restore that ends with this code.
    #[track_caller]
    pub(crate) fn restore(&self, user: User, code: i32) -> String {
        let ended = Ended::of(self.command(user, "restore").output().unwrap());
        assert_eq!(ended.code, Some(code), "{}", ended.log);
        ended.log
    }

    /// Returns where the volume is seen from here.
    pub(crate) fn data(&self) -> PathBuf {
        self.pod.path("/restore/data")
    }

    /// Returns what is in the volume.
    pub(crate) fn tree(&self) -> Tree {
        Tree::read(&self.data())
    }

    /// Returns the termination message, as the kubelet reads it.
    pub(crate) fn message(&self) -> serde_json::Value {
        let path = self.pod.path("/dev/termination-log");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap_or_default()
    }
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let log = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Ended { code: output.status.code(), log }
    }
}

/// Returns the mover: the one that was built for these tests, or the one that is shipped.
pub(crate) fn program() -> PathBuf {
    let given = std::env::var_os("REKOPIA_MOVER_BINARY").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_rekopia-mover").into())
}

/// When each entry last changed in any way, by path; the root is the empty path.
pub(crate) fn change_times(root: &Path) -> BTreeMap<PathBuf, (i64, i64, u64)> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = path.strip_prefix(root).unwrap().to_path_buf();
        all.insert(name, (meta.ctime(), meta.ctime_nsec(), meta.ino()));
    }
    all
}

/// Returns the mover outside of any pod: a repository, a volume, nothing else.
pub(crate) fn plain(repository: &Path, data: &Path) -> Command {
    let mut command = Command::new(program());
    command.arg("restore").env_clear().current_dir("/").stdin(std::process::Stdio::null());
    command.env("KOPIA_REPOSITORY", format!("filesystem://{}", repository.display()));
    command.env("DATA_DIR", data).env("KOPIA_PASSWORD", crate::made::PASSWORD);
    command.env("KOPIA_OVERRIDE_USERNAME", "app").env("KOPIA_OVERRIDE_HOSTNAME", "ns");
    command
}
