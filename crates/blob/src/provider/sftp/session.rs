//! Asks and answers in an SFTP session, many questions at once over one stream of bytes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::stream::{CLOSING, PIECE, Shared, ending, packet, read, write};
use super::wire::{self as wire, Answer, Ask, Attributes, Named};
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::BoxFuture;

/// A session; it ends when it is dropped.
pub(super) struct Session {
    out: mpsc::UnboundedSender<Vec<u8>>,
    shared: Arc<Shared>,
    /// The longest read that is answered in full.
    piece: u32,
    silence: Duration,
    tasks: [JoinHandle<()>; 2],
    /// The connection or program that holds the stream.
    transport: Transport,
}

/// A thing that a stream comes from; it ends the stream when it is dropped.
pub(super) trait Held: Send + Sync {
    /// Adds to an error what this side knows about the end of the stream; `greeted`: the server had been reached.
    fn explained(&self, e: BlobError, greeted: bool) -> BoxFuture<'_, BlobError>;
}
/// A connection or a program, whichever holds the stream.
pub(super) type Transport = Box<dyn Held>;

const LONGEST_PIECE: u32 = 256 * 1024;
/// Bytes of one range that are asked for ahead: as much as a fast connection to the other side of the world holds.
const AHEAD: u32 = 4 << 20;
/// Bytes in the time of a silence below which a stream only drips.
const LEAST: u64 = 4096;
/// Bytes of other answers after which an overtaken request will not be answered any more.
const OVERTAKEN: u64 = 256 << 20;
/// Silences after which nobody waits any longer, and one more for every [`SLOW`] bytes that others may wait for.
const MOST_SILENCES: u32 = 8;
/// Bytes that the slowest connection brings in the time of a silence.
const SLOW: u64 = 1 << 20;
/// Bytes of the longest listing of one folder.
const MAX_LISTING: u64 = 256 << 20;
/// Pages of a listing that are asked for at once, in the end.
const MOST_PAGES: usize = 16;

