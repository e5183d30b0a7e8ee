//! Existing files: looked at, read, and changed only when everything that changes them has arrived.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rekopia_format::entry_name::EntryName;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::Sink;
use super::error::SinkError;
use super::file::write_ranges;
use super::handles::DirHandle;
use super::metadata::{self, Attributes, FidelityIssue};
use super::node::DirNode;

/// What kind of thing is in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExistingKind {
    File,
    Symlink,
    /// A directory or special file: never changed, only refused or removed.
    Other,
}

/// An entry that is in the target already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Existing {
    pub(crate) kind: ExistingKind,
    pub(crate) size: u64,
    pub(crate) attributes: Attributes,
    /// The file has other names: it is replaced, so that they keep what they have.
    pub(crate) shared: bool,
}

impl Existing {
    pub(super) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => ExistingKind::File,
            FileType::Symlink => ExistingKind::Symlink,
            _ => ExistingKind::Other,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let shared = kind == ExistingKind::File && stat.st_nlink > 1;
        Existing { kind, size, attributes: metadata::of_stat(stat), shared }
    }

    pub(super) fn describe(&self) -> &'static str {
        match self.kind {
            ExistingKind::File => "file",
            ExistingKind::Symlink => "symbolic link",
            ExistingKind::Other => "directory or special file",
        }
    }
}

/// An existing file that is open for reading.
#[derive(Debug)]
pub(crate) struct ExistingFile(OwnedFd);

impl ExistingFile {
    /// Fills `buffer` with the bytes at `offset`; false when the file ends before that.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, Errno> {
        let mut done = 0;
        while done < buffer.len() {
            match rustix::io::pread(&self.0, &mut buffer[done..], offset + done as u64) {
                Ok(0) => return Ok(false),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

/// The changed ranges of an existing file, kept aside until all of them are there.
#[derive(Debug)]
pub(crate) struct Patch {
    sink: Arc<Sink>,
    node: Arc<DirNode>,
    name: EntryName,
    existing: Existing,
    staged: Mutex<Staged>,
}

#[derive(Debug, Default)]
struct Staged {
    /// Offset and length of what has arrived.
    ranges: Vec<(u64, u64)>,
    /// Small changes stay in memory.
    pieces: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    /// Larger ones go into an unnamed file at their offsets: it vanishes by itself.
    file: Option<Arc<OwnedFd>>,
    /// Where there are no unnamed files the target is written as data arrives, and stays mixed when that fails.
    direct: Option<Arc<OwnedFd>>,
}

/// Bytes of a patch that stay in memory.
const IN_MEMORY: usize = 64 << 10;
/// Bytes that are copied at once from the unnamed file.
const COPY: usize = 1 << 20;

impl Sink {
    /// Opens an existing file for reading; one that is ours is made readable first.
    pub(crate) fn open_existing(
        &self,
        node: &Arc<DirNode>,
        name: &EntryName,
    ) -> Result<ExistingFile, SinkError> {
        let dir = self.dir(node)?;
        let file = open_with(&dir, name, OFlags::RDONLY, Mode::RUSR);
        file.map(ExistingFile).map_err(|e| SinkError::sys("opening", &node.path_of(name.as_str()), e))
    }

    /// Length and attributes of an existing file whose bytes are right.
    pub(crate) fn settle(
        &self,
        node: &Arc<DirNode>,
        name: &EntryName,
        existing: &Existing,
        size: u64,
        attributes: &Attributes,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let shown = || node.path_of(name.as_str());
        let dir = self.dir(node)?;
        if existing.size == size && self.has(existing, attributes) {
            return Ok(Vec::new());
        }
        let flags = if existing.size == size { OFlags::RDONLY } else { OFlags::RDWR };
        let file = open_with(&dir, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| SinkError::sys("opening", &shown(), e))?;
        if existing.size != size {
            rustix::fs::ftruncate(&file, size).map_err(|e| SinkError::sys("writing", &shown(), e))?;
        }
        self.attributes_of_existing(&file, attributes, &shown)
    }

    fn has(&self, existing: &Existing, wanted: &Attributes) -> bool {
        let (policy, now) = (&self.options.policy, &existing.attributes);
        let owner = match policy.owner {
            super::OwnerPolicy::Keep => (wanted.uid, wanted.gid) == (now.uid, now.gid),
            super::OwnerPolicy::Set { uid, gid } => (uid, gid) == (now.uid, now.gid),
            super::OwnerPolicy::Skip => true,
        };
        owner
            && (!policy.mode || wanted.mode & 0o7777 == now.mode)
            && (!policy.times || wanted.mtime_ns == now.mtime_ns)
    }

    fn attributes_of_existing(
        &self,
        file: &OwnedFd,
        attributes: &Attributes,
        shown: &impl Fn() -> String,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let stat = rustix::fs::fstat(file).map_err(|e| SinkError::sys("looking at", &shown(), e))?;
        let issues = metadata::set_file(self, file, attributes, Some(&metadata::of_stat(&stat)), shown)?;
        self.fdatasync_if_needed(file, shown)?;
        Ok(issues)
    }
}

impl Patch {
    /// Prepares to change `name`; nothing happens to it yet.
    pub(crate) fn start(
        sink: &Arc<Sink>,
        node: &Arc<DirNode>,
        name: &EntryName,
        existing: &Existing,
    ) -> Self {
        let (sink, node, name) = (Arc::clone(sink), Arc::clone(node), name.clone());
        Patch { sink, node, name, existing: existing.clone(), staged: Mutex::default() }
    }

    /// Takes in the bytes that belong at `offset`.
    pub(crate) fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), SinkError> {
        let file = {
            let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
            staged.ranges.push((offset, data.len() as u64));
            if staged.file.is_none() && staged.direct.is_none() {
                if staged.bytes + data.len() <= IN_MEMORY {
                    staged.bytes += data.len();
                    staged.pieces.push((offset, data.to_vec()));
                    return Ok(());
                }
                self.leave_memory(&mut staged)?;
            }
            staged.file.clone().or_else(|| staged.direct.clone())
        };
        let Some(file) = file else { return Ok(()) };
        write_ranges(&file, offset, data, false).map_err(|e| self.failed("writing", e))
    }

    fn leave_memory(&self, staged: &mut Staged) -> Result<(), SinkError> {
        let dir = self.sink.dir(&self.node)?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&dir.fd, ".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => staged.file = Some(Arc::new(file)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                staged.direct = Some(Arc::new(self.open_target(&dir)?));
            }
            Err(e) => return Err(self.failed("writing beside", e)),
        }
        if let Some(file) = staged.file.as_ref().or(staged.direct.as_ref()) {
            for (offset, piece) in staged.pieces.drain(..) {
                write_ranges(file, offset, &piece, false).map_err(|e| self.failed("writing", e))?;
            }
        }
        Ok(())
    }

