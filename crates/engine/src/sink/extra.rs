//! Removes what the snapshot does not have. Links are unlinked, never followed; mount points are left alone.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::closed::Closed;

const DIR_FLAGS: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// Directories below one another that are open at once while a tree is removed.
const MAX_OPEN: usize = 200;

/// What removing extras did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) entries: u64,
    /// Names that stay because something is mounted there.
    pub(crate) mount_points: Vec<String>,
}

/// Removes every entry of `dir` that `keeps` does not name; `before` is called when there is one. At the root
/// `lost+found` always stays.
pub(crate) fn remove_extra(
    dir: &OwnedFd,
    keeps: &HashSet<String>,
    is_root: bool,
    before: impl Fn(),
) -> Result<Removed, (String, Errno)> {
    let mut removed = Removed::default();
    for name in names(dir).map_err(|e| (String::new(), e))? {
        let shown = name.to_string_lossy().into_owned();
        let kept = name.to_str().is_ok_and(|n| keeps.contains(n) || (is_root && n == "lost+found"));
        if kept {
            continue;
        }
        let here = |e| (shown.clone(), e);
        let stat = match rustix::fs::statat(dir, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other.map_err(here)?,
        };
        if stat.st_dev != rustix::fs::fstat(dir).map_err(here)?.st_dev {
            removed.mount_points.push(shown);
            continue;
        }
        before();
        removed.entries += remove(dir, name.as_c_str(), &stat).map_err(here)?;
    }
    Ok(removed)
}

/// Removes one entry, a directory with everything in it; gives the number of entries removed.
///
/// Iterative, with a bounded number of open directories: when a chain gets too long, the deepest part is emptied by
/// moving it up beneath the entry first.
pub(crate) fn remove<N: rustix::path::Arg + Copy>(dir: &OwnedFd, name: N, stat: &Stat) -> Result<u64, Errno> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
        return Ok(1);
    }
    let top = open_dir(dir, name)?;
    let mut count = 0;
    let mut moved = 0u64;
    let mut stack = vec![(CString::default(), top)];
    while let Some((_, here)) = stack.last() {
        let mut next = None;
        for entry in names(here)? {
            let stat = rustix::fs::statat(here, entry.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                if stat.st_dev != rustix::fs::fstat(here)?.st_dev {
                    return Err(Errno::BUSY);
                }
                next = Some(entry);
                break;
            }
            rustix::fs::unlinkat(here, entry.as_c_str(), AtFlags::empty())?;
            count += 1;
        }
        match next {
            Some(entry) if stack.len() >= MAX_OPEN => {
                // Too deep: the subtree is moved to the top, where it is met again.
                moved += 1;
                let aside = format!(".rekopia-removing-{moved}");
                rustix::fs::renameat(here, entry.as_c_str(), &stack[0].1, aside)?;
            }
            Some(entry) => {
                let below = open_dir(here, entry.as_c_str())?;
                stack.push((entry, below));
            }
            None => {
                let Some((done, fd)) = stack.pop() else { break };
                drop(fd);
                if let Some((_, parent)) = stack.last() {
                    rustix::fs::unlinkat(parent, done.as_c_str(), AtFlags::REMOVEDIR)?;
                    count += 1;
                }
            }
        }
    }
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?;
    Ok(count + 1)
}

fn open_dir<N: rustix::path::Arg + Copy>(dir: &OwnedFd, name: N) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty()) {
        Err(Errno::ACCESS) => {}
        other => {
            let fd = other?;
            // It is going to be removed: what keeps us from emptying it goes first.
            let _ = rustix::fs::fchmod(&fd, Mode::RWXU);
            return Ok(fd);
        }
    }
    let closed = Closed::hold(dir, name, FileType::Directory)?;
    closed.chmod(Mode::RWXU)?;
    closed.open(DIR_FLAGS)
}

fn names(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
