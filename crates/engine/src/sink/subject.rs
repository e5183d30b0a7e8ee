//! Names what gets attributes: an open file or directory, or a link by its name.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Gid, Mode, Stat, Timestamps, Uid};
use rustix::io::Errno;

use super::handles::DirHandle;

/// A thing whose attributes are changed: an open file, or a link by its name.
pub(super) trait Subject {
    fn chown(&self, uid: Uid, gid: Gid) -> Result<(), Errno>;
    /// Sets the mode; `None`: the subject has no mode of its own.
    fn chmod(&self, mode: Mode) -> Option<Result<(), Errno>>;
    fn utimes(&self, times: &Timestamps) -> Result<(), Errno>;
    fn stat(&self) -> Result<Stat, Errno>;
}

/// A file or directory that is open.
pub(super) struct Opened<'a, F>(pub(super) &'a F);

impl<F: AsFd> Subject for Opened<'_, F> {
    fn chown(&self, uid: Uid, gid: Gid) -> Result<(), Errno> {
        rustix::fs::fchown(self.0, Some(uid), Some(gid))
    }

    fn chmod(&self, mode: Mode) -> Option<Result<(), Errno>> {
        Some(rustix::fs::fchmod(self.0, mode))
    }

    fn utimes(&self, times: &Timestamps) -> Result<(), Errno> {
        rustix::fs::futimens(self.0, times)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.0)
    }
}

/// A symbolic link in a directory.
pub(super) struct Link<'a>(pub(super) &'a DirHandle, pub(super) &'a str);

impl Subject for Link<'_> {
    fn chown(&self, uid: Uid, gid: Gid) -> Result<(), Errno> {
        rustix::fs::chownat(&self.0.fd, self.1, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn chmod(&self, _mode: Mode) -> Option<Result<(), Errno>> {
        None
    }

    fn utimes(&self, times: &Timestamps) -> Result<(), Errno> {
        rustix::fs::utimensat(&self.0.fd, self.1, times, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.0.fd, self.1, AtFlags::SYMLINK_NOFOLLOW)
    }
}
