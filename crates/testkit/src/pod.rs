//! Makes a pod without a cluster: a mount namespace whose root is read-only and holds only what it is given.
//!
//! ```text
//! holder ── the namespace: read-only root, mounts; lives as long as the Pod, so that volumes can be looked at afterwards
//!    ▲
//! nsenter → chroot → setpriv (user, no capabilities) → the program; one process, each becomes the next
//! ```
//!
//! Root is needed for all of it. Where somebody else runs the tests a user namespace is tried, which has one user only.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::skip::{has_programs, must_run};

/// The user that a program in the pod runs as, without any capability. Nobody has a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The numeric user ID.
    pub uid: u32,
    /// The numeric group ID.
    pub gid: u32,
    /// A second group, as `fsGroup` gives one.
    pub second: Option<u32>,
}

/// The user of the operator's pods where nothing is set: uid 0, all capabilities dropped.
pub const ROOT: User = User { uid: 0, gid: 0, second: None };

/// A running namespace; it ends, with all that was mounted in it, when this is dropped or the test is killed.
pub struct Pod {
    root: PathBuf,
    holder: Child,
    own_users: bool,
    network: bool,
}

/// The folder in the pod with its own tools.
const TOOLS: &str = "/.tools";

/// Makes the namespace of $R; the caller's mounts replace the line of colons.
const ENTER: &str = r#"set -eu
mount --bind "$R" "$R"
mount --rbind /proc "$R/proc"
mount -t tmpfs -o mode=755,size=64k none "$R/dev"
for device in null zero urandom; do
    : > "$R/dev/$device"
    mount --bind "/dev/$device" "$R/dev/$device"
done
: > "$R/dev/termination-log"
chmod 666 "$R/dev/termination-log"
::::
mount -o remount,bind,ro "$R"
echo ready
exec cat
"#;

impl Pod {
    /// Makes the namespace. `root` is a directory with the root filesystem, in which every mount point exists; it gets
    /// `/proc`, `/dev` and the tools that enter it. `mounts` are lines of shell, in which `$R` is the root.
    ///
    /// # Panics
    /// With the shell's words when something cannot be mounted.
    pub fn start(root: &Path, mounts: &str) -> Self {
        let root = root.canonicalize().unwrap();
        for folder in ["proc", "dev"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        install(&root, &which("setpriv"), &format!("{TOOLS}/setpriv"));
        let own_users = !rustix::process::geteuid().is_root();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if own_users {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", &ENTER.replace("::::", mounts)]).env("R", &root);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the namespace could not be made; mounts:\n{mounts}");
        Pod { root, holder, own_users, network: true }
    }

    /// Whether this machine lets us make a pod at all; where it does not the test that asks is skipped, or fails if
    /// nothing may be skipped.
    #[track_caller]
    pub fn possible_or_skips() -> bool {
        if !has_programs("a test in a pod", &["unshare", "nsenter", "setpriv"]) {
            return false;
        }
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["mount", "-t", "tmpfs", "none", "/mnt"]).stderr(Stdio::null());
        let possible = command.status().is_ok_and(|status| status.success());
        if !possible {
            must_run("a test in a pod", "no mount namespaces here");
        }
        possible
    }

    /// Lets programs that start from now on have no network, not even a loopback.
    pub fn without_network(&mut self) {
        self.network = false;
    }

    /// Returns where something in the pod is seen from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        let root = self.root.strip_prefix("/").unwrap();
        Path::new("/proc")
            .join(self.holder.id().to_string())
            .join("root")
            .join(root)
            .join(inside.trim_start_matches('/'))
    }

    /// Starts `program` (a path in the pod, with arguments) as `user`, in `/`, with an empty environment. The process
    /// that this starts becomes the program, so that signals reach it.
    pub fn command(&self, user: User, program: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if self.own_users {
            command.args(["--user", "--preserve-credentials"]);
        }
        if !self.network {
            command.args(["/usr/bin/unshare", "--net"]);
        }
        command.arg("/usr/sbin/chroot").arg(&self.root).arg(format!("{TOOLS}/setpriv"));
        if self.own_users {
            assert_eq!(user, ROOT, "a user namespace of ours has one user");
            command.arg("--keep-groups");
        } else {
            command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
            command.arg(user.second.map_or("--clear-groups".into(), |group| format!("--groups={group}")));
        }
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]);
        command.args(program).env_clear().stdin(Stdio::null());
        command
    }

    /// Whether users other than [`ROOT`] can run programs here.
    pub fn has_users() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// Whether users other than [`ROOT`] can run programs here; where they cannot the test that asks is skipped, or
    /// fails if nothing may be skipped.
    #[track_caller]
    pub fn has_users_or_skips() -> bool {
        if !Pod::has_users() {
            must_run("a test with several users", "it needs root");
            return false;
        }
        // What makes a program somebody else's, and lets it have little.
        has_programs("a test with several users", &["setpriv", "prlimit"])
    }

    /// Returns the tools that enter the pod, as a program in it: `setpriv -d` says who one is.
    pub fn setpriv() -> String {
        format!("{TOOLS}/setpriv")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Puts a program into a root, with the libraries that it is linked to.
///
/// # Panics
/// When something cannot be copied.
pub fn install(root: &Path, program: &Path, inside: &str) {
    copy(program, &root.join(inside.trim_start_matches('/')));
    for library in libraries(program) {
        copy(&library, &root.join(library.strip_prefix("/").unwrap()));
    }
}

/// Returns what a program is linked to at run time; nothing for a static one.
pub fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    words.map(PathBuf::from).collect()
}

/// Returns the program of this name on the machine.
///
/// # Panics
/// When there is none.
pub fn which(name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed"))
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        return;
    }
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap_or_else(|e| panic!("{} to {}: {e}", from.display(), to.display()));
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o755)).unwrap();
}