impl Session {
    /// Greets the server; `total` counts the bytes that come in, with those of other sessions.
    pub(super) async fn start(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        transport: Transport,
        total: Arc<AtomicU64>,
        silence: Duration,
    ) -> Result<Self, BlobError> {
        let (reading, mut writing) = tokio::io::split(stream);
        let mut reading = BufReader::with_capacity(PIECE as usize, reading);
        let shared = Arc::new(Shared::new(total));
        let greeting = async {
            writing.write_all(&wire::hello()).await?;
            writing.flush().await?;
            packet(&mut reading, &shared).await
        };
        let none = |why: &str| BlobError::new(BlobErrorKind::Unavailable, format!("no SFTP session: {why}"));
        let answer = match tokio::time::timeout(silence, greeting).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => return Err(transport.explained(none(&ending(&e)).transient(), false).await),
            Err(_) => return Err(transport.explained(none("no answer in time").transient(), false).await),
        };
        let (version, says_limits) =
            wire::parse_hello(answer).map_err(|_| none("the server speaks something else"))?;
        if version < 3 {
            return Err(none(&format!("the server speaks version {version} of SFTP only")));
        }
        let (out, outgoing) = mpsc::unbounded_channel();
        let tasks = [
            tokio::spawn(write(writing, outgoing, Arc::clone(&shared))),
            tokio::spawn(read(reading, Arc::clone(&shared), out.downgrade())),
        ];
        let mut session = Session { out, shared, piece: PIECE, silence, tasks, transport };
        if says_limits && let Answer::Extended(limits) = session.ask(&Ask::Limits).await? {
            let longest = wire::longest_read(limits).clamp(u64::from(PIECE), u64::from(LONGEST_PIECE));
            session.piece = u32::try_from(longest).unwrap_or(PIECE);
        }
        Ok(session)
    }

    /// Whether the session can be asked.
    pub(super) fn is_open(&self) -> bool {
        self.shared.state().ended.is_none()
    }

    /// Reads a range of a file; `None`: all of it.
    pub(super) async fn read(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        into.clear();
        let file = self.open(&Ask::Open(path)).await?;
        let (range, first) = match range {
            Some(range) => (range, None),
            None => {
                // Most are small: then this is all.
                let about = Ask::Fstat(&file.handle);
                let (about, first) =
                    futures::future::join(self.ask(&about), self.piece(&file, 0, self.piece)).await;
                let about = attributes(about?)?;
                let first = first?;
                let len = about.len.ok_or_else(|| broke("the server does not say how long it is".into()))?;
                (first.len() as u64..len, Some(first))
            }
        };
        let short = || BlobError::new(BlobErrorKind::Truncated, "it ends too early");
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| short())?;
        into.try_reserve_exact(len.min(64 << 20) + first.as_ref().map_or(0, Vec::len))
            .map_err(|_| short())?;
        into.extend_from_slice(first.as_deref().unwrap_or_default());
        let starts = range.clone().step_by(self.piece as usize);
        let pieces = starts.map(|at| {
            let len = u32::try_from((range.end - at).min(u64::from(self.piece))).unwrap_or(self.piece);
            let file = &file;
            async move { Ok::<_, BlobError>((len, self.piece(file, at, len).await?)) }
        });
        let mut pieces = futures::stream::iter(pieces).buffered((AHEAD / self.piece) as usize);
        while let Some((len, piece)) = pieces.try_next().await? {
            if piece.len() != len as usize {
                return Err(short());
            }
            into.extend_from_slice(&piece);
        }
        Ok(into)
    }

    /// Returns what is at a path, wherever links lead.
    pub(super) async fn stat(&self, path: &str) -> Result<Attributes, BlobError> {
        attributes(self.ask(&Ask::Stat(path)).await?)
    }

    /// Lists the members of a folder; `asked` is called for every page.
    pub(super) async fn members(&self, path: &str, asked: impl Fn()) -> Result<Vec<Named>, BlobError> {
        let folder = self.open(&Ask::OpenFolder(path)).await?;
        let (mut members, mut bytes, mut ahead) = (Vec::new(), 0, 2);
        loop {
            let page = Ask::ReadFolder(&folder.handle);
            let pages = (0..ahead).map(|_| self.ask(&page));
            let mut end = false;
            for page in futures::future::join_all(pages).await {
                asked();
                match page {
                    Ok(Answer::Names(names)) => {
                        end |= names.is_empty();
                        bytes +=
                            names.iter().map(|n| (n.name.len() + size_of::<Named>()) as u64).sum::<u64>();
                        members.extend(names);
                    }
                    Ok(Answer::Status { code: wire::EOF, .. }) => end = true,
                    Ok(_) => return Err(broke("an answer to something else".into())),
                    // The folder was there when it was opened: what has come so far is not all of it.
                    Err(e) if e.is_not_found() => {
                        return Err(broke(format!("the listing broke off: {}", e.what())));
                    }
                    Err(e) => return Err(e),
                }
            }
            if end {
                return Ok(members);
            }
            if bytes > MAX_LISTING {
                return Err(BlobError::new(BlobErrorKind::Unavailable, "the listing does not end"));
            }
            ahead = (ahead * 2).min(MOST_PAGES);
        }
    }

    async fn open(&self, ask: &Ask<'_>) -> Result<Open, BlobError> {
        match self.ask(ask).await? {
            Answer::Handle(handle) => Ok(Open { handle, out: self.out.clone() }),
            _ => Err(broke("an answer to something else".into())),
        }
    }

    /// Reads a piece, in several answers if need be: servers may answer less than was asked for; shorter than `len` is
    /// only the end.
    async fn piece(&self, file: &Open, offset: u64, len: u32) -> Result<Vec<u8>, BlobError> {
        let mut got = Vec::new();
        let (mut since, mut had) = (Instant::now(), 0);
        while got.len() < len as usize {
            if since.elapsed() > self.silence {
                if ((got.len() - had) as u64) < LEAST {
                    return Err(self.give_up("too few bytes in time").await);
                }
                (since, had) = (Instant::now(), got.len());
            }
            let left = len - u32::try_from(got.len()).unwrap_or(len);
            let ask = Ask::Read { handle: &file.handle, offset: offset + got.len() as u64, len: left };
            match self.ask(&ask).await? {
                Answer::Data(data) if data.is_empty() => break,
                Answer::Data(data) if data.len() > left as usize => {
                    return Err(broke("more bytes than were asked for".into()));
                }
                Answer::Data(data) if got.is_empty() => got = Vec::from(data),
                Answer::Data(data) => got.extend_from_slice(&data),
                Answer::Status { code: wire::EOF, .. } => break,
                _ => return Err(broke("an answer to something else".into())),
            }
        }
        Ok(got)
    }

    /// Asks, and returns the answer; refusals are errors, but for the end of something.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, BlobError> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (mut answer, waiting) = match self.shared.wait_for(id) {
            Ok(it) => it,
            Err(why) => return Err(self.lost(&why).await),
        };
        let _waiting = Waiting { shared: &self.shared, id };
        // When nobody takes it any more, the end has been or will be noted, and `answer` closed.
        let _ = self.out.send(ask.packet(id));
        let received = || self.shared.received.load(Ordering::Relaxed);
        let asked_at = received();
        let asked = Instant::now();
        let others = waiting as u64 * u64::from(self.piece) / SLOW;
        let longest = self.silence * u32::try_from(others).unwrap_or(0).saturating_add(MOST_SILENCES);
        loop {
            let before = received();
            match tokio::time::timeout(self.silence, &mut answer).await {
                Ok(Ok(Answer::Status { code, message })) if code != wire::EOF => {
                    return Err(refused(code, &message));
                }
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(_closed)) => {
                    let why = self.shared.state().ended.clone();
                    return Err(self.lost(&why.unwrap_or_default()).await);
                }
                Err(_)
                    if received() - before >= LEAST
                        && received() - asked_at < OVERTAKEN
                        && asked.elapsed() < longest => {}
                Err(_) => return Err(self.give_up("no answer in time").await),
            }
        }
    }

    /// Gives up the session: others who wait for an answer wait in vain, too.
    async fn give_up(&self, why: &str) -> BlobError {
        self.shared.end(why.into());
        self.lost(why).await
    }

    async fn lost(&self, why: &str) -> BlobError {
        self.transport.explained(broke(format!("the connection broke: {why}")), true).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// An open file or folder; it is closed when it is dropped.
struct Open {
    handle: Bytes,
    out: mpsc::UnboundedSender<Vec<u8>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.out.send(Ask::Close(&self.handle).packet(CLOSING));
    }
}

/// A question that waits for its answer, until this is dropped.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.waiting.remove(&self.id).is_some() {
            state.left.insert(self.id);
        }
    }
}

fn attributes(answer: Answer) -> Result<Attributes, BlobError> {
    match answer {
        Answer::Attributes(attributes) => Ok(attributes),
        _ => Err(broke("an answer to something else".into())),
    }
}

fn refused(code: u32, message: &str) -> BlobError {
    let what = |kind| BlobError::new(kind, format!("the server says: {message} (status {code})"));
    match code {
        wire::NO_SUCH_FILE => what(BlobErrorKind::NotFound),
        wire::PERMISSION_DENIED => what(BlobErrorKind::Denied),
        wire::FAILURE => what(BlobErrorKind::Unavailable).transient(),
        _ if wire::NO_CONNECTION.contains(&code) => what(BlobErrorKind::Unavailable).transient(),
        _ => what(BlobErrorKind::Unavailable),
    }
}

fn broke(what: String) -> BlobError {
    BlobError::new(BlobErrorKind::Unavailable, what).transient()
}

#[cfg(test)]
mod tests;
