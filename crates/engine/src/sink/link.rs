//! Makes symbolic links.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;

use super::attributes::{Attributes, FidelityIssue};
use super::error::{SinkError, SinkErrorKind};
use super::existing::{Existing, ExistingKind};
use super::node::DirNode;
use super::state::Sink;
use super::{beside, metadata};

impl Sink {
    /// Makes a symbolic link; an equal one stays.
    pub(crate) fn symlink(
        &self,
        node: &Arc<DirNode>,
        name: &EntryName,
        target: &[u8],
        attributes: &Attributes,
        existing: Option<&Existing>,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let shown = || node.path_of(name.as_str());
        if target.is_empty() || target.contains(&0) {
            return Err(SinkError::new(
                SinkErrorKind::Io,
                "creating",
                shown(),
                std::io::ErrorKind::InvalidInput.into(),
            ));
        }
        let (name, dir) = (name.as_str(), &self.dir(node)?);
        if existing.is_some_and(|e| e.kind == ExistingKind::Symlink) {
            let now = rustix::fs::readlinkat(&dir.fd, name, Vec::new());
            let now = now.map_err(|e| SinkError::sys("reading", &shown(), e))?;
            if now.as_bytes() == target {
                return metadata::set_link(self, (node, dir), name, attributes, existing, &shown);
            }
        }
        self.changing();
        self.handles.widen(node, dir);
        match existing {
            Some(existing) => {
                self.in_place_of(node, dir, name, existing.kind, || beside::put_link(node, dir, name, target))
            }
            None => rustix::fs::symlinkat(target, &dir.fd, name),
        }
        .inspect(|()| {
            if existing.is_some_and(|e| matches!(e.kind, ExistingKind::File | ExistingKind::Special)) {
                self.removals.gone(1);
            }
        })
        .map_err(|e| match existing {
            Some(_) => SinkError::sys("replacing", &shown(), e),
            None => SinkError::created(&shown(), dir.fresh, e),
        })?;
        metadata::set_link(self, (node, dir), name, attributes, None, &shown)
    }
}
