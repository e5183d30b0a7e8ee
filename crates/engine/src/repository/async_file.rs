//! A stored file for whatever reads through tokio's traits.

use std::io::{Error as IoError, ErrorKind as IoErrorKind, Result as IoResult, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};

use super::file::FileReader;
use crate::error::{Error, ErrorKind, Result};

/// A stored file that implements [`AsyncRead`] and [`AsyncSeek`]; made by [`FileReader::into_async_read`].
///
/// What is given out is authenticated. Reading in order reads ahead; each seek costs a request at most. An
/// [`Error`] is the source of the [`std::io::Error`], whose kind is `InvalidData` where the repository is damaged.
pub struct AsyncFile {
    state: State,
    len: u64,
    position: u64,
    /// Where in the file the bytes are, and the bytes.
    chunk: (u64, Vec<u8>),
}

enum State {
    Idle(Box<FileReader>),
    Reading(Reading),
    /// A read that panicked has taken the reader along.
    Lost,
}

type Reading = Pin<Box<dyn Future<Output = (Box<FileReader>, Result<Option<(u64, Vec<u8>)>>)> + Send>>;

impl FileReader {
    /// Turns the reader into one for tokio's traits, at the beginning of the file.
    pub fn into_async_read(self) -> AsyncFile {
        let len = self.len();
        AsyncFile { state: State::Idle(Box::new(self)), len, position: 0, chunk: (0, Vec::new()) }
    }
}

impl AsyncFile {
    /// Length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What of the chunk lies at the position and after it.
    fn at_hand(&self) -> &[u8] {
        let (start, bytes) = &self.chunk;
        let skip = self.position.checked_sub(*start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| bytes.get(skip..)).unwrap_or_default()
    }
}

impl AsyncRead for AsyncFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<IoResult<()>> {
        let this = &mut *self;
        while this.at_hand().is_empty() && this.position < this.len && buf.remaining() > 0 {
            match std::mem::replace(&mut this.state, State::Lost) {
                State::Idle(mut reader) => {
                    let position = this.position;
                    this.state = State::Reading(Box::pin(async move {
                        let chunk = reader.chunk_at(position).await;
                        (reader, chunk)
                    }));
                }
                State::Reading(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready((reader, chunk)) => {
                        this.state = State::Idle(reader);
                        match chunk.map_err(io_error)? {
                            Some(chunk) => this.chunk = chunk,
                            None => return Poll::Ready(Err(IoErrorKind::UnexpectedEof.into())),
                        }
                    }
                },
                State::Lost => return Poll::Ready(Err(IoError::other("an earlier read panicked"))),
            }
        }
        let at_hand = this.at_hand();
        let n = at_hand.len().min(buf.remaining());
        buf.put_slice(&at_hand[..n]);
        this.position += n as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for AsyncFile {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> IoResult<()> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(IoErrorKind::InvalidInput)?;
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<IoResult<u64>> {
        Poll::Ready(Ok(self.position))
    }
}

impl std::fmt::Debug for AsyncFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("AsyncFile");
        shown.field("len", &self.len).field("position", &self.position).finish_non_exhaustive()
    }
}

fn io_error(e: Error) -> IoError {
    let kind = match e.kind() {
        ErrorKind::Corrupt => IoErrorKind::InvalidData,
        _ => IoErrorKind::Other,
    };
    IoError::new(kind, e)
}
