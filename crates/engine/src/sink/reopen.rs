//! Opens again what is in the target already.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rekopia_format::entry_name::EntryName;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::closed::Closed;
use super::error::SinkError;
use super::existing::{Existing, ExistingBytes};
use super::handles::DirHandle;
use super::node::DirNode;
use super::state::Sink;

impl Sink {
    /// Opens an existing file for reading; one that is ours is made readable first.
    pub(crate) fn open_existing(
        &self,
        node: &Arc<DirNode>,
        name: &EntryName,
    ) -> Result<ExistingBytes, SinkError> {
        let dir = self.dir(node)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match self.options.looks_only {
            true => rustix::fs::openat(&dir.fd, name.as_str(), flags, Mode::empty()),
            false => open_with(&dir, name, None, OFlags::RDONLY, Mode::RUSR),
        };
        file.map(ExistingBytes::File).map_err(|e| SinkError::sys("opening", &node.path_of(name.as_str()), e))
    }

    /// Reads where an existing link leads.
    pub(crate) fn read_link(
        &self,
        node: &Arc<DirNode>,
        name: &EntryName,
    ) -> Result<ExistingBytes, SinkError> {
        let dir = self.dir(node)?;
        let target = rustix::fs::readlinkat(&dir.fd, name.as_str(), Vec::new());
        target
            .map(|target| ExistingBytes::Link(target.into_bytes()))
            .map_err(|e| SinkError::sys("reading", &node.path_of(name.as_str()), e))
    }
}

/// Opens an existing file; when that is refused and the file is ours, its mode is widened first. Where something else
/// than `known` is there by now, the answer is `STALE`, as NFS has it, and nothing is changed.
pub(super) fn open_with(
    dir: &DirHandle,
    name: &EntryName,
    known: Option<&Existing>,
    flags: OFlags,
    need: Mode,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let name = name.as_str();
    let is_known = |stat: &Stat| known.is_none_or(|known| known.is(stat));
    match rustix::fs::openat(&dir.fd, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let closed = Closed::hold(&dir.fd, name, FileType::RegularFile)?;
            if !is_known(&closed.stat) {
                return Err(Errno::STALE);
            }
            closed.chmod(closed.mode() | need)?;
            let opened = closed.open(flags);
            if flags.intersection(OFlags::RWMODE) == OFlags::RDONLY || opened.is_err() {
                closed.chmod(closed.mode())?;
            }
            opened
        }
        Ok(file) if known.is_some() => {
            if is_known(&rustix::fs::fstat(&file)?) {
                Ok(file)
            } else {
                Err(Errno::STALE)
            }
        }
        other => other,
    }
}
