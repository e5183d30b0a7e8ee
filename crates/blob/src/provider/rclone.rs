//! A repository in a remote of the user's own `rclone`, which is started for it and serves WebDAV to us alone (§1.5).
//!
//! It listens on a free port of the loopback address, for a random name and password that only its environment holds,
//! and for reading only. It ends with the reader. When our process is killed, nobody listens to what it says any more;
//! it says something every few seconds, and the signal for that (SIGPIPE) ends it.

use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rekopia_format::BlobId;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::webdav::WebdavBlobs;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageTraits, Usage};
use crate::settings::{RcloneSettings, Secret, WebdavSettings};

/// Reads blobs through a running `rclone`.
pub struct RcloneBlobs {
    blobs: WebdavBlobs,
    rclone: Rclone,
    settings: RcloneSettings,
    place: String,
}

/// The program; killed when dropped.
struct Rclone {
    child: Mutex<Child>,
    said: Said,
}

/// Until it serves, when the settings do not say.
const STARTUP: Duration = Duration::from_secs(15);
/// The name by which rclone knows the remote: the settings' own may hold secrets, which others would see among the
/// arguments of a process.
const REMOTE: &str = "rekopia:";
/// What suits reading; the settings' arguments may say otherwise. A folder's list is believed for a short time only:
/// after a repository has changed beside us its indexes are read again.
const SUITABLE: &[&str] =
    &["--buffer-size", "0", "--no-checksum", "--dir-cache-time", "30s", "--poll-interval", "0"];
/// What has to be so. The statistics are the words that end it when nobody listens.
const NECESSARY: &[&str] = &[
    "--addr",
    "127.0.0.1:0",
    "--read-only",
    "--stats",
    "5s",
    "--stats-log-level",
    "NOTICE",
    "--stats-one-line",
];
/// Variables that would change how it serves or what it says.
const UNSUITABLE: &[&str] = &[
    "RCLONE_AUTH_PROXY",
    "RCLONE_BASEURL",
    "RCLONE_CERT",
    "RCLONE_CLIENT_CA",
    "RCLONE_HTPASSWD",
    "RCLONE_KEY",
    "RCLONE_LOG_FILE",
    "RCLONE_LOG_LEVEL",
    "RCLONE_QUIET",
    "RCLONE_USE_JSON_LOG",
];
/// Lines of what it said that are kept.
const KEPT: usize = 10;

impl RcloneBlobs {
    /// Starts rclone and waits until it serves. `in_flight` bounds the folders that are listed at once; `None`: what
    /// suits a server that is one machine.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] when it cannot be started at all, [`BlobErrorKind::Unavailable`] with its own words
    /// when it ends or does not serve in time.
    pub async fn open(
        settings: &RcloneSettings,
        deadlines: Deadlines,
        in_flight: Option<usize>,
    ) -> Result<Self, BlobError> {
        let place = format!("rclone:{}", shown(&settings.remote_path));
        let username = random()?;
        let password = Secret::new(random()?);
        let (rclone, address) = Rclone::start(settings, &username, &password, &place)?;
        let patience = settings.startup_timeout.unwrap_or(STARTUP);
        let url = match timeout(patience, address).await {
            Ok(Ok(url)) => url,
            ended => {
                let why = if ended.is_ok() { "it ended" } else { "it did not start in time" };
                let what = format!("{place}: {why}: {}", rclone.said.text());
                return Err(BlobError::new(BlobErrorKind::Unavailable, what));
            }
        };
        let dir_shards = settings.dir_shards.clone();
        let dav = WebdavSettings { url, username, password, dir_shards, ..WebdavSettings::default() };
        match WebdavBlobs::open(&dav, deadlines, in_flight) {
            Ok(blobs) => Ok(RcloneBlobs { blobs, rclone, settings: settings.clone(), place }),
            Err(e) => Err(rclone.explained(e, &place)),
        }
    }

    fn explained(&self, e: BlobError) -> BlobError {
        self.rclone.explained(e, &self.place)
    }

    /// Serving WebDAV, rclone shows a folder that is not there as an empty one; asked for a list, it says so.
    ///
    /// # Errors
    /// [`BlobErrorKind::NoPlace`] when it is not there, [`BlobErrorKind::Unavailable`] when rclone does not tell.
    async fn check_place(&self) -> Result<(), BlobError> {
        let mut command =
            command(&self.settings, &["lsf", REMOTE, "--max-depth", "1", "--retries", "1"], &self.place)?;
        command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let asked = tokio::task::spawn_blocking(move || command.output()).await;
        let failed =
            |what: String| BlobError::new(BlobErrorKind::Unavailable, format!("{}: {what}", self.place));
        let output = asked.map_err(|_| failed("asking rclone stopped".into()))?;
        let output = output.map_err(|e| failed("cannot start rclone".into()).because(e))?;
        if output.status.success() {
            return Ok(());
        }
        if output.status.code() == Some(NO_FOLDER) {
            let what = format!("{}: there is no such folder", self.place);
            return Err(BlobError::new(BlobErrorKind::NoPlace, what));
        }
        let said = &self.rclone.said;
        String::from_utf8_lossy(&output.stderr).lines().for_each(|line| said.take_note(line.trim()));
        let what = format!("rclone does not say whether it is there ({}): {}", output.status, said.text());
        Err(failed(what))
    }
}

