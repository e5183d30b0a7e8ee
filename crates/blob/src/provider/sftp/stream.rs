//! Runs the stream of an SFTP session: a task that takes in what comes, one that sends, and a list of who waits for
//! what.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::wire::{self, Answer, Ask};

/// The state that the asking side and the two tasks of a stream share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Bytes that have come in, here and altogether.
    pub(super) received: AtomicU64,
    total: Arc<AtomicU64>,
    /// The number of the next question.
    pub(super) next: AtomicU32,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) waiting: HashMap<u32, oneshot::Sender<Answer>>,
    /// Questions that nobody waits for any more; they are answered all the same.
    pub(super) left: HashSet<u32>,
    /// The reason why nothing more will come.
    pub(super) ended: Option<String>,
}

/// Bytes that servers answer at once, at least.
pub(super) const PIECE: u32 = 32 * 1024;
/// The number of questions whose answers nobody waits for.
pub(super) const CLOSING: u32 = 0;

impl Shared {
    /// Makes the state of a new stream; `total` counts with the bytes of other streams.
    pub(super) fn new(total: Arc<AtomicU64>) -> Self {
        Shared { state: Mutex::default(), total, received: AtomicU64::new(0), next: AtomicU32::new(1) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.total.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns where the answer will come, and how many are waited for; or why none will.
    pub(super) fn wait_for(&self, id: u32) -> Result<(oneshot::Receiver<Answer>, usize), String> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(why.clone());
        }
        let (sender, answer) = oneshot::channel();
        state.waiting.insert(id, sender);
        Ok((answer, state.waiting.len()))
    }

    /// Ends the stream: nobody will be answered any more.
    pub(super) fn end(&self, why: String) {
        let mut state = self.state();
        state.ended.get_or_insert(why);
        state.waiting.clear();
    }
}

/// Takes in everything that comes, so that nobody ever waits for us to listen.
pub(super) async fn read(
    mut from: impl AsyncRead + Unpin,
    shared: Arc<Shared>,
    out: mpsc::WeakUnboundedSender<Vec<u8>>,
) {
    let why = loop {
        let packet = match packet(&mut from, &shared).await {
            Ok(packet) => packet,
            Err(e) => break ending(&e),
        };
        let (id, answer) = match wire::parse(packet) {
            Ok(parsed) => parsed,
            Err(e) => break e.to_string(),
        };
        let (waiting, left) = {
            let mut state = shared.state();
            (state.waiting.remove(&id), state.left.remove(&id))
        };
        let unwanted = match waiting {
            Some(waiting) => waiting.send(answer).err(),
            None if left => Some(answer),
            None if id == CLOSING => None,
            None => break "an answer that nobody asked for".into(),
        };
        // The caller who opened it has left in the meantime.
        if let (Some(Answer::Handle(handle)), Some(out)) = (unwanted, out.upgrade()) {
            let _ = out.send(Ask::Close(&handle).packet(CLOSING));
        }
    };
    shared.end(why);
}

/// Sends all that there is to send, in as few writes as possible.
pub(super) async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut outgoing: mpsc::UnboundedReceiver<Vec<u8>>,
    shared: Arc<Shared>,
) {
    while let Some(mut packets) = outgoing.recv().await {
        while packets.len() < PIECE as usize
            && let Ok(next) = outgoing.try_recv()
        {
            packets.extend_from_slice(&next);
        }
        let sent = async {
            to.write_all(&packets).await?;
            to.flush().await
        };
        if let Err(e) = sent.await {
            return shared.end(e.to_string());
        }
    }
}

/// Reads the next packet; errors when the stream has ended.
pub(super) async fn packet(from: &mut (impl AsyncRead + Unpin), shared: &Shared) -> std::io::Result<Bytes> {
    let len = from.read_u32().await?;
    if len > wire::MAX_PACKET {
        return Err(std::io::Error::other("a packet that is too long"));
    }
    shared.count(4);
    let mut packet = vec![0; len as usize];
    let mut filled = 0;
    // Part by part: a long packet over a slow connection is no silence.
    while filled < packet.len() {
        match from.read(&mut packet[filled..]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => {
                shared.count(n);
                filled += n;
            }
        }
    }
    Ok(packet.into())
}

/// Returns the end of a stream in plain words.
pub(super) fn ending(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::UnexpectedEof => "the server closed it".into(),
        _ => e.to_string(),
    }
}
