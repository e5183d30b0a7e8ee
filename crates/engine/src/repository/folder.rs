//! Protects the folder of a local repository: nothing is written there.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Refuses a file that would lie in the folder.
pub(super) fn check_outside(folder: Option<&Path>, path: &Path) -> Result<()> {
    if folder.is_none_or(|folder| !is_inside(folder, path)) {
        return Ok(());
    }
    let what = format!("{} lies in the repository, to which nothing is written", path.display());
    Err(Error::new(ErrorKind::Usage, what))
}

fn is_inside(folder: &Path, path: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = path.canonicalize().or_else(|_| parent.canonicalize());
    real.is_ok_and(|real| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder)))
}
