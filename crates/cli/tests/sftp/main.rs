//! The program against OpenSSH's server, and over OpenSSH's client (both Debian packages).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use rekopia::{
    Error, ErrorKind, OpenOptions, Password, Reference, Report, Repository, RestoreOptions, Selection,
    Silent, SyncMode,
};
use rekopia_blob::{BlobId, Deadlines, LayerOptions, Settings, connect, connect_with};
use rekopia_testkit::conformance::conforms;
use rekopia_testkit::fixture::{Fixture, copy_dir, testdata};
use rekopia_testkit::server::sshd::{self, PASSWORD, PASSWORD_USER, Sshd, Ways};
use rekopia_testkit::server::tunnel::{Break, Tunnel};
use rekopia_testkit::tree::Tree;
use serde_json::{Value, json};

fn repo() -> PathBuf {
    testdata().join("quickstart/repo").canonicalize().unwrap()
}

/// What must not be shown: passwords, and every line of a private key's text.
fn secrets(key: &str) -> Vec<String> {
    let lines = key.lines().filter(|line| !line.starts_with("-----") && line.len() > 16);
    lines.map(str::to_owned).chain([PASSWORD.to_owned(), "canary".to_owned()]).collect()
}

/// A server, and a place for files.
struct Place {
    sshd: Sshd,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self::with(Ways::default())
    }

    fn with(ways: Ways<'_>) -> Self {
        let place = Place { sshd: Sshd::with(ways), dir: tempfile::tempdir().unwrap() };
        place.write("known_hosts", &place.sshd.known_hosts("ed25519"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.sshd.key()).unwrap()
    }

    fn url(&self, known_hosts: &str) -> String {
        format!(
            "sftp://{}@127.0.0.1:{}{}?key={}&known-hosts={}",
            self.sshd.user,
            self.sshd.port,
            repo().display(),
            self.sshd.key().display(),
            self.path(known_hosts).display()
        )
    }

    /// Kopia's fields for the server, by the data of key and known hosts.
    fn fields(&self) -> Value {
        json!({"host": "127.0.0.1", "port": self.sshd.port, "username": self.sshd.user, "path": repo(),
            "keyData": self.key(), "knownHostsData": self.sshd.known_hosts("ed25519"), "externalSSH": false,
            "dirShards": null})
    }

    fn settings(&self, port: u16) -> Settings {
        let mut fields = self.fields();
        fields["port"] = port.into();
        fields["knownHostsData"] =
            format!("127.0.0.1 {}", self.sshd.known_hosts("ed25519").split_once(' ').unwrap().1).into();
        Settings::from_kopia("sftp", fields).unwrap()
    }

    /// A configuration as Kopia writes it.
    fn config(&self, fields: &Value) -> String {
        let storage = json!({"type": "sftp", "config": fields});
        self.write("repository.config", &json!({"storage": storage}).to_string())
    }

    fn command(&self, before: &[&str], target: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        let password = testdata().join("quickstart/password");
        command
            .env_clear()
            .env("HOME", "/proc/nonexistent")
            .env("PATH", std::env::var("PATH").unwrap())
            .env("REKOPIA_LOG", "trace")
            .args(["--no-progress", "--password-file", password.to_str().unwrap()])
            .args(before)
            .args(["restore", "paperless@media:/data", self.path(target).to_str().unwrap()])
            .stdin(Stdio::null());
        command
    }

    /// Restores into `target`; whatever happens, no secret is shown.
    fn restore(&self, before: &[&str], target: &str) -> Output {
        self.shown(self.command(before, target).output().unwrap())
    }

    fn shown(&self, output: Output) -> Output {
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            assert!(!secrets(&self.key()).iter().any(|secret| text.contains(secret)), "{text}");
        }
        output
    }

    #[track_caller]
    fn assert_restored(&self, output: &Output, target: &str) {
        assert_eq!(output.status.code(), Some(0), "{target}: {}", String::from_utf8_lossy(&output.stderr));
        let diff = expected().diff(&Tree::read(&self.path(target)), &[]);
        assert!(diff.is_empty(), "{target}: {diff}");
    }

    #[track_caller]
    fn restores(&self, before: &[&str], target: &str) {
        self.assert_restored(&self.restore(before, target), target);
    }

    /// Ends with this code, says these, and leaves no target; what it said.
    #[track_caller]
    fn refused(&self, before: &[&str], code: i32, parts: &[&str]) -> String {
        let output = self.restore(before, "refused");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!self.path("refused").exists());
        text
    }
}

