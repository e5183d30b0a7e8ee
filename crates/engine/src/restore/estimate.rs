//! Calculates how long a restore takes: from what it needs, and from what link, processor and disk give (pure).
//!
//! The stages of a restore overlap, so that the slowest of them decides; what the disk has not taken by then is waited
//! for at the end, in the sync:
//!
//! ```text
//! before ──► │ link: bytes, requests     │
//!            │ walk: listings, hashing   │ the longest ──► sync
//!            │ processor: decode, write  │
//! ```

use serde::Serialize;

/// The work of a run, by its plan.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Need {
    /// Seconds before the first entry: the walk that proves what is needed.
    pub(crate) before: f64,
    /// Seconds of the pass itself without data: listings, and hashing what exists.
    pub(crate) pass: f64,
    /// Seconds of processor time in that pass.
    pub(crate) pass_cpu: f64,
    /// Requests for pack ranges, and their bytes.
    pub(crate) requests: u64,
    pub(crate) fetched: u64,
    /// Files that are written.
    pub(crate) files: u64,
    pub(crate) directories: u64,
    pub(crate) bytes: u64,
    /// Whether the run waits until the disk has all.
    pub(crate) syncs: bool,
}

/// The rates at which link, processor and disk work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    /// Bytes per second that come from the storage; `None`: not known, or no matter (a local one).
    pub(crate) link: Option<f64>,
    /// Seconds from a small request to its answer; 0: a local storage.
    pub(crate) latency: f64,
    /// Requests that are in flight at once.
    pub(crate) in_flight: f64,
    /// Threads that decode and write at once, at most as many as cores.
    pub(crate) cores: f64,
    /// Processor seconds to receive and decode a byte.
    pub(crate) decode: f64,
    /// Processor seconds to write a byte, and to make a file or folder with its attributes.
    pub(crate) write: f64,
    pub(crate) entry: f64,
    /// Bytes per second that the disk takes; `None`: not known, or it never waits.
    pub(crate) disk: Option<f64>,
    /// Bytes that the kernel keeps in memory before it begins to write them, and for how many seconds.
    pub(crate) kept_bytes: f64,
    pub(crate) kept_seconds: f64,
}

/// The part that a restore waits for most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The restore waits for bytes from the storage.
    Link,
    /// The restore waits for answers of the storage.
    Requests,
    /// The restore waits for listings, and for comparing with what is in the target.
    Walk,
    /// The restore waits for decoding and writing.
    Processor,
    /// The restore waits for the disk of the target.
    Disk,
}

/// The time that a restore would take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Estimate {
    /// Wall time of the restore, in seconds; what opening the repository takes is left out, as in
    /// [`Report::seconds`](super::Report::seconds).
    pub seconds: f64,
    /// The part that the restore waits for most.
    pub bound: Bound,
    /// Bytes per second that come from the storage, as given or measured; 0: not known.
    pub link_bytes_per_second: u64,
    /// Bytes per second that the target's disk takes, as measured; 0: not known.
    pub disk_bytes_per_second: u64,
    /// Bytes that were read to find out.
    pub probed_bytes: u64,
}

/// Bytes that a file on a disk takes at least.
const BLOCK: f64 = 4096.0;

/// Calculates how long a run takes that needs this, at these rates.
pub(crate) fn estimate(need: &Need, rates: &Rates) -> Estimate {
    let entries = (need.files + need.directories) as f64;
    let bytes = need.bytes as f64;
    let cpu = need.pass_cpu + bytes * (rates.decode + rates.write) + entries * rates.entry;
    let stages = [
        (Bound::Link, rates.link.map_or(0.0, |link| need.fetched as f64 / link + rates.latency)),
        (Bound::Requests, need.requests as f64 * rates.latency / rates.in_flight.max(1.0)),
        (Bound::Walk, need.pass),
        (Bound::Processor, cpu / rates.cores.max(1.0)),
    ];
    let (mut bound, flow) =
        stages.into_iter().fold((Bound::Walk, 0.0), |most, one| if one.1 > most.1 { one } else { most });
    let tail = if need.syncs { tail(bytes + need.files as f64 * BLOCK, flow, rates) } else { 0.0 };
    if tail > flow {
        bound = Bound::Disk;
    }
    let whole = |rate: Option<f64>| rate.map_or(0, |rate| rate as u64);
    Estimate {
        seconds: need.before + flow + tail,
        bound,
        link_bytes_per_second: whole(rates.link),
        disk_bytes_per_second: whole(rates.disk),
        probed_bytes: 0,
    }
}

/// Returns the seconds of the sync, after `flow` seconds in which `bytes` were written to memory.
fn tail(bytes: f64, flow: f64, rates: &Rates) -> f64 {
    let Some(disk) = rates.disk else { return 0.0 };
    let speed = bytes / flow.max(1e-3);
    let begins = (rates.kept_bytes / speed.max(1.0)).min(rates.kept_seconds);
    let written = speed.min(disk) * (flow - begins).max(0.0);
    (bytes - written).max(0.0) / disk
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: f64 = 1e6;

    fn rates() -> Rates {
        Rates {
            link: Some(100.0 * MB),
            latency: 0.03,
            in_flight: 100.0,
            cores: 2.0,
            decode: 1e-9,
            write: 0.5e-9,
            entry: 20e-6,
            disk: None,
            kept_bytes: 1000.0 * MB,
            kept_seconds: 30.0,
        }
    }

    fn need() -> Need {
        Need {
            requests: 400,
            fetched: 3_000_000_000,
            files: 100,
            bytes: 3_000_000_000,
            syncs: true,
            ..Need::default()
        }
    }

    fn is_about(estimate: Estimate, seconds: f64, bound: Bound) {
        assert!((estimate.seconds - seconds).abs() < 0.02 * seconds, "{estimate:?}");
        assert_eq!(estimate.bound, bound);
    }

    #[test]
    fn the_slowest_stage_decides() {
        is_about(estimate(&need(), &rates()), 30.03, Bound::Link);
        is_about(estimate(&need(), &Rates { link: None, ..rates() }), 2.25, Bound::Processor);
        let many = Need { requests: 200_000, ..need() };
        is_about(estimate(&many, &Rates { link: None, ..rates() }), 60.0, Bound::Requests);
        let small = Need { files: 1_000_000, bytes: 1000, fetched: 1000, requests: 1, ..need() };
        is_about(estimate(&small, &rates()), 10.0, Bound::Processor);
        is_about(estimate(&Need { before: 5.0, pass: 40.0, ..need() }, &rates()), 45.0, Bound::Walk);
    }

    #[test]
    fn what_the_disk_has_not_taken_is_waited_for() {
        let on_disk =
            |link: f64, disk: f64| Rates { link: Some(link * MB), disk: Some(disk * MB), ..rates() };
        // 30 s of 100 MB/s: after 10 s a gigabyte is in memory and the disk begins; it keeps up.
        is_about(estimate(&need(), &on_disk(100.0, 200.0)), 30.0 + 5.0, Bound::Link);
        // A slow disk takes what it can meanwhile.
        is_about(estimate(&need(), &on_disk(100.0, 50.0)), 10.0 + 60.0, Bound::Disk);
        // From a slow link data lies in memory for half a minute, not longer.
        is_about(estimate(&need(), &on_disk(10.0, 200.0)), 300.0 + 1.5, Bound::Link);
        let never = Need { syncs: false, ..need() };
        is_about(estimate(&never, &on_disk(100.0, 50.0)), 30.03, Bound::Link);
    }
}