/// With what rclone ends when a folder is not there.
const NO_FOLDER: i32 = 3;

/// A run of rclone with the settings' own arguments, variables and configuration, which knows the remote as [`REMOTE`].
fn command(settings: &RcloneSettings, what: &[&str], place: &str) -> Result<Command, BlobError> {
    let wrong = |what: String| BlobError::new(BlobErrorKind::Settings, format!("{place}: {what}"));
    let mut command = Command::new(program(settings));
    command.args(what).args(settings.rclone_args.as_deref().unwrap_or_default());
    for name in UNSUITABLE {
        command.env_remove(name);
    }
    for entry in settings.rclone_env.iter().flatten() {
        let no_name = || wrong("an entry of field \"rcloneEnv\" is not NAME=value".to_owned());
        let (name, value) = entry.split_once('=').ok_or_else(no_name)?;
        command.env(name, value);
    }
    command.stdin(Stdio::null());
    if !settings.embedded_config.is_empty() {
        let config = in_memory(settings.embedded_config.expose());
        let config =
            config.map_err(|e| wrong("field \"embeddedConfig\" cannot be handed over".into()).because(e))?;
        command.stdin(config).args(["--config", "/proc/self/fd/0"]);
    }
    command
        .env("RCLONE_CONFIG_REKOPIA_TYPE", "alias")
        .env("RCLONE_CONFIG_REKOPIA_REMOTE", &settings.remote_path);
    Ok(command)
}

fn program(settings: &RcloneSettings) -> &str {
    if settings.rclone_exe.is_empty() { "rclone" } else { &settings.rclone_exe }
}

impl Rclone {
    /// The program, and where it serves as soon as it does.
    fn start(
        settings: &RcloneSettings,
        username: &str,
        password: &Secret,
        place: &str,
    ) -> Result<(Self, oneshot::Receiver<String>), BlobError> {
        let wrong = |what: String| BlobError::new(BlobErrorKind::Settings, format!("{place}: {what}"));
        let mut command = command(settings, &[&["serve", "webdav", REMOTE], SUITABLE].concat(), place)?;
        command.args(NECESSARY).env("RCLONE_USER", username).env("RCLONE_PASS", password.expose());
        // A group of its own: Ctrl-C asks us to come to an end, for which it is needed.
        command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().map_err(|e| wrong(format!("cannot start {:?}", program(settings))).because(e))?;
        let said = Said { lines: Arc::default(), secrets: Arc::new(secrets(settings, password)) };
        let (serves, address) = oneshot::channel();
        if let Some(stderr) = child.stderr.take() {
            let said = said.clone();
            let listening = std::thread::Builder::new().name("rclone".into());
            let listening = listening.spawn(move || listen(stderr, &said, serves));
            if let Err(e) = listening {
                let _ = child.kill();
                let _ = child.wait();
                return Err(wrong("cannot start a thread that listens to rclone".into()).because(e));
            }
        }
        Ok((Rclone { child: Mutex::new(child), said }, address))
    }

    /// The same error with what rclone says about it.
    fn explained(&self, e: BlobError, place: &str) -> BlobError {
        if !matches!(e.kind(), BlobErrorKind::Unavailable | BlobErrorKind::Denied) {
            return e;
        }
        let said = self.said.text();
        match self.ended() {
            Some(status) => BlobError::new(
                BlobErrorKind::Unavailable,
                format!("{place}: rclone ended ({status}): {said}"),
            ),
            None if said.is_empty() => e,
            None => e.because(format!("rclone says: {said}")),
        }
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }
}

impl Drop for Rclone {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself; then there is only its status to fetch.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl BlobReader for RcloneBlobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move { self.blobs.read(id, range, into).await.map_err(|e| self.explained(e)) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move { self.blobs.list(prefix).await.map_err(|e| self.explained(e)) })
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move { self.blobs.stat(id).await.map_err(|e| self.explained(e)) })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { self.blobs.any(prefix).await.map_err(|e| self.explained(e)) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(async move {
            let found = self.blobs.look_elsewhere().await.map_err(|e| self.explained(e))?;
            if !found {
                self.check_place().await?;
            }
            Ok(found)
        })
    }

    fn distrust(&self, id: &BlobId) {
        self.blobs.distrust(id);
    }

    fn usage(&self) -> Usage {
        self.blobs.usage()
    }

    fn traits(&self) -> StorageTraits {
        self.blobs.traits()
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
}

