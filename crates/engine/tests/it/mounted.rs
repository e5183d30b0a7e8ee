//! Mounts of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use rekopia_testkit::skip::{has_programs, must_run};

const TEST: &str = "a test with a mount of its own";

/// Something that is mounted until it is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// `None`, said aloud, where this process may not mount.
    pub(crate) fn new(arguments: &[&str], at: &Path) -> Option<Self> {
        if !has_programs(TEST, &["mount"]) {
            return None;
        }
        let done = Command::new("mount").args(arguments).arg(at).output().unwrap();
        if done.status.success() {
            return Some(Mounted(at.to_owned()));
        }
        eprintln!("{}", String::from_utf8_lossy(&done.stderr));
        must_run(TEST, "mounting is refused here");
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
