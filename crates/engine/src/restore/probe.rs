//! Measures how fast the data comes: reads and decodes a sample of it, as a restore would.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use rekopia_format::ContentOpener;
use rekopia_format::compression::Decoder;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;

use super::cost::CostModel;
use super::plan::{PackRead, PlannedSlice, plan};
use crate::error::{Error, Result};
use crate::repository::contents::{Contents, corrupt, missing};

/// Bytes of the first round, which shows how far away the storage is: then reads are cut as a long restore would.
const FIRST_ROUND: u64 = 4 << 20;

/// The rates that a probe has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Probed {
    /// Bytes that were received in all.
    pub(crate) bytes: u64,
    /// Bytes per second that were received and decoded; the first answer is not waited for.
    pub(crate) per_second: f64,
    /// Processor seconds for each byte of plaintext.
    pub(crate) decode: f64,
}

/// Reads and decodes `sample`, in two rounds; `None`: there is nothing to read.
///
/// # Errors
/// A content cannot be read or decoded.
pub(crate) async fn probe(
    contents: &Contents,
    costs: &CostModel,
    threads: usize,
    mut sample: Vec<PlannedSlice<()>>,
) -> Result<Option<Probed>> {
    let mut first = 0;
    let cut = sample.iter().position(|slice| {
        let is_enough = first >= FIRST_ROUND;
        first += u64::from(slice.location.packed.packed_len);
        is_enough
    });
    // A small sample tells more in one round.
    let rest = cut.filter(|_| sample.len() > 1).map(|at| sample.split_off(at)).unwrap_or_default();
    let mut seen = None;
    let mut bytes = 0;
    for round in [sample, rest].into_iter().filter(|round| !round.is_empty()) {
        let now = one_round(contents, costs, threads, round).await?;
        bytes += now.bytes;
        seen = Some(Probed { bytes, ..now });
    }
    Ok(seen)
}

async fn one_round(
    contents: &Contents,
    costs: &CostModel,
    threads: usize,
    slices: Vec<PlannedSlice<()>>,
) -> Result<Probed> {
    let wanted = slices.iter().map(|slice| u64::from(slice.location.packed.packed_len)).sum();
    let plain: u64 = slices.iter().map(|slice| u64::from(slice.location.packed.original_len)).sum();
    let options = costs.plan_options(wanted);
    let reads = plan(slices, options);
    let longest = reads.iter().map(PackRead::cost).max().unwrap_or(1);
    let at_once = costs.in_flight().min((costs.flying_bytes() / longest.max(1)) as usize).max(1);
    let decoding = Arc::new(Semaphore::new(threads.max(1)));
    let (started, cpu) = (Instant::now(), processor_seconds());
    let mut done = futures::stream::iter(reads)
        .map(|read| one_read(contents, costs, &decoding, read))
        .buffer_unordered(at_once);
    let (mut bytes, mut latency) = (0, f64::MAX);
    while let Some(read) = done.next().await {
        let (received, answered) = read?;
        bytes += received;
        latency = latency.min(answered);
    }
    let took = started.elapsed().as_secs_f64();
    // What stays of the first answer: a long restore waits for it once.
    let flowing = (took - latency).max(took / 4.0).max(1e-6);
    let per_plain = |seconds: f64| if plain > 0 { seconds / plain as f64 } else { 0.0 };
    Ok(Probed { bytes, per_second: bytes as f64 / flowing, decode: per_plain(processor_seconds() - cpu) })
}

/// Makes a read; returns its bytes, and the seconds until they were there.
async fn one_read(
    contents: &Contents,
    costs: &CostModel,
    decoding: &Arc<Semaphore>,
    read: PackRead<()>,
) -> Result<(u64, f64)> {
    let pack = contents.index.pack(read.pack);
    let started = tokio::time::Instant::now();
    let result = contents.blobs.read(pack, Some(read.range.clone()), Vec::new()).await;
    let received = result.as_ref().map_or(0, |bytes| bytes.len() as u64);
    contents.traffic.count(received);
    let answered = started.elapsed();
    costs.observe(received, answered);
    let bytes = result.map_err(|e| match read.contents.first() {
        Some(wanted) => missing(&e, &wanted.content, pack),
        None => Error::internal("a read without contents"),
    })?;
    let Ok(permit) = Arc::clone(decoding).acquire_owned().await else { return Ok((received, 0.0)) };
    let opener = Arc::clone(&contents.opener);
    let decoded = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        decode(&opener, bytes, &read)
    });
    decoded.await.unwrap_or_else(|_| Err(Error::internal("a decoding thread panicked")))?;
    Ok((received, answered.as_secs_f64()))
}

fn decode(opener: &ContentOpener, mut bytes: Vec<u8>, read: &PackRead<()>) -> Result<()> {
    let (mut decoder, mut plain, mut damaged) = (Decoder::default(), Vec::new(), 0);
    for wanted in &read.contents {
        let (id, packed, range) = (&wanted.content, &wanted.location.packed, wanted.location.range());
        let (from, to) = ((range.start - read.range.start) as usize, (range.end - read.range.start) as usize);
        let stored =
            bytes.get_mut(from..to).ok_or_else(|| Error::internal("a content outside of its read"))?;
        opener
            .open_and_count(id, packed, stored, &mut decoder, &mut plain, &mut damaged)
            .map_err(|e| corrupt(e, id))?;
    }
    Ok(())
}

/// Returns the processor seconds that all threads of this process have worked.
pub(crate) fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
