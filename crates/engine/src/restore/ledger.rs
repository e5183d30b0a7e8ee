//! Counts, failures and the log of one run.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rekopia_format::ObjectId;
use rekopia_format::entry_name::EntryName;
use serde_json::json;

use super::clock::Clock;
use super::differs::Differences;
use super::estimate::Estimate;
use super::plan::PackRead;
use super::report::{Deletion, Failure, Planned, Remark, Report};
use super::report_lines::ReportLines;
use super::sample::Sample;
use super::slot::{FileSlot, Folder, SlotKind};
use super::unrestored::Unrestored;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Attributes;

/// The sums of a run so far: counters, the first of each kind of trouble, and the report file where one is wanted.
///
/// Every stage writes into it; none asks it what to do next, that is [`RunState`](super::run_state::RunState).
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) files: AtomicU64,
    pub(crate) directories: AtomicU64,
    pub(crate) symlinks: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) kept_files: AtomicU64,
    pub(crate) kept_bytes: AtomicU64,
    pub(crate) skipped: AtomicU64,
    skipped_files: AtomicU64,
    skipped_symlinks: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) deleted: AtomicU64,
    undeleted: AtomicU64,
    protected: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) unset_attributes: AtomicU64,
    pub(crate) needed_bytes: AtomicU64,
    pub(crate) total_entries: AtomicU64,
    pub(crate) total_files: AtomicU64,
    pub(crate) total_bytes: AtomicU64,
    /// Entries that the filter takes, however they ended.
    pub(crate) matched: AtomicU64,
    /// Bytes that are where they belong, of unfinished files, too.
    pub(crate) done_bytes: AtomicU64,
    pub(crate) clock: Arc<Clock>,
    lists: Mutex<Lists>,
    /// Every entry and failure as a line of JSON.
    log: Option<ReportLines>,
    pub(crate) lost_bytes: AtomicU64,
    /// Damaged files, where somebody wants to know what is left of them.
    lost: Option<Mutex<Vec<Lost>>>,
    pub(crate) unrestored: Unrestored,
}

/// A file of which something is damaged.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) folder: Arc<Folder>,
    pub(crate) name: EntryName,
    pub(crate) object: ObjectId,
    pub(crate) size: u64,
    pub(crate) attributes: Attributes,
}

/// Damaged files that are looked at more closely.
const LOOKED_AT: usize = 100_000;

/// How many items of each kind a report holds.
const KEPT: usize = 1000;
/// Names that a dry run shows of what would change.
const FIRST: usize = 10;

/// The lists of a report, each with at most [`KEPT`] items.
#[derive(Debug, Default)]
struct Lists {
    failures: Vec<Failure>,
    fidelity: Vec<Remark>,
    incomplete: Vec<Remark>,
    remaining: Vec<Remark>,
    left_over: Vec<Remark>,
    warnings: Vec<String>,
    /// The plan of a dry run.
    planned: Option<Planned>,
    packs: HashSet<u32>,
    /// Some of the reads of a dry run, for a probe.
    sample: Option<Sample>,
}

