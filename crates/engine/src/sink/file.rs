//! Makes new files: a small one in one call, a large one by many threads.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use rekopia_format::entry_name::EntryName;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Attributes, FidelityIssue};
use super::error::{SinkError, SinkErrorKind};
use super::handles::{DirHandle, lock};
use super::node::{DirNode, Opened};
use super::open_files::{Open, SharedFile};
use super::state::Sink;
use super::{closing, metadata};

const CREATE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
const REOPEN: OFlags = OFlags::WRONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// Length of the blocks in which runs of zeros are looked for, in bytes.
const BLOCK: usize = 4096;

impl Sink {
    /// Makes a whole new file: created, written, given its attributes. On failure nothing of it stays.
    pub(crate) fn write_new(
        &self,
        node: &Arc<DirNode>,
        name: &EntryName,
        attributes: &Attributes,
        data: &[u8],
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        let shown = || node.path_of(name.as_str());
        let dir = self.dir_to_change(node)?;
        let file = create(&dir, name, &shown)?;
        let written = self.fill(node, &file, data, attributes, &shown);
        let closed = closing::close(file).map_err(|e| SinkError::sys("closing", &shown(), e));
        let written = written.and_then(|issues| closed.map(|()| issues));
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&dir.fd, name.as_str(), AtFlags::empty());
        }
        written
    }

    fn fill(
        &self,
        node: &DirNode,
        file: &OwnedFd,
        data: &[u8],
        attributes: &Attributes,
        shown: &impl Fn() -> String,
    ) -> Result<Vec<FidelityIssue>, SinkError> {
        if self.options.sparse {
            rustix::fs::ftruncate(file, data.len() as u64)
                .map_err(|e| SinkError::sys("writing", &shown(), e))?;
        }
        write_ranges(file, 0, data, self.options.sparse)
            .map_err(|e| SinkError::sys("writing", &shown(), e))?;
        let wanted = self.file_attributes(attributes);
        let now = new_file(node, file).map_err(|e| SinkError::sys("looking at", &shown(), e))?;
        // Writing has set the file's time, so that the wanted one always has to be set.
        let now = Attributes { mtime_ns: !wanted.mtime_ns, ..now };
        let issues = metadata::set_new_file(self, node, file, &wanted, &now, shown)?;
        self.fdatasync_if_needed(file, shown)?;
        Ok(issues)
    }

    /// Makes a new file that is written piece by piece; until it is finished it is one byte longer than `size`.
    pub(crate) fn create_large(
        self: &Arc<Self>,
        node: &Arc<DirNode>,
        name: &EntryName,
        size: u64,
    ) -> Result<LargeFile, SinkError> {
        let shown = || node.path_of(name.as_str());
        let dir = self.dir_to_change(node)?;
        let file = create(&dir, name, &shown)?;
        let made =
            rustix::fs::ftruncate(&file, size.saturating_add(1)).and_then(|()| rustix::fs::fstat(&file));
        let stat = made.map_err(|e| {
            let _ = rustix::fs::unlinkat(&dir.fd, name.as_str(), AtFlags::empty());
            SinkError::sys("creating", &shown(), e)
        })?;
        let shared = Arc::new(SharedFile {
            node: Arc::clone(node),
            name: name.clone(),
            identity: Opened::of(&stat, true, None),
            made: Attributes::of(&stat),
            open: Mutex::new(Open::default()),
            turn: Mutex::new(()),
        });
        self.files.put(&shared, file);
        Ok(LargeFile { sink: Arc::clone(self), shared })
    }

    /// Returns the attributes that a file gets: with modes switched off a new file stays private, as Kopia leaves it.
    pub(super) fn file_attributes(&self, attributes: &Attributes) -> Attributes {
        if self.options.policy.mode {
            *attributes
        } else {
            Attributes { mode: metadata::PLAIN_FILE_MODE, ..*attributes }
        }
    }
}

/// A new file under its final name that several threads write.
#[derive(Debug)]
pub(crate) struct LargeFile {
    sink: Arc<Sink>,
    shared: Arc<SharedFile>,
}

