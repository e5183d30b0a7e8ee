//! Connects to an SSH server: its key is checked first, then we sign in, then it starts its SFTP service.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key};
use russh::{ChannelMsg, ChannelStream, MethodKind, MethodSet, Preferred, cipher};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::hosts::KnownHosts;
use super::session::{Held, Transport};
use super::wire::plain;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::BoxFuture;
use crate::settings::{Secret, SftpSettings};

/// A server, and what it needs to let us in.
pub(super) struct Ssh {
    host: String,
    port: u16,
    username: String,
    key: Option<Arc<PrivateKey>>,
    password: Secret,
    hosts: Arc<KnownHosts>,
    deadlines: Deadlines,
}

/// Bytes that a server may send before we have taken note of them: as much as a fast connection from far away holds.
const WINDOW: u32 = 8 << 20;
/// Ciphers by preference: AES in hardware is several times faster than anything else.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
/// Rounds of questions that a server may have when it asks for the password by itself.
const MOST_ROUNDS: usize = 8;

impl Ssh {
    /// Reads the key and the known hosts; connects to nothing yet.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] that names the field.
    pub(super) fn new(settings: &SftpSettings, deadlines: Deadlines) -> Result<Self, BlobError> {
        if settings.username.is_empty() {
            return Err(wrong("field \"username\" is missing"));
        }
        let key = match (&settings.key_data, &settings.keyfile) {
            (data, _) if !data.is_empty() => Some(key(data.expose(), "field \"keyData\"")?),
            (_, file) if !file.is_empty() => {
                let text = std::fs::read_to_string(file).map(Zeroizing::new);
                let text = text.map_err(|e| wrong(format!("field \"keyfile\": {file}: {e}")))?;
                Some(key(&text, &format!("field \"keyfile\": {file}"))?)
            }
            _ => None,
        };
        if key.is_none() && settings.password.is_empty() {
            let what = "neither field \"keyfile\" nor \"keyData\" nor \"password\" is set: nothing to sign in with \
                        (externalSSH uses ssh's own keys and agent)";
            return Err(wrong(what));
        }
        Ok(Ssh {
            host: settings.host.clone(),
            port: if settings.port == 0 { 22 } else { settings.port },
            username: settings.username.clone(),
            key: key.map(Arc::new),
            password: settings.password.clone(),
            hosts: Arc::new(hosts(settings)?),
            deadlines,
        })
    }

    /// Connects; everything after the connection itself has to be done within the time of one silence.
    pub(super) async fn connect(&self) -> Result<(ChannelStream<Msg>, Transport), BlobError> {
        let dialled = timeout(self.deadlines.connect(), TcpStream::connect((self.host.as_str(), self.port)));
        let socket = match dialled.await {
            Ok(socket) => socket.map_err(|e| passing(format!("cannot connect: {e}")))?,
            Err(_) => return Err(passing("cannot connect: no answer in time".into())),
        };
        // Questions are small and many.
        let _ = socket.set_nodelay(true);
        let line = socket.as_fd().try_clone_to_owned().map(std::net::TcpStream::from);
        match timeout(self.deadlines.silence(), self.sign_in(socket)).await {
            Ok(signed_in) => signed_in,
            Err(_) => {
                // A task of russh's has the socket, and does not always notice that nobody wants it any more.
                let _ = line.and_then(|line| line.shutdown(std::net::Shutdown::Both));
                Err(passing("no SSH connection: no answer in time".into()))
            }
        }
    }