fn expected() -> Tree {
    let fixture = Fixture::load("quickstart");
    fixture.expected(&fixture.snapshots[2]).unwrap()
}

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let place = Place::new();
    place.restores(&["--repo", &place.url("known_hosts")], "url");
    let fields = place.fields();
    place.restores(&["--config", &place.config(&fields)], "config");
    let token = json!({"version": "1", "storage": {"type": "sftp", "config": fields}});
    let token = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(token.to_string());
    let token = place.write("token-file", &token);
    place.restores(&["--token-file", &token], "token");

    // Another kind of key on both sides; the known hosts have this one only, the server would rather show the other.
    place.write("rsa_hosts", &place.sshd.known_hosts("rsa"));
    let url = place.url("rsa_hosts").replace("/key&", "/key_rsa&");
    place.restores(&["--repo", &url], "rsa");
    let missing = place.url("known_hosts").replace("/repo?", "/repo/no/such/folder?");
    place.refused(&["--repo", &missing], 10, &["no Kopia repository"]);
}

#[test]
fn does_what_storages_must_do() {
    let runtime = runtime();
    let place = Place::new();
    runtime.block_on(async {
        let blobs = connect(&place.settings(place.sshd.port)).await.unwrap();
        conforms(&blobs, &repo()).await;
        // One look each at the length and the text of `.shards`, and one at the blob.
        let blobs = connect(&place.settings(place.sshd.port)).await.unwrap();
        let read =
            async || blobs.read(&BlobId::parse("kopia.repository").unwrap(), None, Vec::new()).await.unwrap();
        let len = read().await.len() as u64;
        let usage = blobs.usage();
        assert_eq!((usage.requests, usage.retries), (3, 0));
        read().await;
        let again = blobs.usage();
        assert_eq!(again.requests, 4);
        let bytes = again.bytes - usage.bytes;
        assert!((len..len + 300).contains(&bytes), "{bytes} bytes for {len}");
    });
}

/// The key is shown first, then anything else is said; what to do is said in a line that can be used as it is.
#[test]
fn only_known_servers_are_trusted() {
    let place = Place::new();
    place.write("empty", "# nobody\n");
    let said =
        place.refused(&["--repo", &place.url("empty")], 15, &["server not trusted", "is not known", "empty"]);
    let line = said.split_once("add the line \"").unwrap().1.split_once('"').unwrap().0;
    place.write("added", line);
    place.restores(&["--repo", &place.url("added")], "known now");
    place.refused(&["--repo", &place.url("missing")], 15, &["is not known", "does not exist"]);

    sshd::generate("ed25519", &place.path("other"), "");
    let other = std::fs::read_to_string(place.path("other.pub")).unwrap();
    let before = place.sshd.log().matches("Accepted publickey").count();
    place.write("changed", &format!("\n[127.0.0.1]:{} {other}", place.sshd.port));
    place.refused(&["--repo", &place.url("changed")], 15, &["is not the one in line 2 of", "set up anew"]);
    assert_eq!(place.sshd.log().matches("Accepted publickey").count(), before, "somebody signed in");

    // As ssh-keygen hashes it; and by pattern.
    place.write("hashed", &place.sshd.known_hosts("ed25519"));
    let mut hash = Command::new("ssh-keygen");
    hash.args(["-q", "-H", "-f"]).arg(place.path("hashed")).stdout(Stdio::null()).stderr(Stdio::null());
    let hashed = hash.status().unwrap();
    assert!(hashed.success() && std::fs::read_to_string(place.path("hashed")).unwrap().starts_with("|1|"));
    place.restores(&["--repo", &place.url("hashed")], "by its hash");
    let mut fields = place.fields();
    fields["knownHostsData"] = place.sshd.known_hosts("ed25519").replace("127.0.0.1", "127.*").into();
    place.restores(&["--config", &place.config(&fields)], "pattern");
    fields["knownHostsData"] = "".into();
    let said =
        place.refused(&["--config", &place.config(&fields)], 15, &["/proc/nonexistent/.ssh/known_hosts"]);
    assert!(said.contains("server not trusted"), "{said}");
}

