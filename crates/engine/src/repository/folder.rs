//! The folder of a repository, where it is one: nothing is written there.

use std::path::Path;

/// Whether a file of this name would lie in the folder.
pub(super) fn is_inside(folder: &Path, path: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = path.canonicalize().or_else(|_| parent.canonicalize());
    real.is_ok_and(|real| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder)))
}
