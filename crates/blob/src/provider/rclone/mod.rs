//! Reads a repository in a remote of the user's own `rclone`, which is started for it and serves WebDAV to us alone
//! (§1.5).
//!
//! It listens on a free port of the loopback address, for a random name and password that only its environment holds,
//! and for reading only. It ends with the reader. When our process is killed, nobody listens to what it says any more;
//! it says something every few seconds, and the signal for that (SIGPIPE) ends it.

mod said;

use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rekopia_format::BlobId;
use said::{Said, listen, shown};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::webdav::WebdavBlobs;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};
use crate::settings::{RcloneSettings, Secret, WebdavSettings};

/// Reads blobs through a running `rclone`.
pub struct RcloneBlobs {
    blobs: WebdavBlobs,
    rclone: Rclone,
    settings: RcloneSettings,
    place: String,
}

/// The running program; killed when dropped.
struct Rclone {
    child: Mutex<Child>,
    said: Said,
}

/// The time until rclone serves, when the settings do not say.
const STARTUP: Duration = Duration::from_secs(15);
/// The name by which rclone knows the remote: the settings' own may hold secrets, which others would see among the
/// arguments of a process.
const REMOTE: &str = "rekopia:";
/// Arguments that suit reading; the settings' arguments may say otherwise. A folder's list is believed for a short time
/// only: after a repository has changed beside us its indexes are read again.
const SUITABLE: &[&str] =
    &["--buffer-size", "0", "--no-checksum", "--dir-cache-time", "30s", "--poll-interval", "0"];
/// Arguments that have to be so. The statistics are the words that end it when nobody listens.
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
/// Variables that would change how rclone serves or what it says.
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

    /// Refuses a folder that is not there: serving WebDAV, rclone shows it as an empty one; asked for a list, it says
    /// so.
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

/// The code with which rclone ends when a folder is not there.
const NO_FOLDER: i32 = 3;

/// Makes a command of rclone with the settings' own arguments, variables and configuration, which knows the remote as
/// [`REMOTE`].
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
    /// Starts the program; returns it and where it serves as soon as it does.
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
        let said = Said::new(settings, password);
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

    /// Adds what rclone says about an error.
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
        // The program may have ended by itself; then there is only its status to fetch.
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

    fn profile(&self) -> StorageProfile {
        self.blobs.profile()
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
}

fn random() -> Result<String, BlobError> {
    let mut bytes = [0_u8; 24];
    let none = |_| BlobError::new(BlobErrorKind::Unavailable, "the system gives no random bytes");
    aws_lc_rs::rand::fill(&mut bytes).map_err(none)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Makes a file without a name: nothing is left on a disk, however we end.
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
