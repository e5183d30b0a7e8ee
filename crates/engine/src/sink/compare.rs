//! Compares what is on the disk after a restore with what it was to become. Nothing is changed.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;
use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;

use super::attributes::{Attributes, FidelityIssue};
use super::error::SinkError;
use super::existing::{Existing, ExistingKind};
use super::node::DirNode;
use super::state::Sink;
use super::swallowed::{Done, Kind};
use crate::text::shown_time;

impl Sink {
    /// Returns what is at `name` now; `None`: nothing.
    pub(crate) fn found(&self, node: &Arc<DirNode>, name: &EntryName) -> Result<Option<Existing>, SinkError> {
        let stat = self.stat_in(node, name.as_str())?;
        Ok(stat.map(|stat| Existing::of(&stat)))
    }

    /// Returns the attributes of the root now.
    pub(crate) fn found_root(&self) -> Result<Attributes, SinkError> {
        let stat = rustix::fs::fstat(&self.dir(&self.root)?.fd);
        stat.map(|stat| Attributes::of(&stat)).map_err(|e| SinkError::sys("looking at", "", e))
    }

    /// Returns the attributes of a file or link that are not as wanted, one sentence each. Left out is what the file
    /// system is known to ignore, and with `but_refused` what could not be set on another entry of its kind: that was
    /// counted then.
    pub(crate) fn differences(
        &self,
        node: &DirNode,
        name: &EntryName,
        found: &Existing,
        wanted: &Attributes,
        but_refused: bool,
    ) -> Vec<FidelityIssue> {
        let kind = if found.kind == ExistingKind::Symlink { Kind::Link } else { Kind::File };
        let messages = self.unlike((found.device(), kind), &found.attributes, wanted, but_refused);
        let issue = |message| FidelityIssue::new(node.path_of(name.as_str()), message);
        messages.into_iter().map(issue).collect()
    }

    /// Returns the attributes of a directory that are not as wanted, as it was when it was opened first. A root that is
    /// not ours is left alone.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn dir_differences(
        &self,
        node: &Arc<DirNode>,
        but_refused: bool,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let Some(wanted) = &node.attributes else { return Ok(Vec::new()) };
        let (dev, found) = match (node.parent(), node.opened()) {
            (Some(_), Some(opened)) if let Some(existed) = opened.existed => (opened.dev, existed),
            (Some(parent), None) => match self.stat_in(parent, node.name())? {
                Some(stat) => (Existing::of(&stat).device(), Attributes::of(&stat)),
                None => return Err(SinkError::sys("looking at", &node.path(), Errno::NOENT)),
            },
            (Some(_), Some(_)) => return Err(SinkError::sys("looking at", &node.path(), Errno::NOENT)),
            (None, _) => {
                let stat = rustix::fs::fstat(&self.dir(node)?.fd);
                let stat = stat.map_err(|e| SinkError::sys("looking at", &node.path(), e))?;
                let euid = rustix::process::geteuid();
                if !euid.is_root() && euid.as_raw() != stat.st_uid {
                    return Ok(Vec::new());
                }
                (Existing::of(&stat).device(), Attributes::of(&stat))
            }
        };
        let messages = self.unlike((dev, Kind::Directory), &found, wanted, but_refused);
        Ok(messages.into_iter().map(|message| FidelityIssue::new(node.path(), message)).collect())
    }

    fn stat_in(&self, node: &Arc<DirNode>, name: &str) -> Result<Option<Stat>, SinkError> {
        let dir = self.dir(node)?;
        match rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(SinkError::sys("looking at", &node.path_of(name), e)),
        }
    }

    fn unlike(
        &self,
        (dev, kind): (u64, Kind),
        found: &Attributes,
        wanted: &Attributes,
        but_refused: bool,
    ) -> Vec<String> {
        let policy = &self.options.policy;
        let known = self.swallowing.known(dev, kind);
        let refused = if but_refused { known.refuses() } else { Default::default() };
        let counted = |done: Done| !known.ignored(&done).is_empty();
        let mut messages = Vec::new();
        if let Some(owner) = policy.owner_of(wanted)
            && owner != (found.uid, found.gid)
            && !refused.owner
            && !counted(Done { owner: Some(owner), ..Done::default() })
        {
            let (uid, gid) = owner;
            messages.push(format!("the owner is {}:{} instead of {uid}:{gid}", found.uid, found.gid));
        }
        // Without the owner there are no powers of the owner.
        let mask = if refused.owner { 0o1777 } else { 0o7777 };
        let (is, mode) = (found.mode & mask, wanted.mode & mask);
        if policy.mode
            && kind != Kind::Link
            && is != mode
            && !refused.mode
            && !counted(Done { mode: Some(mode), ..Done::default() })
        {
            messages.push(format!("the mode is {is:04o} instead of {mode:04o}"));
        }
        if policy.times
            && found.mtime_ns != wanted.mtime_ns
            && !refused.time
            && !counted(Done { mtime_ns: Some(wanted.mtime_ns), ..Done::default() })
        {
            let (is, was) = (shown_time(found.mtime_ns), shown_time(wanted.mtime_ns));
            messages.push(format!("the modification time is {is} instead of {was}"));
        }
        messages
    }
}
