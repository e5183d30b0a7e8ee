//! Mounts of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that is mounted until it is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// `None` where this process may not mount.
    pub(crate) fn new(arguments: &[&str], at: &Path) -> Option<Self> {
        let done = Command::new("mount").args(arguments).arg(at).output().unwrap();
        if done.status.success() {
            return Some(Mounted(at.to_owned()));
        }
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(std::env::var_os("REKOPIA_TESTS_MUST_RUN").is_none(), "cannot mount here: {why}");
        eprintln!("skipped: cannot mount here: {why}");
        None
    }
}

impl Mounted {
    /// Changes what is mounted already.
    pub(crate) fn kept(arguments: &[&str], at: &Path) {
        assert!(Command::new("mount").args(arguments).arg(at).status().unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