    /// Changes the target: everything that it takes is there. Its inode stays, unless it has other names.
    pub(crate) fn commit(&self, size: u64, attributes: &Attributes) -> Result<Vec<FidelityIssue>, SinkError> {
        let dir = self.sink.dir(&self.node)?;
        let staged = std::mem::take(&mut *self.staged.lock().unwrap_or_else(PoisonError::into_inner));
        let target = match &staged.direct {
            Some(target) => Arc::clone(target),
            None => Arc::new(self.open_target(&dir)?),
        };
        // No size rule may take a half-changed file for a whole one.
        let unfinished = size.max(self.existing.size).saturating_add(1);
        rustix::fs::ftruncate(&target, unfinished).map_err(|e| self.failed("writing", e))?;
        for (offset, piece) in &staged.pieces {
            write_ranges(&target, *offset, piece, false).map_err(|e| self.failed("writing", e))?;
        }
        if let Some(from) = &staged.file {
            let mut buffer = Vec::new();
            for (offset, len) in &staged.ranges {
                self.copy(from, &target, *offset, *len, &mut buffer)?;
            }
        }
        rustix::fs::ftruncate(&target, size).map_err(|e| self.failed("writing", e))?;
        let shown = || self.path();
        let wanted = if self.replaces() { self.sink.file_attributes(attributes) } else { *attributes };
        self.sink.attributes_of_existing(&target, &wanted, &shown)
    }

    /// Gives up; true when the target is no longer what it was.
    pub(crate) fn abandon(&self) -> bool {
        let staged = std::mem::take(&mut *self.staged.lock().unwrap_or_else(PoisonError::into_inner));
        staged.direct.is_some() && !staged.ranges.is_empty()
    }

    fn copy(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        offset: u64,
        len: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), SinkError> {
        let mut done = 0;
        while done < len {
            let piece = usize::try_from(len - done).unwrap_or(COPY).min(COPY);
            buffer.resize(piece, 0);
            let n = match rustix::io::pread(from, &mut buffer[..], offset + done) {
                Ok(0) => return Err(self.failed("reading", Errno::IO)),
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(self.failed("reading", e)),
            };
            write_ranges(to, offset + done, &buffer[..n], false).map_err(|e| self.failed("writing", e))?;
            done += n as u64;
        }
        Ok(())
    }

    /// Whether the target gets a new inode: it is a link, or has other names.
    fn replaces(&self) -> bool {
        self.existing.kind != ExistingKind::File || self.existing.shared
    }

    fn open_target(&self, dir: &DirHandle) -> Result<OwnedFd, SinkError> {
        let name = self.name.as_str();
        if !self.replaces() {
            let file = open_with(dir, &self.name, OFlags::RDWR, Mode::RUSR | Mode::WUSR);
            return file.map_err(|e| self.failed("opening", e));
        }
        let old = match self.existing.shared {
            true => Some(
                open_with(dir, &self.name, OFlags::RDONLY, Mode::RUSR)
                    .map_err(|e| self.failed("opening", e))?,
            ),
            false => None,
        };
        rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty()).map_err(|e| self.failed("replacing", e))?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let new = rustix::fs::openat(&dir.fd, name, flags, Mode::RUSR | Mode::WUSR);
        let new = new.map_err(|e| self.failed("replacing", e))?;
        if let Some(old) = old {
            self.copy(&old, &new, 0, self.existing.size, &mut Vec::new())?;
        }
        Ok(new)
    }

    fn path(&self) -> String {
        self.node.path_of(self.name.as_str())
    }

    fn failed(&self, operation: &'static str, e: Errno) -> SinkError {
        SinkError::sys(operation, &self.path(), e)
    }
}

/// Opens an existing file; when that is refused and the file is ours, its mode is widened first.
fn open_with(dir: &DirHandle, name: &EntryName, flags: OFlags, need: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let name = name.as_str();
    match rustix::fs::openat(&dir.fd, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let stat = rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(Errno::ACCESS);
            }
            let before = Mode::from_raw_mode(stat.st_mode);
            rustix::fs::chmodat(&dir.fd, name, before | need, AtFlags::empty()).map_err(|_| Errno::ACCESS)?;
            let opened = rustix::fs::openat(&dir.fd, name, flags, Mode::empty());
            if flags.intersection(OFlags::RWMODE) == OFlags::RDONLY || opened.is_err() {
                rustix::fs::chmodat(&dir.fd, name, before, AtFlags::empty())?;
            }
            opened
        }
        other => other,
    }
}
