//! Opens what is closed to its own owner, with more mode bits: never what somebody else put under its name.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// A file or directory of ours, held by its inode whatever its mode is and whatever becomes of its name.
#[derive(Debug)]
pub(super) struct Closed {
    held: OwnedFd,
    pub(super) stat: Stat,
}

impl Closed {
    /// Holds a file or directory of ours; refuses with `ACCESS` what is of another kind or of somebody else.
    pub(super) fn hold(dir: impl AsFd, name: impl rustix::path::Arg, kind: FileType) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&held)?;
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if !is_ours || FileType::from_raw_mode(stat.st_mode) != kind {
            return Err(Errno::ACCESS);
        }
        Ok(Closed { held, stat })
    }

    /// Returns the mode that the file or directory had.
    pub(super) fn mode(&self) -> Mode {
        Mode::from_raw_mode(self.stat.st_mode)
    }

    /// Changes the mode. Without `/proc` it stays closed: every other way goes by the name.
    pub(super) fn chmod(&self, mode: Mode) -> Result<(), Errno> {
        rustix::fs::chmod(self.path(), mode).map_err(|_| Errno::ACCESS)
    }

    /// Opens the file or directory.
    pub(super) fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        // The kernel's link to the inode is the one that is followed.
        rustix::fs::openat(CWD, self.path(), flags - OFlags::NOFOLLOW, Mode::empty())
    }

    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.held.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_that_takes_the_name_changes_nothing_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let mode =
            |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        for (name, kind) in [("file", FileType::RegularFile), ("folder", FileType::Directory)] {
            let path = dir.path().join(name);
            match kind {
                FileType::Directory => std::fs::create_dir(&path).unwrap(),
                _ => std::fs::write(&path, "").unwrap(),
            }
            std::fs::write(dir.path().join("victim"), "").unwrap();
            for (name, mode) in [(name, 0o000), ("victim", 0o640)] {
                let mode = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(dir.path().join(name), mode).unwrap();
            }
            let at = std::fs::File::open(dir.path()).unwrap();
            let closed = Closed::hold(&at, name, kind).unwrap();
            std::fs::rename(&path, dir.path().join("moved")).unwrap();
            symlink("victim", &path).unwrap();
            closed.chmod(Mode::RWXU).unwrap();
            closed.open(OFlags::RDONLY | OFlags::CLOEXEC).unwrap();
            assert_eq!((mode("moved"), mode("victim")), (0o700, 0o640), "{name}");
            assert_eq!(Closed::hold(&at, name, kind).unwrap_err(), Errno::ACCESS);
            assert_eq!(Closed::hold(&at, "moved", FileType::Symlink).unwrap_err(), Errno::ACCESS);
            let moved = dir.path().join("moved");
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(&moved, Some(1000), None).unwrap();
                assert_eq!(Closed::hold(&at, "moved", kind).unwrap_err(), Errno::ACCESS);
            }
            std::fs::rename(&moved, dir.path().join(format!("{name} before"))).unwrap();
        }
    }
}
