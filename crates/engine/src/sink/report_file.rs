//! Creates the report of a run, which is written beside the target.

use std::fs::File;
use std::path::Path;

/// Creates the file for a report that was asked for by name.
pub(crate) fn create_report_file(path: &Path) -> std::io::Result<File> {
    File::create(path)
}
