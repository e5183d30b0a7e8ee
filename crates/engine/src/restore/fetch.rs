//! Pack reads → bytes. The last async stage: what it hands on is the threads' to process.

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
    /// Where it goes in the file, in bytes.
    pub(crate) start: u64,
    /// Plaintext bytes.
    pub(crate) len: u64,
    /// The content is an object-level compressed stream.
    pub(crate) compressed: bool,
    /// The slice is the whole file.
    pub(crate) whole: bool,
}

/// The bytes of a pack read, with the credit that pays for them.
#[derive(Debug)]
pub(crate) struct PackBytes {
    pub(crate) read: PackRead<Target>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) pool: BufferPool,
    _credit: Credit,
}

/// What fetch gives to the workers.
#[derive(Debug)]
pub(crate) enum Fetched {
    Bytes(PackBytes),
    /// The range cannot be read; `gone` when the pack is not there, which a fresh index may explain.
    Lost {
        contents: Vec<WantedContent<Target>>,
        gone: bool,
        error: Arc<BlobError>,
        pack: rekopia_blob::BlobId,
    },
}

impl PackBytes {
    /// Gives the buffer back, and with it the credit.
    pub(crate) fn recycle(mut self) {
        self.pool.give(std::mem::take(&mut self.bytes));
    }
}

/// Sends the requests of `reads` as credits and the limit of requests in flight allow, until the plan ends. Dropping the
/// future drops what is in flight.
pub(crate) async fn fetch(
    contents: &Contents,
    mut reads: mpsc::Receiver<PackRead<Target>>,
    credits: &Credits,
    costs: &CostModel,
    clock: &Clock,
    out: impl Fn(Fetched),
) {
    let pool = BufferPool::new(costs.idle_bytes());
    let mut flying = FuturesUnordered::new();
    let mut open = true;
    // The next read; what is behind it stays in the plan until its bytes are paid for.
    let mut next: Option<(PackRead<Target>, Instant)> = None;
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

async fn read_one(
    contents: &Contents,
    costs: &CostModel,
    read: PackRead<Target>,
    pool: BufferPool,
    credit: Credit,
) -> Vec<Fetched> {
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

fn lost(contents: Vec<WantedContent<Target>>, error: BlobError, pack: &rekopia_blob::BlobId) -> Fetched {
    let gone = error.is_not_found();
    Fetched::Lost { contents, gone, error: Arc::new(error), pack: pack.clone() }
}

/// The failure of every target of a lost content.
pub(crate) fn lost_error(
    content: &WantedContent<Target>,
    error: &BlobError,
    pack: &rekopia_blob::BlobId,
) -> Error {
    missing(error, &content.content, pack)
}