#[test]
fn what_is_wrong_with_keys_is_said() {
    let place = Place::new();
    let refused = |change: &dyn Fn(&mut Value), code, parts: &[&str]| {
        let mut fields = place.fields();
        change(&mut fields);
        place.refused(&["--config", &place.config(&fields)], code, parts);
    };
    sshd::generate("ed25519", &place.path("stranger"), "");
    sshd::generate("ed25519", &place.path("encrypted"), "canary-passphrase");
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    let (stranger, encrypted) = (read("stranger"), read("encrypted"));
    refused(
        &|f| f["keyData"] = stranger.clone().into(),
        15,
        &["access denied", "does not accept the key", "keyfile"],
    );
    refused(&|f| f["keyData"] = encrypted.clone().into(), 2, &["keyData", "passphrase"]);
    refused(&|f| f["keyData"] = "canary".into(), 2, &["keyData", "no private key"]);
    refused(
        &|f| {
            f["keyData"] = "".into();
            f["keyfile"] = "/no/such/key".into();
        },
        2,
        &["keyfile", "/no/such/key"],
    );
    refused(&|f| f["keyData"] = "".into(), 2, &["keyfile", "keyData", "password"]);
    refused(&|f| f["username"] = "".into(), 2, &["username"]);
    // A server without passwords says so.
    refused(
        &|f| {
            f["keyData"] = "".into();
            f["password"] = PASSWORD.into();
        },
        15,
        &["does not accept the password", "publickey"],
    );
}

/// A user with a password needs a machine that has one: root makes it up for the server alone.
#[test]
fn passwords_are_accepted_in_both_ways() {
    if !Sshd::can_have_passwords() {
        rekopia_testkit::must_run("SFTP with passwords", "only root can make them up");
        return;
    }
    for ways in [
        Ways { password: true, ..Ways::default() },
        Ways { questions: true, ..Ways::default() },
        // Both the key and the password.
        Ways { password: true, configuration: "AuthenticationMethods publickey,password", ..Ways::default() },
    ] {
        let place = Place::with(ways);
        let copy = place.path("repo");
        copy_dir(&repo(), &copy);
        readable(place.dir.path());
        let mut fields = place.fields();
        fields["username"] = PASSWORD_USER.into();
        fields["path"] = copy.to_str().into();
        if ways.configuration.is_empty() {
            fields["keyData"] = "".into();
        }
        let url = format!(
            "sftp://{PASSWORD_USER}@127.0.0.1:{}{}?known-hosts={}",
            place.sshd.port,
            copy.display(),
            place.path("known_hosts").display()
        );
        let by_environment =
            place.command(&["--repo", &url], "environment").env("KOPIA_SFTP_PASSWORD", PASSWORD).output();
        let by_environment = place.shown(by_environment.unwrap());
        if ways.configuration.is_empty() {
            place.assert_restored(&by_environment, "environment");
        } else {
            let text = String::from_utf8_lossy(&by_environment.stderr).into_owned();
            assert!(by_environment.status.code() == Some(15) && text.contains("publickey"), "{text}");
        }
        fields["password"] = PASSWORD.into();
        place.restores(&["--config", &place.config(&fields)], "config");
        fields["password"] = "canary-wrong".into();
        place.refused(
            &["--config", &place.config(&fields)],
            15,
            &["access denied", "does not accept the password"],
        );
    }
}

/// For the server's own user.
fn readable(dir: &Path) {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            readable(&path);
        } else {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        }
    }
}

