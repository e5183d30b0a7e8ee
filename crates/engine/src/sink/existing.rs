//! Holds what is in the target already, as a value: looked at once, and recognised by its inode.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::attributes::Attributes;

/// The kind of an entry that is in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExistingKind {
    File,
    Symlink,
    /// A directory: never changed, only refused or moved aside.
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
    /// Whether the file has other names: it is replaced, so that they keep what they have.
    pub(crate) shared: bool,
    identity: Identity,
}

/// The marks by which an entry is recognised.
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
        Existing { kind, size, attributes: Attributes::of(stat), shared, identity: Identity::of(stat) }
    }

    /// Whether `stat` is of the entry that was looked at. Some FUSE file systems forget the numbers of their inodes:
    /// there it is the same when nothing about it has changed.
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
            mtime_ns: Attributes::of(stat).mtime_ns,
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

/// The bytes of an existing entry.
#[derive(Debug)]
pub(crate) enum ExistingBytes {
    /// A file that is open for reading.
    File(OwnedFd),
    /// The path that a link leads to.
    Link(Vec<u8>),
}

impl ExistingBytes {
    /// Fills `buffer` with the bytes at `offset`; returns false when there are no such bytes.
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
