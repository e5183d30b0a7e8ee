//! Finds what a directory of the target holds besides what was restored into it.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir};
use rustix::io::Errno;

use super::error::SinkError;
use super::mounts::device;
use super::node::DirNode;
use super::state::{Sink, SinkOptions};

/// The names that a directory holds.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Names that are not known, in no order.
    pub(crate) unknown: Vec<CString>,
    /// Known names under which nothing is.
    pub(crate) missing: Vec<String>,
    /// Device and inode of the directory.
    pub(crate) id: (u64, u64),
}

impl Sink {
    /// Opens the target as it is now, only to be looked at, whatever lies in it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn as_it_stands(&self) -> Result<Arc<Sink>, SinkError> {
        let options = SinkOptions { looks_only: true, keeps_existing: false, ..self.options };
        let view = Sink::open(&self.path, None, options)?;
        view.begin()?;
        Ok(Arc::new(view))
    }

    /// Lists a directory, on whatever mount it lies, and tells which names are not `known`: at most `most` and one
    /// more. `None`: it is not there. Where the file system takes another spelling for a known name, that is known.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) fn names(
        &self,
        node: &Arc<DirNode>,
        known: &HashSet<String>,
        most: usize,
    ) -> Result<Option<Names>, SinkError> {
        let handle = match self.dir(node) {
            Err(e) if e.is_absent() => return Ok(None),
            other => other?,
        };
        let failed = |e| SinkError::sys("listing", &node.path(), e);
        let stat = rustix::fs::fstat(&handle.fd).map_err(failed)?;
        let mut names = Names { id: (device(&stat), stat.st_ino), ..Names::default() };
        let (mut unknown, mut seen) = (HashMap::new(), HashSet::new());
        for entry in Dir::read_from(&handle.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            match name.to_str() {
                _ if name == c"." || name == c".." => {}
                Ok(text) if known.contains(text) => drop(seen.insert(text.to_owned())),
                _ if unknown.len() > most => break,
                _ => drop(unknown.insert(name.to_owned(), entry.ino())),
            }
        }
        for name in known.difference(&seen) {
            match rustix::fs::statat(&handle.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => unknown.retain(|_, ino| *ino != stat.st_ino),
                Err(Errno::NOENT) => names.missing.push(name.clone()),
                Err(e) => return Err(SinkError::sys("looking at", &node.path_of(name), e)),
            }
        }
        names.unknown = unknown.into_keys().collect();
        Ok(Some(names))
    }
}
