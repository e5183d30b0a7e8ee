//! Measures what a request costs here: how long reads should be, how many fly at once, which gaps are read along.
//!
//! From far away a request costs a round trip before its first byte. On a connection of `bandwidth` bytes per second
//! that time is worth `latency × bandwidth` bytes: a read of that length spends half of its time waiting, and a gap
//! that is shorter is cheaper to read along than to leave out. Both are measured while reads come in.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rekopia_blob::StorageProfile;

use super::plan::PlanOptions;

/// The lengths of reads and gaps, and what they follow from.
#[derive(Debug)]
pub(crate) struct CostModel {
    profile: StorageProfile,
    /// Bytes of packs that may be in flight.
    flying_bytes: u64,
    /// Bytes of buffers that may lie idle.
    idle_bytes: u64,
    /// Requests in flight, when the caller has set them.
    parallel: usize,
    measured: Mutex<Measured>,
}

/// The costs that the reads so far tell.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    /// The least time that a read took.
    latency: Option<Duration>,
    /// Bytes per second of one connection; 0: not known.
    bandwidth: f64,
}

/// Bytes of one read.
const READ: std::ops::RangeInclusive<u64> = 1 << 20..=8 << 20;
/// Bytes of one read before anything is measured, where more is wanted than may fly at once: each connection may be slow.
const FIRST_READ: u64 = 4 << 20;
/// Bytes of one read from a local file system: what was read is decoded while it is in the processor's cache.
const LOCAL_READ: u64 = 2 << 20;
/// Bytes in flight from a local file system. No time has to be bridged, and more would only cool the caches; but each thread wants a
/// read in hand and one ahead, also where contents are longer than a usual read.
const LOCAL_FLYING: u64 = 20 << 20;
/// Bytes of idle buffers for a local file system, if the share leaves less: two of long contents. Making them anew
/// costs as much as reading.
const LOCAL_IDLE: u64 = 12 << 20;
/// Bytes of idle buffers from far away.
const FAR_IDLE: u64 = 4 << 20;
/// Gaps that are always read along from far away, and the largest one that ever is.
const FAR_GAP: std::ops::RangeInclusive<u64> = 64 << 10..=4 << 20;
/// Bytes of a read from which on it tells the bandwidth.
const LARGE: u64 = 256 << 10;
/// Requests in flight to a far storage: the bytes in flight bound long reads, this bounds the scattered short ones.
const FAR_IN_FLIGHT: usize = 128;
/// Unwanted bytes that a window may have read along, as a part of the wanted ones: one eighth.
const WASTE: u64 = 8;

impl CostModel {
    /// Makes a model for a storage that is read with up to `share` bytes of packs in memory; `parallel` is the caller's
    /// limit, 0: none.
    pub(crate) fn new(profile: StorageProfile, share: u64, parallel: usize) -> Self {
        let flying_bytes = if profile.local { share.min(LOCAL_FLYING) } else { share };
        let idle_bytes = if profile.local { (share - flying_bytes).max(LOCAL_IDLE) } else { FAR_IDLE };
        CostModel { profile, flying_bytes, idle_bytes, parallel, measured: Mutex::default() }
    }

    /// Returns the bytes of packs that may be in flight.
    pub(crate) fn flying_bytes(&self) -> u64 {
        self.flying_bytes
    }

    /// Returns the bytes of buffers that may be kept for the next reads.
    pub(crate) fn idle_bytes(&self) -> u64 {
        self.idle_bytes
    }

    /// Takes note of a read.
    pub(crate) fn observe(&self, bytes: u64, took: Duration) {
        if self.profile.local || bytes == 0 {
            return;
        }
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = measured.latency.map_or(took, |known| known.min(took));
        measured.latency = Some(latency);
        if bytes >= LARGE {
            let seconds = (took.saturating_sub(latency)).max(Duration::from_millis(1)).as_secs_f64();
            let now = bytes as f64 / seconds;
            let before = measured.bandwidth;
            measured.bandwidth = if before > 0.0 { before * 0.75 + now * 0.25 } else { now };
        }
    }

