//! Fetches the bytes of pack reads. The last async stage: what it hands on is the threads' to process.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rekopia_blob::{BlobError, BlobErrorKind};
use tokio::sync::mpsc;

use super::clock::{Clock, Stage};
use super::cost::CostModel;
use super::credits::{BufferPool, Credit, Credits};
use super::plan::{PackRead, WantedContent};
use super::slot::FileSlot;
use crate::error::Error;
use crate::repository::contents::{Contents, missing};

/// A place that wants a content's plaintext.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) slot: Arc<FileSlot>,
    /// The place of the plaintext in the file, in bytes.
    pub(crate) start: u64,
    /// Plaintext bytes.
    pub(crate) len: u64,
    /// Whether the content is an object-level compressed stream.
    pub(crate) compressed: bool,
    /// Whether the slice is the whole file.
    pub(crate) whole: bool,
}

/// The bytes of a pack read, with the credit that pays for them.
#[derive(Debug)]
pub(crate) struct PackBytes<T = Target> {
    pub(crate) read: PackRead<T>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) pool: BufferPool,
    _credit: Credit,
}

/// An answer that fetch gives to the workers.
#[derive(Debug)]
pub(crate) enum Fetched<T = Target> {
    Bytes(PackBytes<T>),
    /// The range cannot be read; `gone` when the pack is not there, which a fresh index may explain.
    Lost {
        contents: Vec<WantedContent<T>>,
        gone: bool,
        error: Arc<BlobError>,
        pack: rekopia_blob::BlobId,
    },
}

impl<T> PackBytes<T> {
    /// Calls `each` for each content with its stored bytes, which may be decrypted where they are; `None`: the read is
    /// shorter than its range. Then the buffer goes back, and with it the credit.
    pub(crate) fn each(mut self, mut each: impl FnMut(WantedContent<T>, Option<&mut [u8]>)) {
        let start = self.read.range.start;
        let mut contents = std::mem::take(&mut self.read.contents).into_iter().peekable();
        let mut own = Vec::new();
        while let Some(content) = contents.next() {
            let range = content.location.range();
            let (from, to) = ((range.start - start) as usize, (range.end - start) as usize);
            let stored = self.bytes.get_mut(from..to);
            // Where two contents overlap, the first gets a copy of its own.
            let overlaps = contents.peek().is_some_and(|next| next.location.range().start < range.end);
            let stored = match stored {
                Some(stored) if overlaps => {
                    own.clear();
                    own.extend_from_slice(stored);
                    Some(&mut own[..])
                }
                stored => stored,
            };
            each(content, stored);
        }
        self.pool.give(std::mem::take(&mut self.bytes));
    }
}

/// Sends the requests of `reads` as credits and the limit of requests in flight allow, until the plan ends. Dropping the
/// future drops what is in flight.
pub(crate) async fn fetch<T>(
    contents: &Contents,
    mut reads: mpsc::Receiver<PackRead<T>>,
    credits: &Credits,
    costs: &CostModel,
    clock: &Clock,
    out: impl Fn(Fetched<T>),
) {
    let pool = BufferPool::new(costs.idle_bytes());
    let mut flying = FuturesUnordered::new();
    let mut open = true;
    // The next read; what is behind it stays in the plan until its bytes are paid for.
    let mut next: Option<(PackRead<T>, Instant)> = None;
    while open || next.is_some() || !flying.is_empty() {
        let cost = next.as_ref().map_or(0, |(read, _)| read.cost());
        tokio::select! {
            biased;
            Some(fetched) = flying.next(), if !flying.is_empty() => {
                for part in fetched { out(part); }
            }
            credit = credits.take(cost), if next.is_some() && flying.len() < costs.in_flight() => {
                let Some((read, asked)) = next.take() else { continue };
                let started = clock.add(Stage::Stall, asked);
                let pool = pool.clone();
                flying.push(async move {
                    let fetched = read_one(contents, costs, read, pool, credit).await;
                    clock.add(Stage::Fetch, started);
                    fetched
                });
            }
            read = reads.recv(), if open && next.is_none() => match read {
                Some(read) => next = Some((read, Instant::now())),
                None => open = false,
            },
        }
    }
}

async fn read_one<T>(
    contents: &Contents,
    costs: &CostModel,
    read: PackRead<T>,
    pool: BufferPool,
    credit: Credit,
) -> Vec<Fetched<T>> {
    let pack = contents.index.pack(read.pack).clone();
    let buffer = pool.take((read.range.end - read.range.start) as usize);
    // The runtime's clock, which also says when a window goes out early.
    let started = tokio::time::Instant::now();
    let result = contents.blobs.read(&pack, Some(read.range.clone()), buffer).await;
    let bytes = result.as_ref().map_or(0, |b| b.len() as u64);
    contents.traffic.count(bytes);
    costs.observe(bytes, started.elapsed());
    match result {
        Ok(bytes) => vec![Fetched::Bytes(PackBytes { read, bytes, pool, _credit: credit })],
        Err(e) if e.kind() == BlobErrorKind::Truncated && read.contents.len() > 1 => {
            // A pack that lost its end still has the contents before it.
            let mut parts = Vec::new();
            for content in read.contents {
                let range = content.location.range();
                let one = PackRead { pack: read.pack, range: range.clone(), contents: vec![content] };
                let result = contents.blobs.read(&pack, Some(range), Vec::new()).await;
                contents.traffic.count(result.as_ref().map_or(0, |b| b.len() as u64));
                parts.push(match result {
                    Ok(bytes) => {
                        let (pool, credit) = (pool.clone(), Credit::none());
                        Fetched::Bytes(PackBytes { read: one, bytes, pool, _credit: credit })
                    }
                    Err(e) => lost(one.contents, e, &pack),
                });
            }
            parts
        }
        Err(e) => vec![lost(read.contents, e, &pack)],
    }
}

fn lost<T>(contents: Vec<WantedContent<T>>, error: BlobError, pack: &rekopia_blob::BlobId) -> Fetched<T> {
    let gone = error.is_not_found();
    Fetched::Lost { contents, gone, error: Arc::new(error), pack: pack.clone() }
}

/// Fails every target of a lost content.
pub(crate) fn lost_error<T>(
    content: &WantedContent<T>,
    error: &BlobError,
    pack: &rekopia_blob::BlobId,
) -> Error {
    missing(error, &content.content, pack)
}
