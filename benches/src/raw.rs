//! The system calls of a restore and nothing else.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid};

/// What a restored file gets.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    /// Set only when this runs as root.
    owner: Option<(Uid, Gid)>,
    time: Timestamps,
}

impl Attributes {
    /// User and group 1000, a time in 2025.
    pub(crate) fn new() -> Self {
        let time = Timespec { tv_sec: 1_735_689_600, tv_nsec: 123_456_789 };
        let root = rustix::process::geteuid().is_root();
        let owner = root.then(|| (Uid::from_raw(1000), Gid::from_raw(1000)));
        Attributes { owner, time: Timestamps { last_access: time, last_modification: time } }
    }

    /// Owner, mode, times: three system calls as root, two otherwise.
    pub(crate) fn set(&self, file: &OwnedFd) -> rustix::io::Result<()> {
        if let Some((user, group)) = self.owner {
            rustix::fs::fchown(file, Some(user), Some(group))?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(0o644))?;
        rustix::fs::futimens(file, &self.time)
    }
}

/// Opens a directory.
pub(crate) fn directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).with_context(|| path.display().to_string())
}

/// Creates a file that must not be there.
pub(crate) fn create(directory: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Writes everything at an offset.
pub(crate) fn write_at(file: &OwnedFd, mut data: &[u8], mut offset: u64) -> rustix::io::Result<()> {
    while !data.is_empty() {
        let written = rustix::io::pwrite(file, data, offset)?;
        offset += written as u64;
        data = &data[written..];
    }
    Ok(())
}
