//! Finds where another mount begins: bind mounts of the same file system, subvolumes and everything else.
//!
//! `openat2` with `RESOLVE_NO_XDEV` refuses each mount point, also one whose device is that of its surroundings. Where
//! the kernel has no such call the device has to do. A subvolume is no mount, but has a device of its own.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;

pub(super) const DIR_FLAGS: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// A directory that was opened by its name in another one.
pub(super) struct Entered {
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
    /// Whether the directory lies on another mount, or another device, than the directory that holds its name.
    pub(super) crosses: bool,
}

/// Opens the directory `name` in `dir`, whose device is `dev`.
pub(super) fn enter(dir: impl AsFd, dev: u64, name: impl rustix::path::Arg + Copy) -> Result<Entered, Errno> {
    let (fd, crosses) = match open_on_same_mount(dir.as_fd(), name) {
        Err(Errno::XDEV) => (rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty())?, true),
        // Not there before Linux 5.6, refused by older sandboxes.
        Err(Errno::NOSYS | Errno::PERM) => (rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty())?, false),
        other => (other?, false),
    };
    let stat = rustix::fs::fstat(&fd)?;
    Ok(Entered { fd, crosses: crosses || device(&stat) != dev, stat })
}

fn open_on_same_mount(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(dir, name, DIR_FLAGS, Mode::empty(), resolve)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (dir, name);
        Err(Errno::NOSYS)
    }
}

#[expect(clippy::unnecessary_cast, reason = "the field has other types elsewhere")]
pub(super) fn device(stat: &Stat) -> u64 {
    stat.st_dev as u64
}

/// The facts about an entry that are known without opening it.
pub(super) struct Looked {
    pub(super) is_dir: bool,
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// Bytes that removing the entry gives back: none for a file with other names.
    pub(super) bytes: u64,
    /// Whether something is mounted on the entry: a directory or a file.
    pub(super) is_mount: bool,
}

/// Looks at the entry `name` of `dir`, whose device is `dev`.
pub(super) fn look(dir: impl AsFd, dev: u64, name: impl rustix::path::Arg) -> Result<Looked, Errno> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, mask)?;
    let kind = rustix::fs::FileType::from_raw_mode(found.stx_mode.into());
    let own = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
    let is_dir = kind == rustix::fs::FileType::Directory;
    let bytes = if is_dir || found.stx_nlink <= 1 { found.stx_blocks.saturating_mul(512) } else { 0 };
    let is_mount = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) || own != dev;
    Ok(Looked { is_dir, dev: own, ino: found.stx_ino, bytes, is_mount })
}