/// The last lines of what it said about errors, without secrets.
#[derive(Clone)]
struct Said {
    lines: Arc<Mutex<Vec<String>>>,
    secrets: Arc<Vec<Secret>>,
}

impl Said {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_note(&self, line: &str) {
        // Everything else says how it is going.
        if !["ERROR", "CRITICAL", "Failed", "Error", "unknown", "FATAL"]
            .iter()
            .any(|word| line.contains(word))
        {
            return;
        }
        let mut line: String = line.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in self.secrets.iter() {
            line = line.replace(secret.expose(), "[secret]");
        }
        let mut lines = self.lines();
        if lines.len() >= KEPT {
            lines.remove(0);
        }
        lines.push(line);
    }

    fn text(&self) -> String {
        self.lines().join("; ")
    }
}

/// Until the end, so that it never waits for us to listen.
fn listen(stderr: ChildStderr, said: &Said, serves: oneshot::Sender<String>) {
    let mut serves = Some(serves);
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line);
        if let Some(url) = address(&text)
            && let Some(serves) = serves.take()
        {
            // Nobody waits any more: then it is about to be killed.
            let _ = serves.send(url);
        }
        said.take_note(text.trim());
        line.clear();
    }
}

/// `… WebDav Server started on [http://127.0.0.1:43567/]` → the URL.
fn address(line: &str) -> Option<String> {
    const START: &str = "http://127.0.0.1:";
    let lower = line.to_ascii_lowercase();
    let at = lower.find("webdav server started on")?;
    let port = &line[at + line[at..].find(START)? + START.len()..];
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty()).then(|| format!("{START}{port}/"))
}

/// Everything in the settings that its words must not repeat.
fn secrets(settings: &RcloneSettings, password: &Secret) -> Vec<Secret> {
    let value = |line: &str| {
        line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
    };
    let config = settings.embedded_config.expose().lines().filter_map(value);
    let config = config.filter(|(name, _)| name != "type").map(|(_, value)| value);
    let environment = settings.rclone_env.iter().flatten().filter_map(|e| value(e)).map(|(_, value)| value);
    let arguments = settings.rclone_args.iter().flatten().filter_map(|a| value(a)).map(|(_, value)| value);
    let remote = settings.remote_path.split([',', ':']).filter_map(value).map(|(_, value)| value);
    let all = config.chain(environment).chain(arguments).chain(remote);
    // Shorter ones would hide words rather than secrets.
    let long = all.filter(|value| value.len() >= 4).map(Secret::new);
    long.chain([password.clone()]).collect()
}

/// A remote may hold its whole configuration, secrets included: `name,option=value:path`.
fn shown(remote: &str) -> String {
    remote.split_once(',').map_or_else(|| remote.to_owned(), |(name, _)| format!("{name},…"))
}

fn random() -> Result<String, BlobError> {
    let mut bytes = [0_u8; 24];
    let none = |_| BlobError::new(BlobErrorKind::Unavailable, "the system gives no random bytes");
    aws_lc_rs::rand::fill(&mut bytes).map_err(none)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// A file without a name: nothing is left on a disk, however we end.
#[cfg(target_os = "linux")]
fn in_memory(text: &str) -> std::io::Result<Stdio> {
    use std::io::Write;
    let mut file =
        std::fs::File::from(rustix::fs::memfd_create("rclone.conf", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    Ok(Stdio::from(file))
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_: &str) -> std::io::Result<Stdio> {
    Err(std::io::Error::other("only Linux has files without names; put it into rclone's own configuration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_every_dialect() {
        for line in [
            "2026/11/25 22:13:20 NOTICE: Local file system at /x: WebDav Server started on http://127.0.0.1:33977/",
            "2026/11/25 NOTICE: alias: WebDav Server started on [http://127.0.0.1:33977/]\n",
        ] {
            assert_eq!(address(line).as_deref(), Some("http://127.0.0.1:33977/"));
        }
        assert_eq!(address("NOTICE: Serving remote control on http://127.0.0.1:5572/"), None);
    }

    #[test]
    fn secrets_are_not_repeated() {
        let settings = RcloneSettings {
            remote_path: ":s3,secret_access_key=canary-remote:bucket".into(),
            embedded_config: Secret::new("[x]\ntype = s3\nsecret_access_key = canary-config\n"),
            rclone_env: Some(vec!["AWS_SECRET=canary-env".into()]),
            rclone_args: Some(vec!["--sftp-pass=canary-args".into()]),
            ..RcloneSettings::default()
        };
        let said =
            Said { lines: Arc::default(), secrets: Arc::new(secrets(&settings, &Secret::new("canary-own"))) };
        said.take_note("ERROR : canary-remote canary-config canary-env canary-args canary-own of s3");
        said.take_note("NOTICE: all is well");
        assert!(!said.text().contains("canary") && said.text().ends_with("of s3"), "{}", said.text());
        assert!(!shown(&settings.remote_path).contains("canary"));
    }
}
