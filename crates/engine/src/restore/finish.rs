//! The end of entries: attributes of directories whose countdown reached zero, counters, failures.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::options::{OnError, RestoreOptions};
use super::report::{Failure, Tally};
use super::slot::{FileSlot, Folder, SlotKind};
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Cancel, Event, Observer, Phase};
use crate::sink::{FidelityIssue, Sink};

/// Takes note of what is done and what failed; shared by all stages of a run.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) observer: Arc<dyn Observer>,
    /// Set by the caller, or here when the run has to end early.
    pub(crate) stop: Cancel,
    on_error: OnError,
    strict_attributes: bool,
    fatal: Mutex<Option<Failure>>,
    log: Option<Mutex<BufWriter<File>>>,
}

impl Outcome {
    /// Opens the report file, if one is wanted.
    pub(crate) fn new(options: &RestoreOptions, observer: Arc<dyn Observer>) -> Result<Self> {
        let log = options.report_file.as_deref().map(create_report).transpose()?;
        Ok(Outcome {
            tally: Tally::default(),
            observer,
            stop: Cancel::new(),
            on_error: options.on_error,
            strict_attributes: options.strict_attributes,
            fatal: Mutex::new(None),
            log: log.map(Mutex::new),
        })
    }

    /// Another part of the run begins.
    pub(crate) fn enter(&self, phase: Phase) {
        self.observer.event(Event::Phase { phase });
    }

    /// An entry failed. Ends the run when it is to stop at errors, or when going on makes no sense.
    pub(crate) fn failed(&self, path: String, error: &Error, mixed: bool) {
        // The run is over; what fails now fails because of that. A file that it leaves half-changed is still told of.
        if self.fatal().is_some() && !mixed {
            return;
        }
        let always =
            matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Internal) || is_disk_full(error);
        let failure = self.tally.fail(path, error, mixed);
        self.log(&json!({"entry": failure.path, "failed": failure.message, "kind": failure.kind}));
        self.observer.event(Event::Failed { path: failure.path.clone(), message: failure.message.clone() });
        if always || self.on_error == OnError::Stop {
            let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
            fatal.get_or_insert(failure);
            self.stop.cancel();
        }
    }

    /// Attributes that could not be set on a restored entry.
    pub(crate) fn unset(&self, issues: Vec<FidelityIssue>) {
        for issue in issues {
            let (path, message) = (issue.path.clone(), issue.to_string());
            self.log(&json!({"entry": path, "unset": message}));
            self.tally.attribute_unset(path.clone(), message.clone());
            if self.strict_attributes {
                let error = Error::new(ErrorKind::Destination, message);
                self.failed(path, &error, false);
            }
        }
    }

    /// Ends the run for a reason that no entry has.
    pub(crate) fn abort(&self, error: &Error) {
        let failure =
            Failure { path: String::new(), kind: error.kind(), message: error.chain(), mixed: false };
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.stop.cancel();
    }

    /// A file or symlink is as the snapshot has it.
    pub(crate) fn slot_done(&self, slot: &FileSlot, bytes: u64) {
        if slot.protected.load(std::sync::atomic::Ordering::Relaxed) {
            self.tally.protect(&slot.path());
            return;
        }
        match slot.kind {
            SlotKind::File => {
                Tally::add(&self.tally.files, 1);
                let (kept, object) = (&slot.kept_bytes, &slot.object_bytes);
                if kept.load(std::sync::atomic::Ordering::Relaxed) > 0
                    && object.load(std::sync::atomic::Ordering::Relaxed) == 0
                {
                    Tally::add(&self.tally.kept_files, 1);
                }
                Tally::add(&self.tally.bytes, bytes);
            }
            SlotKind::Symlink => Tally::add(&self.tally.symlinks, 1),
        }
        if self.log.is_some() {
            self.log(&json!({"entry": slot.path(), "bytes": bytes}));
        }
        if slot.is_checkpointed() && bytes < slot.size {
            let what = format!("a checkpoint holds {bytes} of the {} bytes that the file had", slot.size);
            self.tally.incomplete(slot.path(), what);
        }
    }

    /// One entry of `folder` (or its listing) is finished; so are the directories that waited for nothing else.
    pub(crate) fn child_done(&self, sink: Option<&Sink>, folder: &Arc<Folder>) {
        let mut done = Arc::clone(folder);
        while done.one_done() {
            if done.node.is_wanted() && !self.stop.is_cancelled() {
                match sink.map_or(Ok(Vec::new()), |sink| sink.finish_dir(&done.node)) {
                    Err(e) if e.is_kept() => Tally::add(&self.tally.skipped, 1),
                    Err(e) if e.is_protected() => self.tally.protect(&done.path()),
                    Ok(issues) => {
                        Tally::add(&self.tally.directories, u64::from(done.counts()));
                        self.unset(issues);
                    }
                    Err(e) => self.failed(done.path(), &e.into(), false),
                }
            }
            let Some(parent) = done.parent().map(Arc::clone) else { return };
            done = parent;
        }
    }

    /// The directory's attributes once more, after something in it was deleted.
    pub(crate) fn refinish(&self, sink: &Sink, folder: &Arc<Folder>) {
        match sink.finish_dir(&folder.node) {
            Ok(_) => {}
            Err(e) => self.failed(folder.path(), &e.into(), false),
        }
    }

    /// Why the run ended early, if it did.
    pub(crate) fn fatal(&self) -> Option<Failure> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes out the report file.
    pub(crate) fn close_log(&self) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.flush().map_err(|e| Error::new(ErrorKind::Destination, "cannot write the report file").because(e))
    }

    fn log(&self, line: &serde_json::Value) {
        if let Some(log) = &self.log {
            // A line that is lost shows when the file is flushed.
            let _ = writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
        }
    }
}

fn create_report(path: &Path) -> Result<BufWriter<File>> {
    let create = crate::sink::create_report_file(path);
    let what = || format!("cannot create the report file {}", path.display());
    create.map(BufWriter::new).map_err(|e| Error::new(ErrorKind::Destination, what()).because(e))
}

fn is_disk_full(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = next {
        if e.downcast_ref::<crate::sink::SinkError>().is_some_and(|e| e.stops_everything()) {
            return true;
        }
        next = e.source();
    }
    false
}
