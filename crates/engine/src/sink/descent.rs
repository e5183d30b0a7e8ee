//! Enters directories below one another, however deep: a bounded number of them is open, no call recurses.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, Stat};
use rustix::io::Errno;

use super::mounts::{DIR_FLAGS, device};

/// Directories below one another that are open at once.
const MAX_OPEN: usize = 100;

/// The way from the entry where it began down to the directory that is being listed.
#[derive(Debug, Default)]
pub(super) struct Descent {
    levels: Vec<Level>,
    /// The first of the levels that are open; those above it are closed.
    open_from: usize,
}

/// A directory on the way.
#[derive(Debug)]
pub(super) struct Level {
    /// The directory's name in the one above.
    pub(super) name: CString,
    /// The open directory; `None`: closed for now.
    open: Option<Dir>,
    /// The offset where the listing goes on when the directory is opened again.
    offset: i64,
    pub(super) dev: u64,
    ino: u64,
    /// The directory's mode before, where that was changed to get in.
    pub(super) was: Option<Mode>,
    /// Entries that stay, by name: not to be looked at again.
    pub(super) stays: HashSet<CString>,
    /// Number of entries that were removed since the listing began.
    pub(super) went: u64,
}

impl Descent {
    /// Enters a directory. `was` is its mode, where that was changed to get in.
    pub(super) fn enter(
        &mut self,
        name: &CStr,
        fd: OwnedFd,
        stat: &Stat,
        was: Option<Mode>,
    ) -> Result<(), Errno> {
        if self.levels.len() - self.open_from >= MAX_OPEN {
            self.levels[self.open_from].open = None;
            self.open_from += 1;
        }
        self.levels.push(Level {
            name: name.to_owned(),
            open: Some(Dir::new(fd)?),
            offset: 0,
            dev: device(stat),
            ino: stat.st_ino,
            was,
            stays: HashSet::new(),
            went: 0,
        });
        Ok(())
    }

    /// Returns the next entry of the deepest directory; `None` at its end.
    pub(super) fn next(&mut self) -> Option<Result<(CString, FileType, u64), Errno>> {
        let level = self.levels.last_mut()?;
        loop {
            let entry = match level.open.as_mut()?.read()? {
                Ok(entry) => entry,
                Err(e) => return Some(Err(e)),
            };
            level.offset = entry.offset();
            let name = entry.file_name();
            if name != c"." && name != c".." && !level.stays.contains(name) {
                return Some(Ok((name.to_owned(), entry.file_type(), entry.ino())));
            }
        }
    }

    /// Lists the deepest directory once more from its beginning.
    pub(super) fn rewind(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            (level.went, level.offset) = (0, 0);
            if let Some(dir) = level.open.as_mut() {
                dir.rewind();
            }
        }
    }

    /// Returns the deepest directory.
    pub(super) fn here(&mut self) -> Option<&mut Level> {
        self.levels.last_mut()
    }

    /// Leaves the deepest directory; the one above is open again afterwards.
    pub(super) fn leave(&mut self) -> Result<Option<Level>, Errno> {
        let Some(left) = self.levels.pop() else { return Ok(None) };
        if let Some(above) = self.levels.last_mut()
            && above.open.is_none()
        {
            let below = left.open.as_ref().ok_or(Errno::BADF)?;
            let fd = rustix::fs::openat(below.fd()?, "..", DIR_FLAGS, Mode::empty())?;
            let stat = rustix::fs::fstat(&fd)?;
            if (device(&stat), stat.st_ino) != (above.dev, above.ino) {
                // Somebody has moved what we are in: there is no way back.
                return Err(Errno::STALE);
            }
            let mut dir = Dir::new(fd)?;
            dir.seek(above.offset)?;
            above.open = Some(dir);
            self.open_from = self.levels.len() - 1;
        }
        Ok(Some(left))
    }

    /// Returns the path of `name` in the deepest directory, from where the descent began.
    pub(super) fn path_of(&self, name: &CStr) -> Vec<u8> {
        let mut path = Vec::new();
        for level in &self.levels {
            path.extend_from_slice(level.name.to_bytes());
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        path
    }
}

impl Level {
    /// Returns the handle of the directory.
    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.open.as_ref().ok_or(Errno::BADF)?.fd()
    }
}
