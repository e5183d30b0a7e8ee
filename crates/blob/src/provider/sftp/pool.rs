//! Shares the work between several connections to one SFTP server: each is one process and one core on the other side.
//!
//! A further one is made when those that stand are busy, and one that is lost when it is next needed. Only of the first
//! one it matters why it cannot be made: a server may not allow more, and does not always notice at once that one is lost.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::external::External;
use super::session::Session;
use super::ssh::Ssh;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};

/// Some connections to one server.
pub(super) struct Pool {
    way: Way,
    deadlines: Deadlines,
    slots: [Slot; CONNECTIONS],
    /// The number of connections that the server allows, and when that was found out.
    usable: Mutex<(usize, Instant)>,
    received: Arc<AtomicU64>,
}

/// The way to the server.
pub(super) enum Way {
    Ssh(Box<Ssh>),
    External(External),
}

/// Connections at most: servers begin to turn connections away at ten (`MaxStartups` of OpenSSH).
const CONNECTIONS: usize = 4;
/// Requests on one connection before another one is made.
const BUSY: usize = 4;
/// The time after which a server that did not allow so many connections may do so.
const AGAIN: Duration = Duration::from_secs(60);

/// Room for a connection.
#[derive(Default)]
struct Slot {
    busy: AtomicUsize,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// The time when there was no connection, and why: a caller that waited for it meanwhile need not try again.
    failed: Option<(Instant, BlobError)>,
}

impl Pool {
    /// Makes a pool that connects to nothing yet.
    pub(super) fn new(way: Way, deadlines: Deadlines) -> Self {
        let slots = std::array::from_fn(|_| Slot::default());
        let usable = Mutex::new((CONNECTIONS, Instant::now()));
        Pool { way, deadlines, slots, usable, received: Arc::default() }
    }

    /// Returns a session that stands: the first that is not busy, or else the least busy one.
    pub(super) async fn session(&self) -> Result<Lease<'_>, BlobError> {
        let came = Instant::now();
        loop {
            let slots = &self.slots[..self.usable()];
            let busy = |at: &usize| slots[*at].busy.load(Ordering::Relaxed);
            let free = (0..slots.len()).find(|at| busy(at) < BUSY);
            let at = free.or_else(|| (0..slots.len()).min_by_key(busy)).unwrap_or_default();
            let turn = Turn::new(&slots[at].busy);
            let mut state = slots[at].state.lock().await;
            if let Some(session) = state.session.as_ref().filter(|s| s.is_open()) {
                return Ok(Lease { session: Arc::clone(session), _turn: turn });
            }
            state.session = None;
            let failed = state.failed.take().filter(|(when, _)| *when >= came);
            let connected = match failed {
                Some((when, why)) => Err((when, why)),
                None => self.connect().await.map_err(|e| (Instant::now(), e)),
            };
            match connected {
                Ok(session) => {
                    if at == 0 {
                        *self.noted() = (CONNECTIONS, Instant::now());
                    }
                    let session = Arc::new(session);
                    state.session = Some(Arc::clone(&session));
                    return Ok(Lease { session, _turn: turn });
                }
                Err((when, why)) => {
                    state.failed = Some((when, why.clone()));
                    if at == 0 {
                        return Err(why);
                    }
                    self.make_do(at, &why);
                }
            }
        }
    }

    /// Returns the bytes that came in over all connections.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn usable(&self) -> usize {
        let (usable, since) = *self.noted();
        if since.elapsed() < AGAIN { usable } else { CONNECTIONS }
    }

    fn noted(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.usable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes do with the connections before this one for a while: a server may allow fewer at once.
    fn make_do(&self, at: usize, why: &BlobError) {
        let mut noted = self.noted();
        if noted.0 <= at && noted.1.elapsed() < AGAIN {
            return;
        }
        *noted = (at, Instant::now());
        drop(noted);
        if why.kind() == BlobErrorKind::Untrusted {
            tracing::warn!("a further connection is not trusted, {at} have to do: {why}");
        } else {
            tracing::debug!("a further connection failed, {at} have to do: {why}");
        }
    }

    async fn connect(&self) -> Result<Session, BlobError> {
        let silence = self.deadlines.silence();
        let received = Arc::clone(&self.received);
        match &self.way {
            Way::Ssh(ssh) => {
                let (stream, connection) = ssh.connect().await?;
                Session::start(stream, connection, received, silence).await
            }
            Way::External(ssh) => {
                let (stream, program) = ssh.connect()?;
                Session::start(stream, program, received, silence).await
            }
        }
    }
}

/// The use of a session, for one request.
pub(super) struct Lease<'a> {
    session: Arc<Session>,
    _turn: Turn<'a>,
}

impl std::ops::Deref for Lease<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// A mark that a session is busy, until it is dropped.
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn new(busy: &'a AtomicUsize) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Turn(busy)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::settings::SftpSettings;

    fn pool(script: &str) -> Pool {
        let settings = SftpSettings {
            host: "nas".into(),
            ssh_command: "sh".into(),
            ssh_arguments: script.into(),
            ..SftpSettings::default()
        };
        Pool::new(Way::External(External::new(&settings).unwrap()), Deadlines::default())
    }

    /// A server that allows one connection, and turns others away while that one is being made.
    #[tokio::test]
    async fn one_connection_has_to_do_where_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut script = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
        let text = r#"
            cd "$(dirname "$0")" || exit
            if mkdir first 2>/dev/null; then
                while ! [ -e refused ]; do sleep 0.02; done
                sleep 0.5
                printf '\000\000\000\005\002\000\000\000\003'
                # The stream to us must stay open.
                exec cat 3>&1 >/dev/null
            fi
            mkdir -p refused
            echo 'me@nas: Permission denied (publickey).' >&2
            exit 255
        "#;
        script.write_all(text.as_bytes()).unwrap();
        let pool = pool(script.path().to_str().unwrap());
        let first = pool.session();
        let others = async {
            while !dir.path().join("first").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            futures::future::join_all((1..CONNECTIONS * BUSY).map(|_| pool.session())).await
        };
        let (first, others) = futures::future::join(first, others).await;
        assert!(dir.path().join("refused").exists());
        for lease in others.into_iter().chain([first]) {
            assert!(lease.is_ok_and(|lease| lease.is_open()));
        }
    }

    #[test]
    fn what_a_server_does_not_allow_it_is_asked_again_after_a_while() {
        let pool = pool("none");
        let refused = BlobError::new(BlobErrorKind::Denied, "refused");
        pool.make_do(2, &refused);
        pool.make_do(3, &refused);
        assert_eq!(pool.usable(), 2);
        pool.make_do(1, &refused);
        assert_eq!(pool.usable(), 1);
        pool.noted().1 -= AGAIN;
        assert_eq!(pool.usable(), CONNECTIONS);
    }
}