impl Ledger {
    /// Makes an empty ledger; creates the report file, if one is wanted. `keeps_lost`: damaged files are looked at more
    /// closely.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(crate) fn open(report_file: Option<&Path>, keeps_lost: bool) -> Result<Self> {
        let log = report_file.map(ReportLines::create).transpose()?;
        let lost = (keeps_lost || log.is_some()).then(Mutex::default);
        Ok(Ledger { log, lost, ..Ledger::default() })
    }

    /// Adds to one of the counters.
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts a failed entry, keeps it if there is room, and logs it.
    pub(crate) fn fail(&self, path: String, error: &Error, mixed: bool) -> Failure {
        let message = if mixed { format!("left half-changed: {}", error.chain()) } else { error.chain() };
        self.enter(Failure { path, kind: error.kind(), message, mixed, differs: Vec::new() })
    }

    /// Counts an entry that differs, keeps it if there is room, and logs it.
    pub(crate) fn differ(&self, path: String, differences: &Differences) -> Failure {
        let (message, differs) = (differences.sentence(), differences.kinds.clone());
        self.enter(Failure { path, kind: ErrorKind::Incomplete, message, mixed: false, differs })
    }

    fn enter(&self, failure: Failure) -> Failure {
        let mixed = failure.mixed;
        self.unrestored.note(|| failure.path.clone());
        Ledger::add(&self.failed, 1);
        self.with(|l| {
            // However much of the repository is damaged, trouble at the target must show.
            if l.failures.len() == KEPT && (mixed || failure.kind != ErrorKind::Corrupt) {
                l.failures.pop();
            }
            push(&mut l.failures, failure.clone());
        });
        self.log(|| json!({"entry": failure.path, "failed": failure.message, "kind": failure.kind}));
        failure
    }

    /// Keeps a file of which something is damaged.
    pub(crate) fn lose(&self, slot: &FileSlot) {
        let (Some(lost), Some(object), SlotKind::File) = (&self.lost, slot.object, slot.kind) else { return };
        let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.len() < LOOKED_AT {
            lost.push(Lost {
                folder: Arc::clone(&slot.folder),
                name: slot.name.clone(),
                object,
                size: slot.size,
                attributes: slot.attributes,
            });
            if lost.len() == LOOKED_AT {
                self.warn(format!(
                    "{LOOKED_AT} files are damaged: of any more it is not said which ranges are lost"
                ));
            }
        }
    }

    /// Returns the damaged files, by path.
    pub(crate) fn take_lost(&self) -> Vec<Lost> {
        let Some(lost) = &self.lost else { return Vec::new() };
        let mut lost = std::mem::take(&mut *lost.lock().unwrap_or_else(PoisonError::into_inner));
        lost.sort_by_cached_key(|lost| lost.folder.path_of(lost.name.as_str()));
        lost
    }

    /// Counts and logs a range of a file that cannot be read.
    pub(crate) fn lost_range(&self, path: &str, range: std::ops::Range<u64>, error: &Error) {
        Ledger::add(&self.lost_bytes, range.end - range.start);
        self.log(|| {
            json!({
                "entry": path,
                "lost": {"offsetBytes": range.start, "lengthBytes": range.end - range.start},
                "content": error.content().map(ToString::to_string),
                "pack": error.pack().map(ToString::to_string),
                "cause": error.chain(),
            })
        });
    }

    /// Takes note of a file that holds what is left of a damaged one.
    pub(crate) fn left_over(&self, path: String, message: String) {
        self.log(|| json!({"entry": path, "leftOver": message}));
        self.with(|l| push(&mut l.left_over, Remark { path, message }));
    }

    /// Counts and logs an attribute that could not be set.
    pub(crate) fn attribute_unset(&self, path: String, message: String) {
        Ledger::add(&self.unset_attributes, 1);
        self.log(|| json!({"entry": path, "unset": message}));
        self.with(|l| push(&mut l.fidelity, Remark { path, message }));
    }

    /// Counts a file or link that is as the snapshot has it, with the bytes of its object, and logs it.
    pub(crate) fn entry_done(&self, slot: &FileSlot, bytes: u64) {
        if slot.protected.load(Ordering::Relaxed) {
            self.protect(&slot.path());
            return;
        }
        match slot.kind {
            SlotKind::File => {
                Ledger::add(&self.files, 1);
                let (kept, object) = (&slot.kept_bytes, &slot.object_bytes);
                if kept.load(Ordering::Relaxed) > 0 && object.load(Ordering::Relaxed) == 0 {
                    Ledger::add(&self.kept_files, 1);
                }
                Ledger::add(&self.bytes, bytes);
            }
            SlotKind::Symlink => Ledger::add(&self.symlinks, 1),
        }
        self.log(|| json!({"entry": slot.path(), "bytes": bytes}));
        if slot.is_checkpointed() && bytes < slot.size {
            let what = format!("a checkpoint holds {bytes} of the {} bytes that the file had", slot.size);
            self.incomplete(slot.path(), what);
        }
    }

    /// Takes note of an entry that holds less than its source had.
    pub(crate) fn incomplete(&self, path: String, message: String) {
        self.with(|l| push(&mut l.incomplete, Remark { path, message }));
    }

    /// Counts an entry that should have gone and is still there.
    pub(crate) fn remains(&self, path: String, message: String) {
        Ledger::add(&self.undeleted, 1);
        self.with(|l| push(&mut l.remaining, Remark { path, message }));
    }

    /// Counts what was removed, and what should have gone: `remaining_count` entries, of which `remaining` are named.
    pub(crate) fn removed(&self, entries: u64, remaining: Vec<(String, String)>, remaining_count: u64) {
        Ledger::add(&self.deleted, entries);
        self.remain_unnamed(remaining_count - remaining.len() as u64);
        for (path, why) in remaining {
            self.remains(path, why);
        }
    }

    /// Counts a file or link that is left alone as asked.
    pub(crate) fn skip(&self, is_file: bool) {
        Ledger::add(&self.skipped, 1);
        Ledger::add(if is_file { &self.skipped_files } else { &self.skipped_symlinks }, 1);
    }

    /// Counts an entry that is kept because this run needs it.
    pub(crate) fn protect(&self, path: &str) {
        Ledger::add(&self.protected, 1);
        self.unrestored.note(|| path.to_owned());
        self.warn(format!("{path} is needed by this run and stays as it is"));
    }

    /// Makes the run a dry run: its report says what would be done. `samples`: some of the reads are kept.
    pub(crate) fn begin_plan(&self, samples: bool) {
        self.with(|l| {
            l.planned.get_or_insert_default();
            l.sample = samples.then(Sample::default);
        });
    }

    /// Counts a pack read of a dry run.
    pub(crate) fn plan<T>(&self, read: &PackRead<T>) {
        self.with(|l| {
            l.packs.insert(read.pack.0);
            let planned = l.planned.get_or_insert_default();
            planned.requests += 1;
            planned.bytes += read.range.end - read.range.start;
            if let Some(sample) = &mut l.sample {
                sample.take(read);
            }
        });
    }

    /// Returns the reads that were kept.
    pub(crate) fn take_sample(&self) -> Option<Sample> {
        let mut taken = None;
        self.with(|l| taken = l.sample.take());
        taken
    }

    /// Takes note of the room that a dry run's target needs, and has.
    pub(crate) fn would_need(&self, room_bytes: u64, available_bytes: Option<u64>) {
        self.with(|l| {
            let planned = l.planned.get_or_insert_default();
            (planned.room_bytes, planned.available_bytes) = (room_bytes, available_bytes);
        });
    }

    /// Takes note of the time that a restore would take.
    pub(crate) fn would_take(&self, estimate: Estimate) {
        self.with(|l| l.planned.get_or_insert_default().estimate = Some(estimate));
    }

    /// Counts an existing entry that a dry run would change, or perhaps change.
    pub(crate) fn would_change(&self, path: String, perhaps: bool) {
        self.with(|l| {
            let planned = l.planned.get_or_insert_default();
            if perhaps {
                planned.perhaps += 1;
                return;
            }
            planned.changed += 1;
            if planned.first_changed.len() < FIRST {
                planned.first_changed.push(path);
            }
        });
    }

    /// Takes note of what a dry run would delete.
    pub(crate) fn would_delete(&self, deletion: Deletion) {
        self.with(|l| l.planned.get_or_insert_default().deletion = deletion);
    }

    /// Counts more entries that should have gone, of which too many are named already.
    pub(crate) fn remain_unnamed(&self, entries: u64) {
        Ledger::add(&self.undeleted, entries);
    }

    /// Takes note of another thing to know.
    pub(crate) fn warn(&self, message: String) {
        self.with(|l| push(&mut l.warnings, message));
    }

    /// Returns the counters as they are now; traffic and time are the caller's to fill in.
    pub(crate) fn report(&self) -> Report {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let mut report = Report {
            files: get(&self.files),
            directories: get(&self.directories),
            symlinks: get(&self.symlinks),
            bytes: get(&self.bytes),
            kept_files: get(&self.kept_files),
            kept_bytes: get(&self.kept_bytes),
            skipped: get(&self.skipped),
            skipped_files: get(&self.skipped_files),
            skipped_symlinks: get(&self.skipped_symlinks),
            written_bytes: get(&self.written_bytes),
            deleted: get(&self.deleted),
            undeleted: get(&self.undeleted),
            protected: get(&self.protected),
            failed: get(&self.failed),
            unset_attributes: get(&self.unset_attributes),
            needed_bytes: get(&self.needed_bytes),
            lost_bytes: get(&self.lost_bytes),
            stages: self.clock.times(),
            ..Report::default()
        };
        self.with(|l| {
            report.failures.clone_from(&l.failures);
            report.fidelity.clone_from(&l.fidelity);
            report.incomplete.clone_from(&l.incomplete);
            report.remaining.clone_from(&l.remaining);
            report.left_over.clone_from(&l.left_over);
            report.warnings.clone_from(&l.warnings);
            let packs = l.packs.len() as u64;
            report.planned = l.planned.clone().map(|planned| Planned { packs, ..planned });
        });
        report.failures.sort_by(|a, b| a.path.cmp(&b.path));
        report
    }

    /// Writes out the report file.
    ///
    /// # Errors
    /// When a line of it could not be written.
    pub(crate) fn close_log(&self) -> Result<()> {
        self.log.as_ref().map_or(Ok(()), ReportLines::flush)
    }

    fn log(&self, line: impl FnOnce() -> serde_json::Value) {
        if let Some(log) = &self.log {
            log.write(line());
        }
    }

    fn with(&self, f: impl FnOnce(&mut Lists)) {
        f(&mut self.lists.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < KEPT {
        list.push(item);
    }
}
