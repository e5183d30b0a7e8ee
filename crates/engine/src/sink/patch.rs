//! Changes existing files: nothing happens to the target before everything that changes it has arrived.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rekopia_format::entry_name::EntryName;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Attributes, FidelityIssue};
use super::beside::{self, Beside};
use super::error::SinkError;
use super::existing::{Existing, ExistingKind};
use super::file::write_ranges;
use super::handles::DirHandle;
use super::node::DirNode;
use super::reopen::open_with;
use super::staged::{Place, Staged, gaps};
use super::state::Sink;
use super::{closing, metadata};

/// The changed ranges of an existing file, kept aside until all of them are there.
#[derive(Debug)]
pub(crate) struct Patch {
    sink: Arc<Sink>,
    node: Arc<DirNode>,
    name: EntryName,
    existing: Existing,
    /// Whether the target gets a new inode; known when this is first needed.
    replaces: OnceLock<bool>,
    staged: Mutex<Staged>,
    /// Whether the target is being changed.
    touched: AtomicBool,
}

/// Bytes of a patch that stay in memory.
const IN_MEMORY: usize = 64 << 10;
/// Bytes that are copied at once.
const COPY: usize = 1 << 20;

impl Patch {
    /// Prepares to change `name`; nothing happens to it yet.
    pub(crate) fn start(
        sink: &Arc<Sink>,
        node: &Arc<DirNode>,
        name: &EntryName,
        existing: &Existing,
    ) -> Self {
        let (sink, node, name) = (Arc::clone(sink), Arc::clone(node), name.clone());
        let (replaces, staged, touched) = Default::default();
        Patch { sink, node, name, existing: existing.clone(), replaces, staged, touched }
    }