impl LargeFile {
    /// Writes `data` at `offset`.
    pub(crate) fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), SinkError> {
        let file = self.file()?;
        let written = {
            let _turn = lock(&self.shared.turn);
            write_ranges(&file, offset, data, self.sink.options.sparse)
        };
        // By now the file may be closed for everybody else.
        written.and(closing::release(file)).map_err(|e| self.failed("writing", e))
    }

    /// Cuts the file to its length and gives it its attributes.
    pub(crate) fn finish(&self, size: u64, attributes: &Attributes) -> Result<Vec<FidelityIssue>, SinkError> {
        let shown = || self.shared.path();
        let file = self.file()?;
        rustix::fs::ftruncate(&file, size).map_err(|e| self.failed("finishing", e))?;
        let wanted = self.sink.file_attributes(attributes);
        // Writing has set the file's time, so that the wanted one always has to be set.
        let now = Attributes { mtime_ns: !wanted.mtime_ns, ..self.shared.made };
        let issues = metadata::set_new_file(&self.sink, &self.shared.node, &file, &wanted, &now, &shown)?;
        self.sink.fdatasync_if_needed(&file, &shown)?;
        let released = closing::release(file);
        self.shared.close().and(released).map_err(|e| self.failed("closing", e))?;
        Ok(issues)
    }

    /// Removes the file.
    pub(crate) fn abandon(&self) -> Result<(), SinkError> {
        // A file that is removed may have lost what was written.
        let _ = self.shared.close();
        let dir = self.sink.dir(&self.shared.node)?;
        let name = self.shared.name.as_str();
        let stat = rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|stat| self.shared.identity.is(&stat)) {
            rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty()).map_err(|e| self.failed("removing", e))?;
        }
        Ok(())
    }

    fn file(&self) -> Result<Arc<OwnedFd>, SinkError> {
        if let Some(file) = &lock(&self.shared.open).file {
            return Ok(Arc::clone(file));
        }
        let dir = self.sink.dir(&self.shared.node)?;
        let file = rustix::fs::openat(&dir.fd, self.shared.name.as_str(), REOPEN, Mode::empty());
        let file = file.map_err(|e| self.failed("opening", e))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| self.failed("opening", e))?;
        if !self.shared.identity.is(&stat) {
            let other = std::io::Error::other("it is not the file that was being written");
            return Err(SinkError::new(SinkErrorKind::Io, "opening", self.shared.path(), other));
        }
        Ok(self.sink.files.put(&self.shared, file))
    }

    fn failed(&self, operation: &'static str, e: Errno) -> SinkError {
        SinkError::sys(operation, &self.shared.path(), e)
    }
}

/// Returns the attributes of a new file in this directory; the first file is asked for them.
fn new_file(node: &DirNode, file: &OwnedFd) -> Result<Attributes, Errno> {
    match node.new_file.get() {
        Some(known) => Ok(*known),
        None => {
            let now = Attributes::of(&rustix::fs::fstat(file)?);
            Ok(*node.new_file.get_or_init(|| now))
        }
    }
}

fn create(dir: &DirHandle, name: &EntryName, shown: &impl Fn() -> String) -> Result<OwnedFd, SinkError> {
    let file = rustix::fs::openat(&dir.fd, name.as_str(), CREATE, Mode::RUSR | Mode::WUSR);
    file.map_err(|e| SinkError::created(&shown(), dir.fresh, e))
}

/// Writes all of `data`; with `sparse`, whole blocks of zeros are left out.
pub(super) fn write_ranges(
    file: impl AsFd + Copy,
    offset: u64,
    data: &[u8],
    sparse: bool,
) -> Result<(), Errno> {
    if !sparse {
        return write_all_at(file, offset, data);
    }
    // Blocks are those of the file, whatever the pieces are.
    let lead = (BLOCK - (offset % BLOCK as u64) as usize) % BLOCK;
    let (head, body) = data.split_at(lead.min(data.len()));
    if head.iter().any(|b| *b != 0) {
        write_all_at(file, offset, head)?;
    }
    let mut at = offset + head.len() as u64;
    let is_zero = |block: &[u8]| block.iter().all(|b| *b == 0);
    for run in body.chunks(BLOCK).collect::<Vec<_>>().chunk_by(|a, b| is_zero(a) == is_zero(b)) {
        let len: usize = run.iter().map(|b| b.len()).sum();
        if !is_zero(run[0]) {
            let start = (at - offset) as usize;
            write_all_at(file, at, &data[start..start + len])?;
        }
        at += len as u64;
    }
    Ok(())
}

fn write_all_at(file: impl AsFd + Copy, mut offset: u64, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        match rustix::io::pwrite(file, data, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => {
                data = &data[n..];
                offset += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rekopia_testkit::fuse::{Faults, FuseMount, Op};

    use super::super::attributes::{AttributePolicy, OwnerPolicy};
    use super::super::state::SinkOptions;
    use super::*;

    /// A large file that was closed and opened again meanwhile, beside many others, still reports the error of closing.
    #[test]
    fn a_large_file_that_was_closed_meanwhile_fails_when_it_is_finished() {
        let backing = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let Some(mount) = FuseMount::or_skip(backing.path(), &faults) else { return };
        let policy = AttributePolicy { owner: OwnerPolicy::Skip, mode: true, times: true };
        let options = SinkOptions {
            policy,
            delete_extra: false,
            in_doubt: false,
            keeps_existing: false,
            looks_only: false,
            sparse: false,
            first_aside: 0,
        };
        let sink = Arc::new(Sink::open(mount.path(), None, options).unwrap());
        sink.begin().unwrap();
        let create = |name: &str| {
            let name = EntryName::parse(name).unwrap();
            let file = sink.create_large(sink.root(), &name, 8).unwrap();
            file.write_at(0, b"half").unwrap();
            file
        };
        let attributes = Attributes { mode: 0o640, uid: 0, gid: 0, mtime_ns: 1 };
        faults.fail(Op::Flush, Errno::DQUOT, |name| name == "first");
        let first = create("first");
        let others: Vec<_> = (0..300).map(|n| create(&n.to_string())).collect();
        faults.clear();
        first.write_at(4, b"rest").unwrap();
        let error = first.finish(8, &attributes).unwrap_err();
        assert!(error.to_string().contains("quota"), "{error}");
        first.abandon().unwrap();
        assert!(!mount.path().join("first").exists());
        for other in others {
            other.write_at(4, b"rest").unwrap();
            other.finish(8, &attributes).unwrap();
        }
    }
}
