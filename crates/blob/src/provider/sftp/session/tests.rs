//! Sessions with servers that do what the protocol allows and OpenSSH does not.

use bytes::{Buf, BufMut};
use futures::FutureExt;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;

/// A server with one file and one folder, which answers in odd ways.
#[derive(Clone, Copy)]
struct Odd {
    /// The most bytes of a read that are answered at once.
    most: usize,
    /// Number of answers that wait for one another; the last one is given first.
    together: usize,
    /// The offset at which a read is never answered.
    deaf_at: Option<u64>,
    /// Members of the folder.
    members: u32,
    /// The time that every answer takes.
    pause: Duration,
}

const PLAIN: Odd = Odd { most: 1 << 20, together: 1, deaf_at: None, members: 0, pause: Duration::ZERO };
const LEN: usize = 300_000;
/// A handle that is no text: OpenSSH's 128th handle is none, either.
const HANDLE: &[u8] = &[0, 0, 0, 0x80, 0xff];

fn contents() -> Vec<u8> {
    (0..LEN).map(|at| (at * 31 / 7) as u8).collect()
}

impl Odd {
    /// Serves; handles that are closed are sent to `closed`.
    async fn serve(self, stream: DuplexStream, closed: mpsc::UnboundedSender<Vec<u8>>) {
        let (mut from, mut to) = tokio::io::split(stream);
        next_packet(&mut from).await.unwrap();
        to.write_all(&framed(&[2, 0, 0, 0, 3])).await.unwrap();
        let (asking, mut questions) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(asked) = next_packet(&mut from).await {
                asking.send(asked).unwrap();
            }
        });
        let (mut held, mut page) = (Vec::<Vec<u8>>::new(), 0);
        loop {
            let asked = tokio::time::timeout(Duration::from_millis(20), questions.recv());
            let mut asked = match asked.await {
                Ok(Some(asked)) => asked,
                Ok(None) => return,
                Err(_) => {
                    to.write_all(&held.concat()).await.unwrap();
                    held.clear();
                    continue;
                }
            };
            let (kind, id) = (asked.get_u8(), asked.get_u32());
            let len = asked.get_u32() as usize;
            let text = asked.split_to(len);
            let answer = match kind {
                4 => {
                    closed.send(text.to_vec()).unwrap();
                    continue;
                }
                5 => match self.part(id, asked.get_u64(), asked.get_u32() as usize) {
                    Some(part) => part,
                    None => continue,
                },
                3 | 11 => [&[102][..], &id.to_be_bytes(), &[0, 0, 0, 5], HANDLE].concat(),
                8 => [&[105][..], &id.to_be_bytes(), &[0, 0, 0, 1], &(LEN as u64).to_be_bytes()].concat(),
                12 if page < self.members => {
                    page += 1;
                    let mut names = [&[104][..], &id.to_be_bytes(), &[0, 0, 0, 1, 0, 0, 0, 4]].concat();
                    names.put_u32(page);
                    names.put_u64(0);
                    names
                }
                12 => status(id, wire::EOF),
                _ => status(id, wire::NO_SUCH_FILE),
            };
            held.push(framed(&answer));
            held.rotate_right(1);
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
            if held.len() >= self.together {
                to.write_all(&held.concat()).await.unwrap();
                held.clear();
            }
        }
    }

    /// Returns the answer to a read; `None`: it never comes.
    fn part(self, id: u32, offset: u64, len: usize) -> Option<Vec<u8>> {
        if self.deaf_at == Some(offset) {
            return None;
        }
        let all = contents();
        let rest = all.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        Some(match &rest[..rest.len().min(len).min(self.most)] {
            [] => status(id, wire::EOF),
            part => {
                let len = u32::try_from(part.len()).unwrap().to_be_bytes();
                [&[103][..], &id.to_be_bytes(), &len, part].concat()
            }
        })
    }
}