    async fn sign_in(&self, socket: TcpStream) -> Result<(ChannelStream<Msg>, Transport), BlobError> {
        let defaults = Preferred::default();
        let silence = self.deadlines.silence();
        let config = client::Config {
            window_size: WINDOW,
            // A connection that nobody uses stands as long as the server answers these.
            keepalive_interval: Some(silence),
            inactivity_timeout: Some(silence * 4),
            preferred: Preferred {
                key: self.hosts.prefer(&self.host, self.port, &defaults.key).into(),
                cipher: CIPHERS.into(),
                ..defaults
            },
            ..client::Config::default()
        };
        let visitor = Visitor { host: self.host.clone(), port: self.port, hosts: Arc::clone(&self.hosts) };
        let connected = client::connect_stream(Arc::new(config), socket, visitor);
        let mut connection = connected.await.map_err(|e| e.explained("no SSH connection"))?;
        self.prove(&mut connection).await?;
        let no_service = |e: russh::Error| Failed::from(e).explained("no SFTP service");
        let mut channel = connection.channel_open_session().await.map_err(no_service)?;
        channel.request_subsystem(true, "sftp").await.map_err(no_service)?;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::WindowAdjusted { .. }) => {}
                Some(ChannelMsg::Failure) => {
                    let what = "no SFTP service: the server does not offer one to this user";
                    return Err(BlobError::new(BlobErrorKind::Denied, what));
                }
                _ => return Err(passing("no SFTP service: the connection broke".into())),
            }
        }
        Ok((channel.into_stream(), Box::new(Connection(connection))))
    }

    /// Signs in: with the key first, then the password; a server may want both.
    async fn prove(&self, connection: &mut Handle<Visitor>) -> Result<(), BlobError> {
        let broke = |e: russh::Error| Failed::from(e).explained("cannot sign in");
        let mut refused = Vec::new();
        let mut left = None;
        if let Some(key) = &self.key {
            let hash = match key.algorithm() {
                russh::keys::Algorithm::Rsa { .. } => {
                    connection.best_supported_rsa_hash().await.map_err(broke)?.flatten()
                }
                _ => None,
            };
            let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
            match connection.authenticate_publickey(&self.username, key).await.map_err(broke)? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, partial_success } => {
                    left = Some(remaining_methods);
                    refused.extend((!partial_success).then_some("the key"));
                }
            }
        }
        if !self.password.is_empty() {
            let password = self.password.expose();
            match connection.authenticate_password(&self.username, password).await.map_err(broke)? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, .. } => left = Some(remaining_methods),
            }
            if left.as_ref().is_some_and(|left| left.contains(&MethodKind::KeyboardInteractive))
                && self.answer_questions(connection).await.map_err(broke)?
            {
                return Ok(());
            }
            refused.push("the password");
        }
        let left = left.unwrap_or_else(MethodSet::empty);
        // A connection that breaks here looks like a refusal at first.
        if left.is_empty() && timeout(Duration::from_millis(200), connection).await.is_ok() {
            return Err(passing("cannot sign in: the connection broke".into()));
        }
        let ways: Vec<&str> = left.iter().map(Into::into).collect();
        let refused = if refused.is_empty() { "a key alone".to_owned() } else { refused.join(" and ") };
        let what = format!(
            "the server does not accept {refused} of user {:?}; it would go on with: {}; check username, keyfile, keyData \
             and password",
            self.username,
            if ways.is_empty() { "nothing".to_owned() } else { ways.join(", ") }
        );
        Err(BlobError::new(BlobErrorKind::Denied, what))
    }

    /// Answers a server that asks for the password in words of its own: the password answers the question whose answer
    /// is not to be shown.
    async fn answer_questions(&self, connection: &mut Handle<Visitor>) -> Result<bool, russh::Error> {
        let mut reply = connection.authenticate_keyboard_interactive_start(&self.username, None).await?;
        for _ in 0..MOST_ROUNDS {
            let prompts = match reply {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let answer = |echo| if echo { String::new() } else { self.password.expose().to_owned() };
            let answers = prompts.iter().map(|prompt| answer(prompt.echo)).collect();
            reply = connection.authenticate_keyboard_interactive_respond(answers).await?;
        }
        Ok(false)
    }
}

/// Holds the connection as long as its stream is used.
struct Connection(#[expect(dead_code, reason = "it ends when it is dropped")] Handle<Visitor>);

impl Held for Connection {
    fn explained(&self, e: BlobError, _greeted: bool) -> BoxFuture<'_, BlobError> {
        std::future::ready(e).boxed()
    }
}

/// Our side of a connection.
struct Visitor {
    host: String,
    port: u16,
    hosts: Arc<KnownHosts>,
}

impl client::Handler for Visitor {
    type Error = Failed;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Failed> {
        self.hosts.check(&self.host, self.port, &shown.public_key()).map_err(Failed::Untrusted)?;
        Ok(true)
    }
}

