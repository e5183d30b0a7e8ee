//! Speaks SFTP through the user's own `ssh`, where Kopia's settings ask for it: it has the keys, agents, jumps and
//! known hosts of its own configuration, and its input and output carry SFTP.
//!
//! It is not asked to talk to anybody (`BatchMode`): what it cannot do by itself, it says. It ends with its stream, and
//! when we are killed, too, because its input does.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::session::{Held, Transport};
use super::wire::plain;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::BoxFuture;
use crate::settings::SftpSettings;

/// The command that starts `ssh`.
pub(super) struct External {
    program: String,
    arguments: Vec<String>,
}

/// The output and input of the program.
pub(super) type Stream = Join<ChildStdout, ChildStdin>;

/// Variables that ssh may know and must not pass on.
const SECRETS: &[&str] = &["KOPIA_PASSWORD", "KOPIA_SFTP_PASSWORD"];
/// The length above which lines are taken in in parts.
const LONGEST_LINE: u64 = 4096;

impl External {
    /// Puts the command together; starts nothing yet.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for a host that ssh would take for an option.
    pub(super) fn new(settings: &SftpSettings) -> Result<Self, BlobError> {
        if settings.host.starts_with('-') {
            return Err(BlobError::new(BlobErrorKind::Settings, "field \"host\" begins with \"-\""));
        }
        // The first word on a matter counts: the user's own come first.
        let mut arguments: Vec<String> =
            settings.ssh_arguments.split_whitespace().map(str::to_owned).collect();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["-o", "BatchMode=yes"]);
        if settings.port != 0 {
            add(&["-p", &settings.port.to_string()]);
        }
        if !settings.username.is_empty() {
            add(&["-l", &settings.username]);
        }
        add(&["-s", "--", &settings.host, "sftp"]);
        let program = if settings.ssh_command.is_empty() { "ssh" } else { &settings.ssh_command };
        Ok(External { program: program.to_owned(), arguments })
    }

    /// Starts the program; whether it gets through shows in the stream.
    pub(super) fn connect(&self) -> Result<(Stream, Transport), BlobError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).kill_on_drop(true);
        for name in SECRETS {
            command.env_remove(name);
        }
        // A group of its own: Ctrl-C asks us to come to an end, for which it is needed.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let cannot = |e: std::io::Error| {
            let what = format!("cannot start {:?} (field \"sshCommand\")", self.program);
            BlobError::new(BlobErrorKind::Settings, what).because(e)
        };
        let mut child = command.spawn().map_err(cannot)?;
        let (Some(input), Some(output), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(cannot(std::io::ErrorKind::BrokenPipe.into()));
        };
        let said = Arc::new(Mutex::default());
        let listening = tokio::spawn(listen(stderr, Arc::clone(&said)));
        let running = Running { _child: child, said, listening };
        Ok((tokio::io::join(output, input), Box::new(running)))
    }
}

/// The running program; killed when dropped.
struct Running {
    _child: Child,
    /// The last line of what the program said.
    said: Arc<Mutex<String>>,
    listening: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Held for Running {
    fn explained(&self, e: BlobError, greeted: bool) -> BoxFuture<'_, BlobError> {
        Box::pin(async move {
            // The last words come on another way than the end of the output.
            for _ in 0..20 {
                if self.listening.is_finished() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if said.is_empty() { e } else { judged(e, &said, greeted) }
        })
    }
}

/// Makes of what ssh says an error that is worth another try or not: its own closing words count, and only until it has
/// got through. Other programs speak through it, too, on this side and on the other.
fn judged(e: BlobError, said: &str, greeted: bool) -> BlobError {
    let what = format!("{}; ssh says: {said}", e.what());
    let is_denied =
        said.contains(": Permission denied (") || said.contains("Too many authentication failures");
    match said {
        _ if greeted => BlobError::new(BlobErrorKind::Unavailable, what).transient(),
        _ if said.starts_with("Host key verification failed") => {
            BlobError::new(BlobErrorKind::Untrusted, what)
        }
        _ if is_denied => BlobError::new(BlobErrorKind::Denied, what),
        _ => BlobError::new(BlobErrorKind::Unavailable, what).transient(),
    }
}

/// Listens until the end, so that the program never waits for us to listen.
async fn listen(stderr: impl AsyncRead + Unpin, said: Arc<Mutex<String>>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        let text = plain(&line);
        if !text.is_empty() {
            *said.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn ssh_gets_no_host_for_an_option() {
        let settings = SftpSettings {
            host: "nas".into(),
            port: 2222,
            username: "me".into(),
            ssh_arguments: "-F  /my/config -v".into(),
            ..SftpSettings::default()
        };
        let external = External::new(&settings).unwrap();
        let expected = "ssh -F /my/config -v -o BatchMode=yes -p 2222 -l me -s -- nas sftp";
        assert_eq!(format!("{} {}", external.program, external.arguments.join(" ")), expected);
        assert!(External::new(&SftpSettings { host: "-oProxyCommand=x".into(), ..settings }).is_err());
    }

    #[test]
    fn what_ssh_says_is_judged() {
        let lost = || BlobError::new(BlobErrorKind::Unavailable, "it ended").transient();
        let judge = |said: &str| judged(lost(), said, false);
        assert_eq!(judge("Host key verification failed.").kind(), BlobErrorKind::Untrusted);
        assert_eq!(judge("me@nas: Permission denied (publickey).").kind(), BlobErrorKind::Denied);
        let refused = judge("ssh: connect to host nas port 22: Connection refused");
        assert!(refused.is_transient() && refused.to_string().contains("Connection refused"));
        // Not about the server.
        assert!(judge("Could not create directory '/.ssh' (Permission denied).").is_transient());
        let after = judged(lost(), "me@nas: Permission denied (publickey).", true);
        assert!(after.is_transient() && after.to_string().contains("publickey"));
    }

    /// What never comes to the end of a line is not kept.
    #[tokio::test]
    async fn ssh_may_say_anything() {
        let (mut theirs, ours) = tokio::io::duplex(64);
        let said = Arc::new(Mutex::default());
        let listening = tokio::spawn(listen(ours, Arc::clone(&said)));
        // All but the last 64 bytes of it have been read after that.
        theirs.write_all(&[b'x'; 10_000]).await.unwrap();
        assert!(said.lock().unwrap().starts_with("xxx"));
        drop(theirs);
        listening.await.unwrap();
    }
}