async fn next_packet(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut packet = vec![0; from.read_u32().await? as usize];
    from.read_exact(&mut packet).await?;
    Ok(packet.into())
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&u32::try_from(packet.len()).unwrap().to_be_bytes(), packet].concat()
}

fn status(id: u32, code: u32) -> Vec<u8> {
    [&[101][..], &id.to_be_bytes(), &code.to_be_bytes()].concat()
}

struct Nothing;

impl Held for Nothing {
    fn explained(&self, e: BlobError, _greeted: bool) -> BoxFuture<'_, BlobError> {
        std::future::ready(e).boxed()
    }
}

const SILENCE: Duration = Duration::from_secs(2);

async fn session(odd: Odd) -> (Session, mpsc::UnboundedReceiver<Vec<u8>>) {
    // Where nothing is silent on purpose, a slow machine must not be taken for it.
    let silence = if odd.deaf_at.is_some() { SILENCE } else { SILENCE * 30 };
    session_with(odd, silence).await
}

async fn session_with(odd: Odd, silence: Duration) -> (Session, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (ours, theirs) = duplex(1 << 20);
    let (closed, closings) = mpsc::unbounded_channel();
    tokio::spawn(odd.serve(theirs, closed));
    (Session::start(ours, Box::new(Nothing), Arc::default(), silence).await.unwrap(), closings)
}

#[tokio::test]
async fn short_and_unordered_answers_are_put_together() {
    for odd in [
        PLAIN,
        Odd { most: 1000, ..PLAIN },
        Odd { most: 20_000, together: 3, ..PLAIN },
        Odd { together: 7, ..PLAIN },
    ] {
        let (session, mut closings) = session(odd).await;
        let read = session.read("/x", Some(100..200_000), vec![7; 9]).await.unwrap();
        assert!(read == contents()[100..200_000]);
        assert_eq!(closings.recv().await.unwrap(), HANDLE);
        assert!(session.read("/x", None, Vec::new()).await.unwrap() == contents());
        let end = LEN as u64;
        let last = session.read("/x", Some(end - 5..end), Vec::new()).await.unwrap();
        assert!(last == contents()[LEN - 5..]);
        for beyond in [end - 5..end + 1, end + 10..end + 20, 0..u64::from(u32::MAX)] {
            let short = session.read("/x", Some(beyond), Vec::new()).await.unwrap_err();
            assert_eq!(short.kind(), BlobErrorKind::Truncated);
        }
        let missing = session.stat("/missing").await.unwrap_err();
        assert!(missing.is_not_found() && session.is_open());
    }
}

#[tokio::test]
async fn a_folder_has_as_many_pages_as_it_has() {
    for members in [0, 1, 2, 7, 100] {
        let (session, mut closings) = session(Odd { members, ..PLAIN }).await;
        let pages = std::cell::Cell::new(0);
        let found = session.members("/x", || pages.set(pages.get() + 1)).await.unwrap();
        let names: Vec<u32> = found.iter().map(|named| named.name.clone().get_u32()).collect();
        assert_eq!(names, (1..=members).collect::<Vec<_>>());
        assert!(
            pages.get() > members && pages.get() <= members + MOST_PAGES as u32,
            "{pages:?} for {members}"
        );
        assert_eq!(closings.recv().await.unwrap(), HANDLE);
    }
}

/// An answer never comes: the caller who waits for it is told in time, and the session is not used any more.
#[tokio::test]
async fn silence_ends_a_session() {
    let (session, _closings) = session(Odd { deaf_at: Some(u64::from(PIECE)), ..PLAIN }).await;
    let began = Instant::now();
    let lost = session.read("/x", Some(0..200_000), Vec::new()).await.unwrap_err();
    assert!(lost.is_transient() && lost.to_string().contains("in time"), "{lost}");
    assert!(began.elapsed() <= SILENCE * 5 && !session.is_open(), "{:?}", began.elapsed());
    let lost = session.stat("/x").await.unwrap_err();
    assert!(lost.is_transient(), "{lost}");
}

