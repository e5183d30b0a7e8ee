//! Runs OpenSSH's server, as Debian packages it: on a port of its own, with a key, a configuration and users of its
//! own.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::skip::has_programs;

/// The user who may come in with [`PASSWORD`].
pub const PASSWORD_USER: &str = "kopia-sftp-test";
/// The password of [`PASSWORD_USER`]: tests look for it in everything that is printed.
pub const PASSWORD: &str = "canary-sftp-password";

/// A running server; it ends, with everybody who is in, when it is dropped.
pub struct Sshd {
    child: Child,
    /// The port on the loopback address.
    pub port: u16,
    /// The user who may come in with [`Sshd::key`]: the one that runs the test.
    pub user: String,
    dir: tempfile::TempDir,
}

/// The ways in which the server lets people in, and what it does then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ways<'a> {
    /// Whether users have passwords, by the protocol's own way: needs root, see [`Sshd::can_have_passwords`].
    pub password: bool,
    /// Whether the server asks for passwords in words of its own: needs root, too.
    pub questions: bool,
    /// Further lines of the configuration; they come first.
    pub configuration: &'a str,
}

impl Sshd {
    /// Starts a server that lets the user who runs the test in, by key; `None`, said aloud, where OpenSSH is not
    /// installed.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start() -> Option<Self> {
        Self::with(Ways::default())
    }

    /// Starts a server that lets people in in these ways.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn with(ways: Ways<'_>) -> Option<Self> {
        if !has_programs("SFTP", &["sshd", "ssh-keygen"]) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for (kind, name) in
            [("ed25519", "host_ed25519"), ("rsa", "host_rsa"), ("ed25519", "key"), ("rsa", "key_rsa")]
        {
            generate(kind, &dir.path().join(name), "");
        }
        let allowed = ["key.pub", "key_rsa.pub"].map(|name| std::fs::read(dir.path().join(name)).unwrap());
        std::fs::write(dir.path().join("authorized_keys"), allowed.concat()).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap().trim().to_owned();
        let port = super::program::free_port();
        let child = Self::spawn(dir.path(), port, ways);
        let mut server = Sshd { child, port, user, dir };
        server.wait();
        Some(server)
    }

    /// Whether the server can have users that the machine does not have.
    pub fn can_have_passwords() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn spawn(dir: &Path, port: u16, ways: Ways<'_>) -> Child {
        let at = |name: &str| dir.join(name).display().to_string();
        let mut text = ways.configuration.to_owned();
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        write!(
            text,
            "\nListenAddress 127.0.0.1:{port}\nHostKey {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM {}\nPasswordAuthentication {}\nKbdInteractiveAuthentication {}\n\
             PermitRootLogin yes\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\n",
            at("host_ed25519"),
            at("host_rsa"),
            at("authorized_keys"),
            yes(ways.questions),
            yes(ways.password),
            yes(ways.questions),
        )
        .unwrap();
        std::fs::write(at("config"), text).unwrap();
        let server = format!("exec /usr/sbin/sshd -D -e -f '{}'", at("config"));
        let mut command = if ways.password || ways.questions {
            // The machine's users stay as they are: it has others in its own view of the file system.
            std::fs::write(at("passwd"), with_line("/etc/passwd", &password_line())).unwrap();
            std::fs::write(at("shadow"), with_line("/etc/shadow", &shadow_line())).unwrap();
            std::fs::set_permissions(at("shadow"), PermissionsExt::from_mode(0o600)).unwrap();
            let pam =
                "auth required pam_unix.so\naccount required pam_unix.so\nsession optional pam_permit.so\n";
            std::fs::write(at("pam"), pam).unwrap();
            let mut script = String::from("set -e\n");
            for (name, over) in
                [("passwd", "/etc/passwd"), ("shadow", "/etc/shadow"), ("pam", "/etc/pam.d/sshd")]
            {
                writeln!(script, "mount --bind '{}' {over}", at(name)).unwrap();
            }
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", &(script + &server)]);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", &server]);
            command
        };
        if rustix::process::geteuid().is_root() {
            // Where it puts those aside who have not signed in yet; Debian's own service makes it at its start.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let log = std::fs::File::create(at("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn wait(&mut self) {
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < Duration::from_secs(20),
                "{ended:?}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends everybody's session at once; the server itself goes on.
    ///
    /// # Panics
    /// When a process may not be ended.
    pub fn drop_everybody(&self) {
        descendants(self.child.id()).into_iter().for_each(kill);
    }

    /// Ends the server and everybody's session at once.
    ///
    /// # Panics
    /// When a process may not be ended.
    pub fn stop(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            return;
        }
        let everybody = descendants(self.child.id());
        kill(self.child.id());
        self.child.wait().unwrap();
        everybody.into_iter().for_each(kill);
    }

    /// Starts the server again after [`Sshd::stop`], at the same place.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.child = Self::spawn(self.dir.path(), self.port, Ways::default());
        self.wait();
    }

    /// Returns the number of processes of those who are in.
    pub fn sessions(&self) -> usize {
        descendants(self.child.id()).len()
    }

    /// Returns the private key that the server lets in.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    /// Returns another private key, of type RSA.
    pub fn rsa_key(&self) -> PathBuf {
        self.dir.path().join("key_rsa")
    }

    /// Returns what a `known_hosts` file says of the server, by kind of key: `ed25519` or `rsa`.
    ///
    /// # Panics
    /// For another kind.
    pub fn known_hosts(&self, kind: &str) -> String {
        let key = std::fs::read_to_string(self.dir.path().join(format!("host_{kind}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }

    /// Returns what the server says of what happens.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a new private key in this file, with its public half beside it.
///
/// # Panics
/// When `ssh-keygen` fails.
pub fn generate(kind: &str, file: &Path, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(file);
    assert!(command.status().unwrap().success());
}

fn password_line() -> String {
    format!("{PASSWORD_USER}:x:64321:64321::/:/bin/sh\n")
}

fn shadow_line() -> String {
    let script = format!("print crypt('{PASSWORD}', '$6$rekopia$')");
    let hash = Command::new("perl").args(["-e", &script]).output().unwrap().stdout;
    let hash = String::from_utf8(hash).unwrap();
    assert!(hash.starts_with("$6$"), "{hash}");
    format!("{PASSWORD_USER}:{hash}:19000:0:99999:7:::\n")
}

fn with_line(file: &str, line: &str) -> String {
    let mut text = std::fs::read_to_string(file).unwrap();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text + line
}

/// Returns all processes that this one has started, and those that they have.
fn descendants(of: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

fn kill(id: u32) {
    // The process may have ended by itself.
    let _ = kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), Signal::KILL);
}
