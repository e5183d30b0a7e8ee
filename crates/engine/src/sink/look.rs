//! Looks at what is where an entry is to be.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::error::SinkError;
use super::existing::{Existing, ExistingKind};
use super::node::DirNode;
use super::state::Sink;
use super::{beside, folding, remove};

/// An entry of the snapshot, as far as a look at the target has to know it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Want {
    /// A symbolic link.
    pub(crate) is_link: bool,
    /// Whether the directory has another name that a file system may take for this one.
    pub(crate) may_clash: bool,
}

impl Sink {
    /// Returns what is at `name` now; `None`: nothing. What cannot stay and may not go is refused (design: in the way).
    pub(crate) fn look(
        &self,
        dir: &Arc<DirNode>,
        name: &EntryName,
        want: Want,
    ) -> Result<Option<Existing>, SinkError> {
        let handle = match self.dir(dir) {
            Err(e) if e.is_absent() => return Ok(None),
            other => other?,
        };
        if handle.fresh {
            return Ok(None);
        }
        beside::spare(dir, name.as_str());
        let shown = || dir.path_of(name.as_str());
        let stat = match rustix::fs::statat(&handle.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| SinkError::sys("looking at", &shown(), e))?,
        };
        if remove::is_protected(&self.protected, &stat) {
            return Err(SinkError::protected(&shown()));
        }
        if want.may_clash && folding::folds(&handle.fd, name.as_str()) {
            return Err(SinkError::collision(&shown()));
        }
        let existing = Existing::of(&stat);
        match existing.kind {
            ExistingKind::Symlink => return Ok(Some(existing)),
            ExistingKind::File if !want.is_link => return Ok(Some(existing)),
            _ if self.options.keeps_existing => return Err(SinkError::kept(&shown())),
            _ => {}
        }
        self.may_move(dir, &handle, name, &stat, existing.describe()).map(|()| Some(existing))
    }
}
