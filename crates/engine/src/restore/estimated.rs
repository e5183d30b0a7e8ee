//! Tells the time that a restore would take, from a dry run's own pass, a probe, and the target's disk.

use std::sync::Arc;
use std::time::Instant;

use super::estimate::{Need, Rates, estimate};
use super::options::{Pace, SyncMode};
use super::pass::{costs, threads};
use super::probe::{Probed, probe, processor_seconds};
use super::run::Run;
use super::sinks::Sinks;
use crate::limits::cores;
use crate::observer::Phase;
use crate::sink::Speed;

/// Processor seconds to receive and decode a byte where nothing was measured.
const DECODE: f64 = 1e-9;
/// Processor seconds to write a byte, and to make a file, where nothing was measured.
const WRITE: f64 = 0.4e-9;
const ENTRY: f64 = 25e-6;

/// A stop watch around the pass of a dry run.
pub(super) struct Watch {
    /// Seconds of the run before the pass, as far as a restore would have them, too.
    before: f64,
    started: Instant,
    cpu: f64,
}

/// The times that a dry pass took.
pub(super) struct PassTimes {
    before: f64,
    seconds: f64,
    cpu: f64,
}

impl Watch {
    pub(super) fn start(run: &Run<'_>, sinks: &Sinks) -> Self {
        // For a fresh target a dry run looks for packs; a restore does not.
        let before = if sinks.view.is_fresh() { 0.0 } else { run.seconds() };
        Watch { before, started: Instant::now(), cpu: processor_seconds() }
    }

    pub(super) fn stop(self) -> PassTimes {
        PassTimes {
            before: self.before,
            seconds: self.started.elapsed().as_secs_f64(),
            cpu: processor_seconds() - self.cpu,
        }
    }
}

impl Run<'_> {
    /// Enters how long the restore would take into the report. Where it cannot be told a warning says why.
    pub(super) async fn estimate(&self, pace: Pace, passed: PassTimes, sinks: &Sinks) {
        self.state.enter(Phase::Probing);
        let probed = self.options.cancel.run_until_cancelled(self.probe()).await;
        let probed = match probed {
            Some(Ok(probed)) => probed,
            Some(Err(e)) => {
                self.ledger.warn(format!("how long it would take is not known: {}", e.chain()));
                return;
            }
            None => return,
        };
        let mut speed = None;
        if pace.disk {
            let view = Arc::clone(&sinks.view);
            speed = tokio::task::spawn_blocking(move || view.measure_speed()).await.ok().flatten();
            if speed.is_none() {
                let what = "how fast the target is could not be measured; it is left out of the time";
                self.ledger.warn(what.into());
            }
        }
        let mut told = estimate(&self.need(&passed), &self.rates(pace, probed, speed));
        told.probed_bytes = probed.map_or(0, |probed| probed.bytes);
        self.ledger.would_take(told);
    }

    async fn probe(&self) -> crate::error::Result<Option<Probed>> {
        let Some(sample) = self.ledger.take_sample() else { return Ok(None) };
        let contents = self.repository.contents();
        let costs = costs(self.options, &contents);
        probe(&contents, &costs, threads(self.options, true), sample.into_slices()).await
    }

    fn need(&self, passed: &PassTimes) -> Need {
        let report = self.ledger.report();
        let planned = report.planned.unwrap_or_default();
        Need {
            before: passed.before,
            pass: passed.seconds,
            pass_cpu: passed.cpu,
            requests: planned.requests,
            fetched: planned.bytes,
            files: report.files.saturating_sub(report.kept_files + report.skipped_files),
            directories: report.directories,
            bytes: report.bytes.saturating_sub(report.kept_bytes),
            syncs: self.options.sync == SyncMode::End,
        }
    }

    fn rates(&self, pace: Pace, probed: Option<Probed>, speed: Option<Speed>) -> Rates {
        let contents = self.repository.contents();
        let is_local = contents.blobs.profile().local;
        let given = pace.link.map(|link| link as f64);
        let measured = probed.map(|probed| probed.per_second);
        let link = match (given, measured) {
            (Some(given), Some(measured)) => Some(given.min(measured)),
            (given, measured) => given.or(measured),
        };
        Rates {
            link,
            latency: if is_local { 0.0 } else { self.repository.usage().latency.as_secs_f64() },
            in_flight: costs(self.options, &contents).in_flight() as f64,
            cores: threads(self.options, true).min(cores()) as f64,
            decode: probed.map_or(DECODE, |probed| probed.decode),
            write: speed.map_or(WRITE, |speed| speed.write),
            entry: speed.map_or(ENTRY, |speed| speed.entry),
            disk: speed.and_then(|speed| speed.disk),
            kept_bytes: speed.map_or(f64::MAX, |speed| speed.kept_bytes),
            kept_seconds: speed.map_or(f64::MAX, |speed| speed.kept_seconds),
        }
    }
}
