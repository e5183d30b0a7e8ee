//! The report file: a line of JSON for each entry, failure and loss.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};

/// Lines that are written by several threads.
#[derive(Debug)]
pub(super) struct ReportLines(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    file: BufWriter<File>,
    is_begun: bool,
}

impl ReportLines {
    /// Begins the file anew.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let what = || format!("cannot create the report file {}", path.display());
        let file = crate::sink::create_report_file(path)
            .map_err(|e| Error::new(ErrorKind::Destination, what()).because(e))?;
        Ok(ReportLines(Mutex::new(Lines { file: BufWriter::new(file), is_begun: false })))
    }

    /// Adds a line, an object. The first one also says the version of all.
    pub(super) fn write(&self, mut line: Value) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut lines.is_begun, true) {
            line["version"] = json!(1);
        }
        // A line that is lost shows when the file is flushed.
        let _ = writeln!(lines.file, "{line}");
    }

    /// Writes out what is in memory.
    ///
    /// # Errors
    /// When a line could not be written.
    pub(super) fn flush(&self) -> Result<()> {
        let flushed = self.0.lock().unwrap_or_else(PoisonError::into_inner).file.flush();
        flushed.map_err(|e| Error::new(ErrorKind::Destination, "cannot write the report file").because(e))
    }
}