/// The reason why there is no connection.
#[derive(Debug)]
enum Failed {
    Untrusted(BlobError),
    Ssh(russh::Error),
}

impl From<russh::Error> for Failed {
    fn from(e: russh::Error) -> Self {
        Failed::Ssh(e)
    }
}

impl Failed {
    fn explained(self, doing: &str) -> BlobError {
        let final_word =
            |what: String| BlobError::new(BlobErrorKind::Unavailable, format!("{doing}: {what}"));
        match self {
            Failed::Untrusted(e) => e,
            Failed::Ssh(russh::Error::NoCommonAlgo { kind, theirs, .. }) => {
                let theirs = plain(theirs.join(", ").as_bytes());
                final_word(format!("nothing in common ({kind:?}); the server offers {theirs}"))
            }
            Failed::Ssh(russh::Error::Version) => final_word("the server does not speak SSH 2".into()),
            Failed::Ssh(russh::Error::ChannelOpenFailure(why)) => {
                passing(format!("{doing}: the server does not open a channel: {why:?}"))
            }
            Failed::Ssh(e) => {
                passing(format!("{doing}: the connection broke: {}", plain(e.to_string().as_bytes())))
            }
        }
    }
}

/// Returns the private key that a text holds; it is never shown.
fn key(text: &str, field: &str) -> Result<PrivateKey, BlobError> {
    decode_secret_key(text.trim(), None).map_err(|e| {
        let why = match e {
            russh::keys::Error::KeyIsEncrypted => {
                "the key is encrypted with a passphrase; give one that is not, or let ssh and its agent connect \
                 (externalSSH)"
            }
            _ => "this is no private key that can be read (OpenSSH, PKCS#1, PKCS#8 and SEC1 can)",
        };
        wrong(format!("{field}: {why}"))
    })
}

fn hosts(settings: &SftpSettings) -> Result<KnownHosts, BlobError> {
    if !settings.known_hosts_data.is_empty() {
        return Ok(KnownHosts::parse(&settings.known_hosts_data, "field \"knownHostsData\"".into()));
    }
    let file = &settings.known_hosts_file;
    if file.is_empty() {
        return Ok(KnownHosts::parse(
            "",
            "field \"knownHostsData\" or the file of \"knownHostsFile\"".into(),
        ));
    }
    match std::fs::read(file) {
        Ok(text) => Ok(KnownHosts::parse(&String::from_utf8_lossy(&text), file.clone())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Ok(KnownHosts::parse("", format!("{file}, which does not exist")))
        }
        Err(e) => Err(wrong(format!("field \"knownHostsFile\": {file}: {e}"))),
    }
}

fn wrong(what: impl Into<String>) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what)
}

fn passing(what: String) -> BlobError {
    BlobError::new(BlobErrorKind::Unavailable, what).transient()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that never agrees on keys, be it silent or talkative: nothing of the connection is left.
    #[tokio::test]
    async fn who_is_given_up_is_hung_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = SftpSettings {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            username: "me".into(),
            password: Secret::new("canary"),
            ..SftpSettings::default()
        };
        let ssh = Ssh::new(&settings, Deadlines { patience: Duration::from_millis(900) }).unwrap();
        // SSH_MSG_IGNORE
        let ignore: &[u8] = &[0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for is_talkative in [false, true] {
            let server = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.write_all(b"SSH-2.0-odd\r\n").await.unwrap();
                let (mut from, mut to) = socket.split();
                let talking = async {
                    while is_talkative && to.write_all(ignore).await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                let mut said = Vec::new();
                let listening = timeout(Duration::from_secs(60), from.read_to_end(&mut said));
                futures::future::join(talking, listening).await.1.is_ok()
            };
            let client = async {
                if is_talkative {
                    assert!(ssh.connect().await.err().unwrap().is_transient());
                } else {
                    // The caller who wanted the connection leaves.
                    assert!(timeout(Duration::from_millis(100), ssh.connect()).await.is_err());
                }
            };
            assert!(futures::future::join(server, client).await.0, "talkative: {is_talkative}");
        }
    }
}