#[test]
fn ssh_itself_connects_where_it_is_asked_to() {
    let place = Place::new();
    // What it is started with is left in files.
    let script = format!(
        "#!/bin/sh\necho $$ >>{trace}/pids\necho \"$@\" >{trace}/arguments\nenv >{trace}/environment\nexec ssh \"$@\"\n",
        trace = place.dir.path().display()
    );
    let traced = place.write("traced", &script);
    std::fs::set_permissions(&traced, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(place.sshd.key(), PermissionsExt::from_mode(0o600)).unwrap();
    let config = |known_hosts: &str| {
        let text = format!(
            "IdentityFile {}\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n\
             IdentitiesOnly yes\nIdentityAgent none\n",
            place.sshd.key().display(),
            place.path(known_hosts).display()
        );
        place.write("ssh_config", &text)
    };
    let mut fields = json!({"host": "127.0.0.1", "port": place.sshd.port, "username": place.sshd.user, "path": repo(),
        "externalSSH": true, "sshCommand": traced, "sshArguments": format!("-F {}", config("known_hosts"))});
    let output = place
        .command(&["--config", &place.config(&fields)], "external")
        .env("KOPIA_PASSWORD", "canary")
        .output();
    place.assert_restored(&place.shown(output.unwrap()), "external");
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    assert!(read("arguments").contains("BatchMode=yes") && !read("environment").contains("canary"));
    let is_running = || {
        read("pids").lines().any(|pid| {
            // One that nobody has waited for yet does nothing any more.
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        })
    };
    until("ssh ends", || !is_running());

    place.write("empty", "");
    config("empty");
    place.refused(
        &["--config", &place.config(&fields)],
        15,
        &["server not trusted", "Host key verification failed"],
    );
    config("known_hosts");
    fields["sshArguments"] = format!("-F {} -i /no/key -o IdentityFile=none", config("known_hosts")).into();
    std::fs::write(
        place.path("ssh_config"),
        read("ssh_config").replace(place.sshd.key().to_str().unwrap(), "none"),
    )
    .unwrap();
    place.refused(
        &["--config", &place.config(&fields)],
        15,
        &["access denied", "Permission denied (publickey)"],
    );
    fields["sshCommand"] = "/no/such/ssh".into();
    place.refused(&["--config", &place.config(&fields)], 15, &["sshCommand", "/no/such/ssh"]);
    fields["host"] = "-oProxyCommand=touch".into();
    place.refused(&["--config", &place.config(&fields)], 2, &["host"]);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// In place of 45 seconds.
const PATIENCE: Duration = Duration::from_secs(6);

async fn restore(settings: &Settings, target: &Path) -> Result<Report, Error> {
    let layers = LayerOptions { deadlines: Deadlines { patience: PATIENCE }, ..LayerOptions::default() };
    let blobs =
        connect_with(settings, &layers).await.map_err(|e| Error::from_storage(e, "cannot connect"))?;
    let password = Password::new(Fixture::load("quickstart").password.as_str());
    let repository = Repository::open(blobs, &password, &OpenOptions::default(), &Silent).await?;
    let reference = Reference::parse("paperless@media:/data")?;
    let from = repository.resolve(&reference, &Selection::default()).await?;
    let options = RestoreOptions { sync: SyncMode::None, threads: 2, ..RestoreOptions::default() };
    repository.restore(&from, target, &options, Arc::new(Silent)).await
}

/// Connections that break, stop or drip at any point are made again.
#[test]
fn a_connection_may_fail_at_any_byte() {
    let (runtime, place) = (runtime(), Place::new());
    runtime.block_on(async {
        let tunnel = Tunnel::start(place.sshd.port).await;
        let settings = place.settings(tunnel.port);
        let dir = tempfile::tempdir().unwrap();
        restore(&settings, &dir.path().join("clean")).await.unwrap();
        let (connections, bytes) = (tunnel.connections(), tunnel.bytes());
        assert!((1..=4).contains(&connections), "{connections}");
        // From the greeting over the signing in to the last answers.
        let mut at: Vec<u64> = vec![0, 10, 500, 1500, 2000, 2300, 2600, 3000, 3500];
        at.extend((1..=6).map(|sixth| bytes * sixth / 6));
        for (number, at) in at.into_iter().enumerate() {
            let fate = [Break::Cut(at), Break::Cut(at), Break::Stall(at), Break::Drip(at)][number % 4];
            let first = tunnel.connections();
            tunnel.break_connections(move |connection| (connection == first).then_some(fate));
            let target = dir.path().join(format!("{number}"));
            let report = restore(&settings, &target).await.unwrap_or_else(|e| panic!("{fate:?}: {e:?}"));
            assert!(report.is_complete(), "{fate:?}: {:?}", report.failures());
            assert!(expected().diff(&Tree::read(&target), &[]).is_empty(), "{fate:?}");
        }
        // A server may allow one connection only.
        let first = tunnel.connections();
        tunnel.break_connections(move |connection| (connection > first).then_some(Break::Cut(0)));
        let target = dir.path().join("alone");
        assert!(restore(&settings, &target).await.unwrap().is_complete());
        // One that never says anything is given up in time, whoever asks.
        for fate in [Break::Stall(0), Break::Stall(1500), Break::Cut(0), Break::Drip(1500)] {
            tunnel.break_connections(move |_| Some(fate));
            let began = Instant::now();
            let failed = restore(&settings, &dir.path().join("never")).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Storage, "{fate:?}: {failed:?}");
            assert!(began.elapsed() < PATIENCE * 4, "{fate:?}: {:?}", began.elapsed());
        }
    });
}

/// With the real deadlines: sessions that are ended are begun again, a server that is gone is not waited for longer than
/// it should be.
#[test]
fn a_server_may_be_killed_in_the_middle() {
    let runtime = runtime();
    let mut place = Place::new();
    let tunnel = runtime.block_on(Tunnel::start(place.sshd.port));
    let known_hosts =
        place.sshd.known_hosts("ed25519").replace(&place.sshd.port.to_string(), &tunnel.port.to_string());
    place.write("known_hosts", &known_hosts);
    let url = place.url("known_hosts").replace(&place.sshd.port.to_string(), &tunnel.port.to_string());
    // One request after the other, so that there always is one that waits.
    let before = ["--repo", url.as_str(), "--parallel", "1"];
    place.restores(&before, "clean");
    assert_eq!(tunnel.connections(), 1);
    let middle = tunnel.bytes() * 4 / 5;
    // Starts, and comes to a halt where most of the bytes have arrived.
    let halfway = |place: &Place, target: &str| {
        let (first, begin) = (tunnel.connections(), tunnel.bytes());
        tunnel.break_connections(move |connection| (connection == first).then_some(Break::Stall(middle)));
        let mut command = place.command(&before, target);
        command.env("REKOPIA_LOG", "error").stdout(Stdio::null()).stderr(Stdio::piped());
        let program = command.spawn().unwrap();
        until("it comes halfway", || tunnel.bytes() >= begin + middle);
        program
    };

    let program = halfway(&place, "reconnects");
    place.sshd.drop_everybody();
    place.assert_restored(&program.wait_with_output().unwrap(), "reconnects");

    let program = halfway(&place, "comes back");
    place.sshd.stop();
    std::thread::sleep(Duration::from_secs(2));
    place.sshd.start_again();
    place.assert_restored(&program.wait_with_output().unwrap(), "comes back");

    let program = halfway(&place, "gone");
    place.sshd.stop();
    let stopped = Instant::now();
    let output = place.shown(program.wait_with_output().unwrap());
    let text = String::from_utf8_lossy(&output.stderr);
    // What had arrived by then is restored, the rest is named.
    assert!(matches!(output.status.code(), Some(15 | 3)), "{text}");
    assert!(text.contains("sftp://") && text.contains("connection"), "{text}");
    assert!(stopped.elapsed() < Duration::from_secs(90), "{text}");
}

/// What `.shards` would have said is seen in the folders.
#[test]
fn a_lost_layout_is_found_again() {
    let place = Place::new();
    let copy = place.path("repo");
    copy_dir(&repo(), &copy);
    let url = place.url("known_hosts").replace(repo().to_str().unwrap(), copy.to_str().unwrap());
    std::fs::remove_file(copy.join(".shards")).unwrap();
    place.restores(&["--repo", &url], "lost");
    place.restores(&["--repo", &format!("{url}&dir-shards=2,2")], "misled");
    std::fs::write(copy.join(".shards"), "{").unwrap();
    place.restores(&["--repo", &url], "broken");
    // Names that lead elsewhere are followed, as in a directory; others are in nobody's way.
    std::fs::rename(copy.join("p"), place.path("packs")).unwrap();
    std::os::unix::fs::symlink(place.path("packs"), copy.join("p")).unwrap();
    std::os::unix::fs::symlink("nowhere", copy.join("q.f")).unwrap();
    std::fs::write(copy.join(OsStr::from_bytes(b"\xff\xfe.f")), "x").unwrap();
    place.restores(&["--repo", &url], "links");
}

fn until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
