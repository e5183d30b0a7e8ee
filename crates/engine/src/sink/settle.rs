//! Gives what is in the target already its attributes.

use std::os::fd::AsFd;
use std::sync::Arc;

use rekopia_format::entry_name::EntryName;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Attributes, FidelityIssue};
use super::error::SinkError;
use super::existing::{Existing, ExistingKind};
use super::metadata;
use super::node::DirNode;
use super::patch::Patch;
use super::reopen::open_with;
use super::state::Sink;

impl Sink {
    /// Sets the attributes of an existing file or link whose bytes are right. Other names of a file keep theirs.
    pub(crate) fn settle(
        self: &Arc<Self>,
        node: &Arc<DirNode>,
        name: &EntryName,
        existing: &Existing,
        attributes: &Attributes,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let shown = || node.path_of(name.as_str());
        let dir = self.dir(node)?;
        if existing.kind == ExistingKind::Symlink {
            return metadata::set_link(self, (node, &dir), name.as_str(), attributes, Some(existing), &shown);
        }
        if self.has(existing, attributes) {
            return Ok(Vec::new());
        }
        if existing.shared {
            return Patch::start(self, node, name, existing).commit(existing.size, attributes);
        }
        match open_with(&dir, name, Some(existing), OFlags::RDONLY, Mode::RUSR) {
            Ok(file) => self.attributes_of_existing(&file, attributes, &shown),
            // Nothing had to be read to know that it is right: it is empty, and somebody else's.
            Err(Errno::ACCESS | Errno::PERM) => {
                Patch::start(self, node, name, existing).commit(existing.size, attributes)
            }
            Err(Errno::STALE) => Err(SinkError::replaced(&shown())),
            Err(e) => Err(SinkError::sys("opening", &shown(), e)),
        }
    }

    /// Whether an existing entry has the attributes that it would be given.
    pub(crate) fn has(&self, existing: &Existing, wanted: &Attributes) -> bool {
        let (policy, now) = (&self.options.policy, &existing.attributes);
        let owner = policy.owner_of(wanted).is_none_or(|owner| owner == (now.uid, now.gid));
        owner
            && (!policy.mode || wanted.mode & 0o7777 == now.mode)
            && (!policy.times || wanted.mtime_ns == now.mtime_ns)
    }

    pub(super) fn attributes_of_existing(
        &self,
        file: impl AsFd + Copy,
        attributes: &Attributes,
        shown: &impl Fn() -> String,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let stat = rustix::fs::fstat(file).map_err(|e| SinkError::sys("looking at", &shown(), e))?;
        let now = Existing::of(&stat);
        let issues = metadata::set_file(self, now.device(), &file, attributes, &now.attributes, shown)?;
        self.fdatasync_if_needed(file, shown)?;
        Ok(issues)
    }
}
