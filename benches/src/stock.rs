//! VolSync's stock script, and how the operator starts it and our mover.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::corpora::PASSWORD;

/// Puts the real Kopia where the script finds it, by its name.
pub(crate) fn name_kopia(dir: &Path, kopia: &Path) -> Result<()> {
    let link = dir.join("bin/kopia");
    let _ = fs::remove_file(&link);
    Ok(std::os::unix::fs::symlink(fs::canonicalize(kopia)?, &link)?)
}

/// Copies a repository to `to`, once: every run of the script leaves a log in it.
pub(crate) fn copy(repository: &Path, to: &Path) -> Result<()> {
    if !to.exists() {
        let status = Command::new("cp").arg("-a").arg(repository).arg(to).status()?;
        ensure!(status.success(), "cp ended with {status}");
    }
    Ok(())
}

/// Returns what a restore job is given, beside its repository: `dir` has the programs, `place` the volume and the
/// cache.
pub(crate) fn environment(dir: &Path, place: &Path) -> Vec<(String, OsString)> {
    let mut path = dir.join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let text = |text: &str| OsString::from(text);
    [
        ("PATH", path),
        ("DATA_DIR", place.join("volume").into()),
        ("KOPIA_CACHE_DIR", place.join("cache").into()),
        ("KOPIA_PASSWORD", text(PASSWORD)),
        ("KOPIA_OVERRIDE_USERNAME", text("bench")),
        ("KOPIA_OVERRIDE_HOSTNAME", text("host")),
        // Elsewhere than in a pod the script would look for the folder of the volume.
        ("KOPIA_SOURCE_PATH_OVERRIDE", text("/data")),
        ("KOPIA_DISCOVER_SNAPSHOTS", text("true")),
        ("KOPIA_CACHE_CAPACITY_BYTES", text("8589934592")),
        ("PRIVILEGED_MOVER", text("1")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
