//! What is in the target already: looked at, read, given its attributes.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rekopia_format::entry_name::EntryName;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::closed::Closed;
use super::error::SinkError;
use super::handles::DirHandle;
use super::metadata::{self, Attributes, FidelityIssue};
use super::node::DirNode;
use super::{Patch, Sink};

/// What kind of thing is in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExistingKind {
    File,
    Symlink,
    /// Never changed, only refused or moved aside.
    Directory,
    /// A device, socket or pipe: never opened.
    Special,
}

/// An entry that is in the target already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Existing {
    pub(crate) kind: ExistingKind,
    pub(crate) size: u64,
    pub(crate) attributes: Attributes,
    /// The file has other names: it is replaced, so that they keep what they have.
    pub(crate) shared: bool,
    identity: Identity,
}

/// By what an entry is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    dev: u64,
    ino: u64,
    size: i64,
    mtime_ns: i64,
    ctime: (i64, i64),
}

impl Existing {
    pub(super) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => ExistingKind::File,
            FileType::Symlink => ExistingKind::Symlink,
            FileType::Directory => ExistingKind::Directory,
            _ => ExistingKind::Special,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let shared = kind == ExistingKind::File && stat.st_nlink > 1;
        Existing { kind, size, attributes: metadata::of_stat(stat), shared, identity: Identity::of(stat) }
    }

    /// Whether this is what was looked at. Some FUSE file systems forget the numbers of their inodes: there it is the
    /// same when nothing about it has changed.
    pub(super) fn is(&self, stat: &Stat) -> bool {
        let now = Identity::of(stat);
        let same_inode = (now.dev, now.ino) == (self.identity.dev, self.identity.ino);
        same_inode || Identity { dev: self.identity.dev, ino: self.identity.ino, ..now } == self.identity
    }

    pub(super) fn device(&self) -> u64 {
        self.identity.dev
    }

    pub(super) fn describe(&self) -> &'static str {
        match self.kind {
            ExistingKind::File => "file",
            ExistingKind::Symlink => "symbolic link",
            ExistingKind::Directory => "directory",
            ExistingKind::Special => "special file",
        }
    }
}

impl Identity {
    #[expect(clippy::unnecessary_cast, reason = "the fields have other types elsewhere")]
    fn of(stat: &Stat) -> Self {
        Identity {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size,
            mtime_ns: metadata::of_stat(stat).mtime_ns,
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

/// What an existing entry holds.
#[derive(Debug)]
pub(crate) enum ExistingBytes {
    /// A file that is open for reading.
    File(OwnedFd),
    /// The target of a link.
    Link(Vec<u8>),
}

impl ExistingBytes {
    /// Fills `buffer` with the bytes at `offset`; false when there are no such bytes.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, Errno> {
        let file = match self {
            ExistingBytes::File(file) => file,
            ExistingBytes::Link(target) => {
                let from = usize::try_from(offset).ok().and_then(|at| target.get(at..));
                let Some(from) = from.and_then(|from| from.get(..buffer.len())) else { return Ok(false) };
                buffer.copy_from_slice(from);
                return Ok(true);
            }
        };
        let mut done = 0;
        while done < buffer.len() {
            match rustix::io::pread(file, &mut buffer[done..], offset + done as u64) {
                Ok(0) => return Ok(false),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

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

    /// Attributes of an existing file or link whose bytes are right. Other names of a file keep theirs.
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
        let (dev, now) = (Identity::of(&stat).dev, metadata::of_stat(&stat));
        let issues = metadata::set_file(self, dev, &file, attributes, &now, shown)?;
        self.fdatasync_if_needed(file, shown)?;
        Ok(issues)
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
