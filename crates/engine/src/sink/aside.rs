//! Moves things in the way aside when their replacement is complete; drops them after it, puts them back when it fails.
//!
//! Aside is a folder `.rekopia-old-N/` beside the thing, which holds it under its own name. A run that is killed leaves
//! it there; the next run puts the thing back where its name is free, else the folder is an extra like any other. A mark
//! tells such a folder from one that the snapshot has under this name.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, RenameFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::mounts;

/// A thing that was moved aside.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) folder: String,
    pub(super) name: String,
    /// Whether the thing counts as deleted when it goes: a link that is replaced does not.
    pub(super) counts: bool,
}

pub(super) const PREFIX: &str = ".rekopia-old-";
/// The attribute that marks our folders. Where there are no such attributes it is the sticky bit, on a folder that is
/// ours.
const MARK: &str = "user.rekopia.aside";
const STICKY: Mode = Mode::RWXU.union(Mode::SVTX);
/// Names that are tried.
pub(super) const NAMES: u64 = 10_000;

impl Aside {
    /// Moves `name` aside. Numbers begin at `first`.
    pub(super) fn of(dir: &Arc<OwnedFd>, name: &str, first: u64, counts: bool) -> Result<Self, Errno> {
        let (folder, held) = make_folder(dir, first)?;
        match rustix::fs::renameat(dir, name, &held, name) {
            Ok(()) => Ok(Aside { dir: Arc::clone(dir), folder, name: name.to_owned(), counts }),
            Err(e) => {
                let _ = rustix::fs::unlinkat(dir, &folder, AtFlags::REMOVEDIR);
                Err(e)
            }
        }
    }

    /// Moves the thing back to its name, which is free.
    pub(super) fn put_back(&self) -> Result<(), Errno> {
        put_back(&self.dir, &self.folder, &self.name)
    }
}

fn make_folder(dir: &OwnedFd, first: u64) -> Result<(String, OwnedFd), Errno> {
    for number in first..first + NAMES {
        let folder = format!("{PREFIX}{number}");
        match rustix::fs::mkdirat(dir, &folder, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => continue,
            Err(e) => return Err(e),
        }
        let held = mounts::enter(dir, 0, folder.as_str()).map(|entered| entered.fd);
        let marked = held.and_then(|held| {
            match rustix::fs::fsetxattr(&held, MARK, b"1", XattrFlags::empty()) {
                Ok(()) => {}
                Err(_) => rustix::fs::fchmod(&held, STICKY)?,
            }
            Ok(held)
        });
        return match marked {
            Ok(held) => Ok((folder, held)),
            Err(e) => {
                let _ = rustix::fs::unlinkat(dir, &folder, AtFlags::REMOVEDIR);
                Err(e)
            }
        };
    }
    Err(Errno::EXIST)
}

/// Moves what is aside in `folder` back to its name, which is free.
pub(super) fn put_back(dir: &OwnedFd, folder: &str, name: &str) -> Result<(), Errno> {
    let held = mounts::enter(dir, 0, folder)?.fd;
    match rustix::fs::renameat_with(&held, name, dir, name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            // Where the file system cannot refuse by itself, we look first.
            match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => rustix::fs::renameat(&held, name, dir, name)?,
                Ok(_) => return Err(Errno::EXIST),
                Err(e) => return Err(e),
            }
        }
        other => other?,
    }
    rustix::fs::unlinkat(dir, folder, AtFlags::REMOVEDIR)
}

/// Returns the thing that a run which was killed left aside in `folder`, when it is ours and its name is free.
pub(super) fn left_aside(dir: impl AsFd + Copy, folder: &str) -> Option<String> {
    if !folder.starts_with(PREFIX) {
        return None;
    }
    let held = mounts::enter(dir, 0, folder).ok()?;
    if held.stat.st_uid != rustix::process::geteuid().as_raw() || !is_marked(&held.fd, &held.stat) {
        return None;
    }
    let mut only = None;
    for entry in Dir::read_from(&held.fd).ok()? {
        let entry = entry.ok()?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            if only.is_some() {
                return None;
            }
            only = Some(entry.file_name().to_str().ok()?.to_owned());
        }
    }
    let name = only?;
    let taken = rustix::fs::statat(dir, name.as_str(), AtFlags::SYMLINK_NOFOLLOW);
    (taken.err() == Some(Errno::NOENT)).then_some(name)
}

fn is_marked(held: &OwnedFd, stat: &Stat) -> bool {
    let mut value = [0u8; 1];
    match rustix::fs::fgetxattr(held, MARK, &mut value) {
        Ok(_) => true,
        Err(Errno::NODATA) => false,
        Err(_) => Mode::from_raw_mode(stat.st_mode).contains(Mode::SVTX),
    }
}