    /// Returns how the next window is to be cut into reads; `wanted` are its bytes.
    pub(crate) fn plan_options(&self, wanted: u64) -> PlanOptions {
        let most = (self.flying_bytes / 4).clamp(*READ.start(), *READ.end());
        if self.profile.local {
            return PlanOptions { gap: self.profile.gap, max_read: most.min(LOCAL_READ), waste: u64::MAX };
        }
        let (max_read, gap) = match self.round_trip_bytes() {
            Some(bytes) => (bytes.clamp(*READ.start(), most), bytes.clamp(*FAR_GAP.start(), *FAR_GAP.end())),
            // Few requests are right for a small snapshot.
            None if wanted <= self.flying_bytes => (most, self.profile.gap),
            None => (most.min(FIRST_READ), self.profile.gap),
        };
        PlanOptions { gap, max_read, waste: WASTE }
    }

    /// Returns the requests that may be in flight; the bytes in flight are bounded apart.
    pub(crate) fn in_flight(&self) -> usize {
        // More than the storage lets through would only wait, and the waiting would be taken for slowness.
        let most = if self.profile.local {
            self.profile.in_flight
        } else {
            self.profile.in_flight.min(FAR_IN_FLIGHT)
        };
        match self.parallel {
            0 => most.max(1),
            asked if self.profile.local => asked,
            asked => asked.min(most).max(1),
        }
    }

    /// Returns how long the walk may take for its next entries before a window goes out as it is.
    pub(crate) fn patience(&self) -> Duration {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let least = Duration::from_millis(10);
        // A request that the next entries would have shared costs more than waiting for them.
        if self.profile.local { least } else { measured.latency.map_or(least * 10, |l| (l * 2).max(least)) }
    }

    /// Returns the bytes that a connection receives in the time of a round trip.
    fn round_trip_bytes(&self) -> Option<u64> {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = measured.latency.filter(|_| measured.bandwidth > 0.0)?;
        Some((latency.as_secs_f64() * measured.bandwidth) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> StorageProfile {
        StorageProfile::new(128).gap(128 << 10)
    }

    #[test]
    fn reads_and_gaps_follow_what_is_measured() {
        let model = CostModel::new(far(), 60 << 20, 0);
        assert_eq!(model.plan_options(60 << 20).max_read, 8 << 20);
        assert_eq!(model.plan_options(61 << 20).max_read, FIRST_READ);
        assert_eq!(model.in_flight(), 128);
        // 30 ms and 50 MB/s: a round trip is worth 1.5 MB.
        model.observe(100, Duration::from_millis(30));
        model.observe(5_000_000, Duration::from_millis(130));
        let options = model.plan_options(u64::MAX);
        assert!((1_400_000..1_600_000).contains(&options.max_read), "{options:?}");
        assert_eq!(options.gap, options.max_read);
        assert_eq!(model.patience(), Duration::from_millis(60));
    }

    #[test]
    fn a_near_storage_gets_small_gaps_and_a_local_one_short_reads() {
        let near = CostModel::new(far(), 60 << 20, 0);
        near.observe(1000, Duration::from_micros(300));
        near.observe(1 << 20, Duration::from_millis(10));
        assert_eq!(near.plan_options(0).gap, *FAR_GAP.start());
        let local = CostModel::new(far().local(true), 16 << 20, 0);
        local.observe(1 << 20, Duration::from_secs(1));
        assert_eq!(local.plan_options(0).max_read, LOCAL_READ);
        assert_eq!(local.in_flight(), 128);
        assert_eq!(CostModel::new(far(), 60 << 20, 3).in_flight(), 3);
        // What the storage lets through is the most, whatever is asked for.
        let narrow = far().in_flight(8);
        assert_eq!(CostModel::new(narrow, 60 << 20, 0).in_flight(), 8);
        assert_eq!(CostModel::new(narrow, 60 << 20, 64).in_flight(), 8);
        assert_eq!(CostModel::new(far().in_flight(999), 60 << 20, 0).in_flight(), FAR_IN_FLIGHT);
    }
}