    /// Takes in the bytes that belong at `offset`.
    pub(crate) fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), SinkError> {
        let place = {
            let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
            staged.ranges.push((offset, data.len() as u64));
            if staged.place.is_none() && staged.bytes + data.len() <= IN_MEMORY {
                staged.bytes += data.len();
                staged.pieces.push((offset, data.to_vec()));
                return Ok(());
            }
            if staged.place.is_none() {
                let place = self.leave_memory()?;
                staged.place = Some(place.clone());
                self.write_pieces(&staged, place.as_fd())?;
                staged.pieces.clear();
            }
            staged.place.clone()
        };
        let Some(place) = place else { return Ok(()) };
        write_ranges(place.as_fd(), offset, data, false).map_err(|e| self.failed("writing", e))
    }

    fn leave_memory(&self) -> Result<Place, SinkError> {
        let dir = self.sink.dir_to_change(&self.node)?;
        if self.replaces(&dir) {
            return Ok(Place::Beside(Arc::new(self.beside()?)));
        }
        match Beside::aside(&self.node, &dir) {
            Ok(file) => Ok(Place::Aside(Arc::new(file))),
            // What is written aside is copied anyway, so that it can be elsewhere.
            Err(e @ (Errno::ACCESS | Errno::PERM)) => {
                let root = self.sink.root();
                let file = Beside::aside(root, &self.sink.dir_to_change(root)?);
                file.map(|file| Place::Aside(Arc::new(file))).map_err(|_| self.failed("writing beside", e))
            }
            Err(e) => Err(self.failed("writing beside", e)),
        }
    }

    /// Changes the target: everything that it takes is there. Its inode stays, unless it is a link, has other names or
    /// is somebody else's.
    pub(crate) fn commit(&self, size: u64, attributes: &Attributes) -> Result<Vec<FidelityIssue>, SinkError> {
        let dir = self.sink.dir(&self.node)?;
        let staged = std::mem::take(&mut *self.staged.lock().unwrap_or_else(PoisonError::into_inner));
        if self.replaces(&dir) {
            return self.replace(&dir, &staged, size, attributes);
        }
        self.sweep(&dir);
        if let Some(Place::Aside(from)) = &staged.place {
            // What could not be written there does not come back when it is read.
            closing::flush(from.as_fd()).map_err(|e| self.failed("writing beside", e))?;
        }
        let target = self.open_target(&dir)?;
        self.reserve(&target, &staged)?;
        // No size rule may take a half-changed file for a whole one.
        let unfinished = size.max(self.existing.size).saturating_add(1);
        rustix::fs::ftruncate(&target, unfinished).map_err(|e| {
            self.give_back(&target);
            self.failed("writing", e)
        })?;
        self.touched.store(true, Ordering::Relaxed);
        self.write_pieces(&staged, target.as_fd())?;
        if let Some(Place::Aside(from)) = &staged.place {
            let mut buffer = Vec::new();
            for (offset, len) in &staged.ranges {
                self.copy(from.as_fd(), target.as_fd(), *offset, *len, &mut buffer)?;
            }
        }
        closing::flush(&target).map_err(|e| self.failed("writing", e))?;
        // A file that is whole leaves nothing to be removed by another run.
        drop(staged);
        let finished = self.finish(&target, size, attributes);
        if finished.is_err() {
            let _ = rustix::fs::ftruncate(&target, unfinished);
        }
        closing::close(target).map_err(|e| self.failed("closing", e)).and(finished)
    }

    fn finish(
        &self,
        target: &OwnedFd,
        size: u64,
        attributes: &Attributes,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        rustix::fs::ftruncate(target, size).map_err(|e| self.failed("writing", e))?;
        let issues = self.sink.attributes_of_existing(target.as_fd(), attributes, &|| self.path())?;
        closing::flush(target).map_err(|e| self.failed("closing", e))?;
        Ok(issues)
    }

    /// Puts a whole new file in the target's place.
    fn replace(
        &self,
        dir: &DirHandle,
        staged: &Staged,
        size: u64,
        attributes: &Attributes,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        self.sweep(dir);
        let beside = match &staged.place {
            Some(Place::Beside(beside)) => Arc::clone(beside),
            _ => Arc::new(self.beside()?),
        };
        self.write_pieces(staged, beside.as_fd())?;
        if self.existing.kind == ExistingKind::File {
            let mut old = None;
            let mut buffer = Vec::new();
            for (offset, len) in gaps(&staged.ranges, size.min(self.existing.size)) {
                if old.is_none() {
                    let (known, flags) = (Some(&self.existing), OFlags::RDONLY);
                    let opened = open_with(dir, &self.name, known, flags, Mode::RUSR);
                    old = Some(opened.map_err(|e| self.not_opened(e))?);
                }
                if let Some(old) = &old {
                    self.copy(old.as_fd(), beside.as_fd(), offset, len, &mut buffer)?;
                }
            }
        }
        rustix::fs::ftruncate(beside.as_fd(), size).map_err(|e| self.failed("writing", e))?;
        beside.give_name().map_err(|e| self.failed("replacing", e))?;
        let mut wanted = self.sink.file_attributes(attributes);
        if !self.sink.options.policy.mode && self.existing.kind == ExistingKind::File {
            wanted.mode = self.existing.attributes.mode & !0o6000;
        }
        let (file, shown) = (beside.as_fd(), || self.path());
        let now = rustix::fs::fstat(file).map_err(|e| self.failed("looking at", e))?;
        let now = Attributes::of(&now);
        let issues = metadata::set_new_file(&self.sink, &self.node, &file, &wanted, &now, &shown)?;
        self.sink.fdatasync_if_needed(file, &shown)?;
        let stat = rustix::fs::statat(&dir.fd, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW);
        if !stat.is_ok_and(|stat| self.existing.is(&stat)) {
            return Err(SinkError::replaced(&self.path()));
        }
        let (name, kind) = (self.name.as_str(), self.existing.kind);
        let put = self.sink.in_place_of(&self.node, dir, name, kind, || beside.put(name));
        put.map_err(|e| self.failed("replacing", e))?;
        if kind == ExistingKind::Special {
            self.sink.removals.gone(1);
        }
        Ok(issues)
    }

    /// Gives up; returns true when the target is no longer what it was.
    pub(crate) fn abandon(&self) -> bool {
        drop(std::mem::take(&mut *self.staged.lock().unwrap_or_else(PoisonError::into_inner)));
        self.touched.load(Ordering::Relaxed)
    }

    /// Takes the room that the changes need before anything is changed, where the file system can promise it.
    fn reserve(&self, target: &OwnedFd, staged: &Staged) -> Result<(), SinkError> {
        for (offset, len) in staged.ranges.iter().filter(|(_, len)| *len > 0) {
            let taken = rustix::fs::fallocate(target, FallocateFlags::KEEP_SIZE, *offset, *len);
            if let Err(e @ (Errno::NOSPC | Errno::DQUOT)) = taken {
                self.give_back(target);
                return Err(self.failed("writing", e));
            }
        }
        Ok(())
    }

    /// Makes a file of which no byte was changed what it was: the room that was taken, the time that this changes, and
    /// the mode that it was opened with.
    fn give_back(&self, target: &OwnedFd) {
        let was = &self.existing.attributes;
        let _ = rustix::fs::ftruncate(target, self.existing.size);
        let _ = metadata::set_time(target, was.mtime_ns);
        let _ = rustix::fs::fchmod(target, Mode::from_raw_mode(was.mode as _));
    }

    fn write_pieces(&self, staged: &Staged, to: BorrowedFd<'_>) -> Result<(), SinkError> {
        for (offset, piece) in &staged.pieces {
            write_ranges(to, *offset, piece, false).map_err(|e| self.failed("writing", e))?;
        }
        Ok(())
    }

    fn copy(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
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

    /// Whether the target gets a new inode: it is a link, has other names, or is somebody else's and closed to us.
    fn replaces(&self, dir: &DirHandle) -> bool {
        *self.replaces.get_or_init(|| {
            self.existing.kind != ExistingKind::File
                || self.existing.shared
                || !is_changeable(dir, &self.name, &self.existing)
        })
    }

    fn beside(&self) -> Result<Beside, SinkError> {
        let dir = self.sink.dir_to_change(&self.node)?;
        Beside::create(&self.node, &dir).map_err(|e| self.failed("writing beside", e))
    }

    fn open_target(&self, dir: &DirHandle) -> Result<OwnedFd, SinkError> {
        self.sink.changing();
        let mode = Mode::RUSR | Mode::WUSR;
        open_with(dir, &self.name, Some(&self.existing), OFlags::RDWR, mode).map_err(|e| self.not_opened(e))
    }

    /// Removes what a killed run left, here and where this one would stage what it may not stage here.
    fn sweep(&self, dir: &DirHandle) {
        beside::sweep(&self.node, dir);
        if let Ok(root) = self.sink.dir(self.sink.root()) {
            beside::sweep(self.sink.root(), &root);
        }
    }

    fn not_opened(&self, e: Errno) -> SinkError {
        if e == Errno::STALE { SinkError::replaced(&self.path()) } else { self.failed("opening", e) }
    }

    fn path(&self) -> String {
        self.node.path_of(self.name.as_str())
    }

    fn failed(&self, operation: &'static str, e: Errno) -> SinkError {
        SinkError::sys(operation, &self.path(), e)
    }
}

/// Whether the file can be written, after its mode is widened if need be. A running program cannot.
fn is_changeable(dir: &DirHandle, name: &EntryName, existing: &Existing) -> bool {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::openat(&dir.fd, name.as_str(), flags, Mode::empty()) {
        Err(Errno::TXTBSY | Errno::PERM) => false,
        Err(Errno::ACCESS) => existing.attributes.uid == rustix::process::geteuid().as_raw(),
        _ => true,
    }
}
