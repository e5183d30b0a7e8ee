//! Renders `status`: a line for each application.

use super::sentence::minutes;
use super::table::lay_out;
use crate::chain::{Progress, TakenFrom};
use crate::findings::{Diagnosis, Phase, age};
use jiff::Timestamp;

/// The columns of a line, and how long it may be.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// Whether the namespace comes first.
    pub namespace: bool,
    /// Whether everything is shown, however long.
    pub wide: bool,
    /// The width of the terminal.
    pub width: usize,
}

/// The column that is shortened when a line is too long.
const WAITS: usize = 4;

/// Returns all lines, below their heads.
#[must_use]
pub fn rows(all: &[Diagnosis<'_>], now: Timestamp, columns: Columns) -> String {
    let mut heads = vec!["APPLICATION", "PHASE", "SINCE", "TAKEN FROM", "WAITS FOR"];
    if columns.wide {
        heads.extend(["FILES", "BYTES", "CLAIM", "RESTORE", "KUSTOMIZATION", "SNAPSHOT"]);
    }
    if columns.namespace {
        heads.insert(0, "NAMESPACE");
    }
    let mut rows = vec![heads.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(all.iter().map(|one| row(one, now, columns)));
    let width = (!columns.wide).then_some(columns.width);
    lay_out(&rows, &[WAITS + usize::from(columns.namespace)], width)
}

/// Returns the cells of one application.
#[must_use]
pub fn row(one: &Diagnosis<'_>, now: Timestamp, columns: Columns) -> Vec<String> {
    let taken = one.taken_from();
    let since = one.since.map(|since| age(now, since)).unwrap_or_default();
    let date = date(taken.as_ref(), columns.wide);
    let mut cells = vec![one.app.name.clone(), one.phase.name().to_owned(), since, date, waits_for(one)];
    if columns.wide {
        let (files, bytes) = amounts(one);
        let claim = one.app.claim.map(|claim| claim.status.phase.clone()).unwrap_or_else(|| "none".into());
        let restore = one.app.destination.map(|rd| rd.metadata.name.clone()).unwrap_or_default();
        let kustomization =
            one.app.kustomization.map(|k| format!("{}/{}", k.metadata.namespace, k.metadata.name));
        let snapshot = taken.map(|taken| taken.id).unwrap_or_default();
        cells.extend([files, bytes, claim, restore, kustomization.unwrap_or_default(), snapshot]);
    }
    if columns.namespace {
        cells.insert(0, one.app.namespace.clone());
    }
    cells
}

/// Returns what an application waits for, in about five words; while it restores, how far it is.
fn waits_for(one: &Diagnosis<'_>) -> String {
    if let Some(progress) =
        one.app.progress().filter(|_| one.phase == Phase::Restoring && one.findings.is_empty())
    {
        return how_far(&progress);
    }
    match one.phase {
        Phase::Done if one.findings.is_empty() && one.app.began_empty() => "nothing; began empty".into(),
        _ => one.waits_for().to_owned(),
    }
}

/// Writes how far a restore is: `12/340 files, 3 min, 1.0 MiB/4.0 MiB`: what may be cut off stands last.
pub(super) fn how_far(progress: &Progress) -> String {
    let (files, bytes) = (progress.files, progress.bytes);
    let eta = progress.eta_seconds.map(|seconds| format!("{}, ", minutes(seconds))).unwrap_or_default();
    format!("{}/{} files, {eta}{}/{}", files.0, files.1, size(bytes.0), size(bytes.1))
}

fn amounts(one: &Diagnosis<'_>) -> (String, String) {
    if let Some(progress) = one.app.progress() {
        let (files, bytes) = (progress.files, progress.bytes);
        return (format!("{}/{}", files.0, files.1), format!("{}/{}", size(bytes.0), size(bytes.1)));
    }
    let report = one.app.report().map(|(report, _)| report);
    let files = report.as_ref().and_then(|report| report.files).map(|files| files.to_string());
    let bytes = report.as_ref().and_then(|report| report.bytes).map(size);
    (files.unwrap_or_default(), bytes.unwrap_or_default())
}

/// Returns the date of a snapshot as its repository has it; with the time where there is room.
fn date(taken: Option<&TakenFrom>, with_time: bool) -> String {
    let Some(taken) = taken else { return String::new() };
    let form = if with_time { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d" };
    match taken.time.parse::<Timestamp>() {
        Ok(time) => time.strftime(form).to_string(),
        Err(_) => taken.time.chars().take(if with_time { 16 } else { 10 }).collect(),
    }
}

/// Writes bytes for people, with binary units.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut amount = bytes as f64;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}
