//! Walks the directories of a tree that is hashed, from the root down: every name in byte order, a directory after all
//! below it. No call recurses, and a bounded number of directories is open.

use std::ffi::{CStr, CString};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::digest_files::{OpenedDir, PutBack, open_dir};
use super::mounts::{DIR_FLAGS, device};

/// Directories below one another that are open at once.
const MAX_OPEN: usize = 100;

/// The way from the root down to the directory whose names are taken.
pub(super) struct Levels<'a> {
    levels: Vec<Level>,
    /// The first of the levels that are open; those above it are closed.
    open_from: usize,
    /// Paths that are left out, in byte order.
    others: &'a [Vec<u8>],
    /// Path of the deepest level.
    path: Vec<u8>,
}

struct Level {
    /// The open directory; `None`: closed for now.
    fd: Option<Arc<OwnedFd>>,
    dev: u64,
    ino: u64,
    attributes: Attributes,
    put_back: Option<PutBack>,
    /// Names that were not taken yet.
    left: std::vec::IntoIter<(CString, FileType)>,
    /// The range of the others that lie below this directory.
    others: Range<usize>,
    /// Bytes of the path of the level above.
    above: usize,
}

/// The next step of the walk.
pub(super) enum Next {
    /// An entry of the deepest directory.
    Entry(Arc<OwnedFd>, CString, FileType),
    /// The deepest directory has no more.
    Left { attributes: Attributes, put_back: Option<PutBack> },
    /// The root was left.
    End,
}

impl<'a> Levels<'a> {
    pub(super) fn new(others: &'a [Vec<u8>]) -> Self {
        Levels { levels: Vec::new(), open_from: 0, others, path: Vec::new() }
    }

    /// Enters a directory, and lists all of it.
    pub(super) fn enter(&mut self, name: &CStr, dir: OpenedDir) -> Result<(), Errno> {
        let mut left = Vec::new();
        for entry in Dir::read_from(&*dir.fd)? {
            let entry = entry?;
            if entry.file_name() != c"." && entry.file_name() != c".." {
                left.push((entry.file_name().to_owned(), entry.file_type()));
            }
        }
        left.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        let above = self.path.len();
        if !self.levels.is_empty() {
            if above > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
        }
        if self.levels.len() - self.open_from >= MAX_OPEN {
            self.levels[self.open_from].fd = None;
            self.open_from += 1;
        }
        self.levels.push(Level {
            dev: device(&dir.stat),
            ino: dir.stat.st_ino,
            attributes: Attributes::of(&dir.stat),
            fd: Some(dir.fd),
            put_back: dir.put_back,
            left: left.into_iter(),
            others: self.others_below(),
            above,
        });
        Ok(())
    }

    /// Enters the directory `name` of the deepest one.
    pub(super) fn descend(&mut self, dir: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        let opened = open_dir(dir, name)?;
        self.enter(name, opened)
    }

    /// Returns the next name that is not left out.
    pub(super) fn next(&mut self) -> Result<Next, Errno> {
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(Next::End) };
            let Some((name, kind)) = level.left.next() else { return self.leave() };
            let below = level.others.clone();
            let fd = Arc::clone(level.fd.as_ref().ok_or(Errno::BADF)?);
            if !below.is_empty() && self.is_other(below, &name) {
                continue;
            }
            let kind = match kind {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&*fd, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                kind => kind,
            };
            return Ok(Next::Entry(fd, name, kind));
        }
    }

    /// Returns the path of an entry of the deepest directory, for people.
    pub(super) fn shown(&self, name: &[u8]) -> String {
        let mut path = self.path.clone();
        if !path.is_empty() && !name.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        String::from_utf8_lossy(&path).into_owned()
    }

    fn leave(&mut self) -> Result<Next, Errno> {
        let Some(left) = self.levels.pop() else { return Ok(Next::End) };
        if let Some(above) = self.levels.last_mut()
            && above.fd.is_none()
        {
            let below = left.fd.as_ref().ok_or(Errno::BADF)?;
            let fd = rustix::fs::openat(&**below, "..", DIR_FLAGS, Mode::empty())?;
            let stat = rustix::fs::fstat(&fd)?;
            if (device(&stat), stat.st_ino) != (above.dev, above.ino) {
                // Somebody has moved what we are in: there is no way back.
                return Err(Errno::STALE);
            }
            above.fd = Some(Arc::new(fd));
            self.open_from = self.levels.len() - 1;
        }
        self.path.truncate(left.above);
        Ok(Next::Left { attributes: left.attributes, put_back: left.put_back })
    }

    /// Returns which of the others lie below the path of the deepest level.
    fn others_below(&self) -> Range<usize> {
        if self.path.is_empty() {
            return 0..self.others.len();
        }
        let mut prefix = self.path.clone();
        prefix.push(b'/');
        let from = self.others.partition_point(|other| *other < prefix);
        let after = self.others[from..].partition_point(|other| other.starts_with(&prefix));
        from..from + after
    }

    fn is_other(&self, below: Range<usize>, name: &CString) -> bool {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        self.others[below].binary_search(&path).is_ok()
    }
}
