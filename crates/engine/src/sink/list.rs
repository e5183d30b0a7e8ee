//! Lists names of the target that the snapshot may not have.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::error::SinkError;
use super::handles::put_mode_back;
use super::node::DirNode;
use super::remove::{self, Survey};
use super::state::Sink;
use super::{aside, folding};

/// A name that a directory of the target lists.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) name: &'a CStr,
    pub(crate) kind: ListedKind,
    /// Whether device and inode are those of something that this run needs.
    pub(crate) is_protected: bool,
}

/// The kind of a listed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListedKind {
    Directory,
    File,
    Symlink,
    Special,
}

/// The result of listing a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// Every name was given.
    Done,
    /// The directory is not there, or something else is in its place.
    Absent,
    /// The directory lies on another mount, or stays as it is: nothing may be deleted in it.
    Elsewhere,
}

impl Sink {
    /// Calls `each` with every name in the directory. A thing that a killed run left aside, and that will be put back,
    /// is given as if it were back.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub(crate) fn list(
        &self,
        node: &Arc<DirNode>,
        mut each: impl FnMut(Listed<'_>) -> Result<(), SinkError>,
    ) -> Result<Listing, SinkError> {
        let handle = match self.dir(node) {
            Err(e) if e.is_absent() => return Ok(Listing::Absent),
            Err(e) if e.is_kept() || e.is_protected() => return Ok(Listing::Elsewhere),
            other => other?,
        };
        if node.opened().is_some_and(|opened| opened.crossed) {
            return Ok(Listing::Elsewhere);
        }
        let failed = |e| SinkError::sys("listing", &node.path(), e);
        let dev = node.opened().map_or(0, |opened| opened.dev);
        for entry in Dir::read_from(&handle.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == c"." || name == c".." || node.parent().is_none() && name == c"lost+found" {
                continue;
            }
            let back = name.to_str().ok().and_then(|name| aside::left_aside(&handle.fd, name));
            let back = back.and_then(|name| CString::new(name).ok());
            let name = back.as_deref().unwrap_or(name);
            let mut kind = entry.file_type();
            if kind == FileType::Unknown || back.is_some() {
                kind = match rustix::fs::statat(&handle.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    // Aside: what it is shows when it is back.
                    Err(Errno::NOENT) if back.is_some() => FileType::RegularFile,
                    Err(Errno::NOENT) => continue,
                    Err(e) => return Err(failed(e)),
                };
            }
            let kind = match kind {
                FileType::Directory => ListedKind::Directory,
                FileType::RegularFile => ListedKind::File,
                FileType::Symlink => ListedKind::Symlink,
                _ => ListedKind::Special,
            };
            let is_protected = self.protected.contains(&(dev, entry.ino()));
            each(Listed { name, kind, is_protected })?;
        }
        Ok(Listing::Done)
    }

    /// Tells what is at and below an entry of a directory. `each` gets every path from the directory, and whether it is
    /// one.
    pub(crate) fn survey(
        &self,
        node: &Arc<DirNode>,
        name: &CStr,
        each: &mut dyn FnMut(&[u8], bool),
    ) -> Result<Survey, SinkError> {
        let handle = self.dir(node)?;
        let shown = || node.path_of(&name.to_string_lossy());
        remove::survey(&handle.fd, name, &self.protected, each)
            .map_err(|e| SinkError::sys("looking into", &shown(), e))
    }

    /// Whether another spelling of a listed name leads to it, too.
    pub(crate) fn folds(&self, node: &Arc<DirNode>, name: &CStr) -> bool {
        let handle = self.dir(node);
        handle.is_ok_and(|handle| name.to_str().is_ok_and(|name| folding::folds(&handle.fd, name)))
    }

    /// Puts the mode of a directory back that had to be opened to be looked at, and goes up to the one above.
    pub(crate) fn close_again(&self, node: &Arc<DirNode>) {
        if !node.is_opened() {
            return;
        }
        let Ok(handle) = self.dir(node) else { return };
        // The way up leads through what may be closed afterwards.
        self.handles.climb(node, &handle);
        if self.handles.finished(node) {
            put_mode_back(node, &handle);
        }
    }
}