/// A server that answers with one byte each time is no better than one that does not answer.
#[tokio::test]
async fn a_drip_ends_a_session() {
    let odd = Odd { most: 1, pause: Duration::from_millis(20), ..PLAIN };
    let (session, _closings) = session_with(odd, Duration::from_millis(200)).await;
    let lost = session.read("/x", Some(0..200), Vec::new()).await.unwrap_err();
    assert!(lost.is_transient() && lost.to_string().contains("in time"), "{lost}");
    assert!(!session.is_open());
}

/// A server that says something all the time, but not what was asked, does not answer, either.
#[tokio::test]
async fn chatter_is_no_answer() {
    let (ours, mut theirs) = duplex(1 << 20);
    theirs.write_all(&framed(&[2, 0, 0, 0, 3])).await.unwrap();
    let chatter = framed(&[&status(CLOSING, 0)[..], &[0; 8192]].concat());
    tokio::spawn(async move {
        while theirs.write_all(&chatter).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let silence = Duration::from_millis(50);
    let session = Session::start(ours, Box::new(Nothing), Arc::default(), silence).await.unwrap();
    let lost = session.stat("/x").await.unwrap_err();
    assert!(lost.is_transient() && lost.to_string().contains("in time"), "{lost}");
    assert!(session.shared.received.load(Ordering::Relaxed) < OVERTAKEN / 2);
}

/// Somebody who sends files that nobody opened is not asked to close them, one by one and without end.
#[tokio::test]
async fn what_was_not_asked_for_ends_a_session() {
    let (ours, mut theirs) = duplex(1 << 20);
    theirs.write_all(&framed(&[2, 0, 0, 0, 3])).await.unwrap();
    let session = Session::start(ours, Box::new(Nothing), Arc::default(), SILENCE).await.unwrap();
    next_packet(&mut theirs).await.unwrap();
    // Answers to what closes something say nothing.
    for id in [CLOSING, 77] {
        assert!(session.is_open());
        let handle = [&[102][..], &id.to_be_bytes(), &[0, 0, 0, 5], HANDLE].concat();
        theirs.write_all(&framed(&handle)).await.unwrap();
    }
    let lost = session.stat("/x").await.unwrap_err();
    assert!(lost.is_transient() && lost.to_string().contains("nobody asked for"), "{lost}");
    drop(session);
    // At most the question itself.
    while let Ok(asked) = next_packet(&mut theirs).await {
        assert_eq!(asked[0], 17);
    }
}

/// Somebody who does not wait for a file any more does not leave it open.
#[tokio::test]
async fn what_is_opened_is_closed_whoever_has_left() {
    let (session, mut closings) = session(Odd { deaf_at: Some(0), ..PLAIN }).await;
    {
        let opening = session.read("/x", Some(0..10), Vec::new());
        // The file is asked for, but nobody waits for the answer.
        assert!(opening.now_or_never().is_none());
    }
    assert_eq!(closings.recv().await.unwrap(), HANDLE);
    let state = session.shared.state();
    assert!(state.waiting.is_empty() && state.left.is_empty() && state.ended.is_none());
}

#[tokio::test]
async fn those_who_speak_something_else_are_noticed() {
    for (greeting, part) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "too long"),
        (&[0, 0, 0, 5, 2, 0, 0, 0, 2], "version 2"),
        (&[0, 0, 0, 1, 7], "something else"),
        (&[0, 0], "closed"),
    ] {
        let (ours, mut theirs) = duplex(1 << 10);
        theirs.write_all(greeting).await.unwrap();
        // We listen, and leave after that.
        let gone = tokio::spawn(async move { next_packet(&mut theirs).await });
        let refused = Session::start(ours, Box::new(Nothing), Arc::default(), SILENCE).await.err().unwrap();
        assert!(refused.to_string().contains(part), "{part}: {refused}");
        gone.await.unwrap().unwrap();
    }
}
