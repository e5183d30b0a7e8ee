//! Removes what the snapshot does not have. Links are unlinked, never followed; what is mounted and what the run itself
//! needs stays, and so does what may not be removed: each by its own path, while the rest goes on.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use super::closed::Closed;
use super::descent::Descent;
use super::mounts::{self, Entered, device};

/// Files and folders, by device and inode, that this run itself reads or writes.
pub(super) type Protected = HashSet<(u64, u64)>;

/// The results of removing; shared by all that remove.
#[derive(Debug, Default)]
pub(crate) struct Removals(Mutex<Removed>);

/// The results of removing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Entries that are gone.
    pub(crate) entries: u64,
    /// The first entries that are still there, with the reason.
    pub(crate) remaining: Vec<(String, String)>,
    /// Number of all entries that are still there.
    pub(crate) remaining_count: u64,
}

/// Remaining entries that are named.
const NAMED: usize = 1000;

impl Removals {
    /// Takes what was gathered so far.
    pub(crate) fn take(&self) -> Removed {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the number of entries that are gone, of what was not taken yet.
    pub(crate) fn gone_so_far(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries
    }

    pub(super) fn gone(&self, entries: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries += entries;
    }

    pub(super) fn remains(&self, path: String, why: impl Into<String>) {
        let mut removed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        removed.remaining_count += 1;
        if removed.remaining.len() < NAMED {
            removed.remaining.push((path, why.into()));
        }
    }
}

/// The facts about what is at and below an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Number of entries: the entry and all that is below it, where that can be seen.
    pub(crate) entries: u64,
    /// Bytes that removing all of it would give back.
    pub(crate) bytes: u64,
    /// The first mount point among them, from the directory that holds the entry.
    pub(crate) mount: Option<Vec<u8>>,
    /// The first entry among them that this run needs.
    pub(crate) protected: Option<Vec<u8>>,
}

/// Looks at an entry and everything below it, and changes nothing. `each` gets the path of each entry (from `dir`) and
/// whether it is a directory.
pub(super) fn survey(
    dir: &OwnedFd,
    name: &CStr,
    protected: &Protected,
    each: &mut dyn FnMut(&[u8], bool),
) -> Result<Survey, Errno> {
    let mut found = Survey::default();
    let mut descent = Descent::default();
    let top = rustix::fs::fstat(dir)?;
    visit(dir, device(&top), name, &mut descent, protected, &mut found, each)?;
    while let Some(level) = descent.here() {
        let (dev, fd) = (level.dev, level.fd()?.try_clone_to_owned().map_err(io_errno)?);
        let mut entered = false;
        while let Some(entry) = descent.next() {
            // An entry that vanishes meanwhile is none.
            let (name, ..) = entry?;
            entered = visit(&fd, dev, &name, &mut descent, protected, &mut found, each)?;
            if entered {
                break;
            }
        }
        if !entered {
            descent.leave()?;
        }
    }
    Ok(found)
}

fn io_errno(e: std::io::Error) -> Errno {
    e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// Counts an entry; returns whether it was entered.
fn visit(
    dir: &OwnedFd,
    dev: u64,
    name: &CStr,
    descent: &mut Descent,
    protected: &Protected,
    found: &mut Survey,
    each: &mut dyn FnMut(&[u8], bool),
) -> Result<bool, Errno> {
    let looked = match mounts::look(dir, dev, name) {
        Err(Errno::NOENT) => return Ok(false),
        other => other?,
    };
    found.entries += 1;
    found.bytes = found.bytes.saturating_add(looked.bytes);
    let path = descent.path_of(name);
    each(&path, looked.is_dir);
    if protected.contains(&(looked.dev, looked.ino)) {
        found.protected.get_or_insert(path);
        return Ok(false);
    }
    if looked.is_mount {
        found.mount.get_or_insert(path);
        return Ok(false);
    }
    if !looked.is_dir {
        return Ok(false);
    }
    match mounts::enter(dir, dev, name) {
        Ok(Entered { crosses: true, .. }) => {
            found.mount.get_or_insert(path);
            Ok(false)
        }
        Ok(Entered { fd, stat, .. }) => descent.enter(name, fd, &stat, None).map(|()| true),
        // What is closed to us is counted as one.
        Err(_) => Ok(false),
    }
}

/// Removes an entry, a directory with everything in it. `shown` makes a path in messages of one from `dir`.
pub(super) fn remove(
    dir: &OwnedFd,
    name: &CStr,
    protected: &Protected,
    removals: &Removals,
    shown: &dyn Fn(&[u8]) -> String,
) -> Result<(), Errno> {
    let top = rustix::fs::fstat(dir)?;
    let removal = Removal { protected, removals, shown };
    let mut descent = Descent::default();
    if !removal.entry(dir, device(&top), name, FileType::Unknown, 0, &mut descent)? {
        return Ok(());
    }
    loop {
        let Some(level) = descent.here() else { return Ok(()) };
        let (dev, fd) = (level.dev, level.fd()?.try_clone_to_owned().map_err(io_errno)?);
        let mut entered = false;
        while let Some(entry) = descent.next() {
            let (name, kind, ino) = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    removal.stays(&mut descent, c"", &e.to_string());
                    break;
                }
            };
            entered = removal.entry(&fd, dev, &name, kind, ino, &mut descent)?;
            if entered {
                break;
            }
        }
        drop(fd);
        if !entered && removal.leave(dir, &mut descent)? {
            return Ok(());
        }
    }
}

/// A removal that is going on.
struct Removal<'a> {
    protected: &'a Protected,
    removals: &'a Removals,
    shown: &'a dyn Fn(&[u8]) -> String,
}

impl Removal<'_> {
    /// Removes an entry, or enters it and returns true.
    fn entry(
        &self,
        dir: &OwnedFd,
        dev: u64,
        name: &CStr,
        kind: FileType,
        ino: u64,
        descent: &mut Descent,
    ) -> Result<bool, Errno> {
        let (mut kind, mut ino) = (kind, ino);
        if kind == FileType::Unknown || !self.protected.is_empty() && ino == 0 {
            match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => (kind, ino) = (FileType::from_raw_mode(stat.st_mode), stat.st_ino),
                Err(Errno::NOENT) => return Ok(false),
                Err(e) => return Ok(self.stays(descent, name, &e.to_string())),
            }
        }
        if self.protected.contains(&(dev, ino)) {
            // Told of where it was found; it is no failure.
            if let Some(level) = descent.here() {
                level.stays.insert(name.to_owned());
            }
            return Ok(false);
        }
        if kind != FileType::Directory {
            return Ok(match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) => {
                    self.gone(descent);
                    false
                }
                Err(Errno::NOENT) => false,
                Err(e) => self.stays(descent, name, &e.to_string()),
            });
        }
        match enter_to_empty(dir, dev, name) {
            Ok((Entered { crosses: true, .. }, _)) => {
                Ok(self.stays(descent, name, "something is mounted there"))
            }
            Ok((Entered { fd, stat, .. }, was)) => descent.enter(name, fd, &stat, was).map(|()| true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Ok(self.stays(descent, name, &e.to_string())),
        }
    }

    /// Leaves the deepest directory, which was listed to its end; returns true when that was all.
    fn leave(&self, top: &OwnedFd, descent: &mut Descent) -> Result<bool, Errno> {
        let Some(level) = descent.here() else { return Ok(true) };
        let (holds, went, was) = (!level.stays.is_empty(), level.went, level.was);
        if holds && let Some(was) = was {
            let _ = rustix::fs::fchmod(level.fd()?, was);
        }
        let handle = level.fd()?.try_clone_to_owned().map_err(io_errno)?;
        let Some(left) = descent.leave()? else { return Ok(true) };
        let above = descent.here();
        let is_top = above.is_none();
        let parent = match &above {
            Some(above) => above.fd()?,
            None => top.as_fd(),
        };
        let name = left.name.clone();
        if holds {
            if let Some(above) = above {
                above.stays.insert(name);
            }
            return Ok(is_top);
        }
        match rustix::fs::unlinkat(parent, name.as_c_str(), AtFlags::REMOVEDIR) {
            Ok(()) => self.gone(descent),
            Err(Errno::NOENT) => {}
            // Some file systems leave entries out of a listing while others are removed: once more from its beginning.
            Err(Errno::NOTEMPTY | Errno::EXIST) if went > 0 => {
                let stat = rustix::fs::fstat(&handle)?;
                descent.enter(&name, handle, &stat, was)?;
                descent.rewind();
                return Ok(false);
            }
            Err(e) => {
                if let Some(was) = was {
                    let _ = rustix::fs::fchmod(&handle, was);
                }
                self.stays(descent, &name, &e.to_string());
            }
        }
        Ok(is_top)
    }

    fn gone(&self, descent: &mut Descent) {
        self.removals.gone(1);
        if let Some(level) = descent.here() {
            level.went += 1;
        }
    }

    fn stays(&self, descent: &mut Descent, name: &CStr, why: &str) -> bool {
        self.removals.remains((self.shown)(&descent.path_of(name)), why);
        if let Some(level) = descent.here() {
            level.stays.insert(name.to_owned());
        }
        false
    }
}

/// Opens a directory that is to be emptied; what its mode keeps us from goes first. Returns the mode that it had then.
fn enter_to_empty(dir: &OwnedFd, dev: u64, name: &CStr) -> Result<(Entered, Option<Mode>), Errno> {
    match mounts::enter(dir, dev, name) {
        Err(Errno::ACCESS) => {}
        other => {
            let entered = other?;
            let mode = Mode::from_raw_mode(entered.stat.st_mode);
            let closed = !entered.crosses && !mode.contains(Mode::RWXU);
            let was = (closed && rustix::fs::fchmod(&entered.fd, Mode::RWXU).is_ok()).then_some(mode);
            return Ok((entered, was));
        }
    }
    let closed = Closed::hold(dir, name, FileType::Directory)?;
    if device(&closed.stat) != dev {
        return Err(Errno::XDEV);
    }
    let was = closed.mode();
    closed.chmod(Mode::RWXU)?;
    let entered = mounts::enter(dir, dev, name);
    if entered.as_ref().map_or(true, |entered| entered.crosses) {
        let _ = closed.chmod(was);
    }
    Ok((entered?, Some(was)))
}

/// Whether a file or folder is one that this run needs.
pub(super) fn is_protected(protected: &Protected, stat: &Stat) -> bool {
    !protected.is_empty() && protected.contains(&(device(stat), stat.st_ino))
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn removed(dir: &Path, name: &str, protected: &Protected) -> Removed {
        let at = std::fs::File::open(dir).unwrap().into();
        let removals = Removals::default();
        let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        remove(&at, &CString::new(name).unwrap(), protected, &removals, &shown).unwrap();
        removals.take()
    }

    #[test]
    fn deep_and_wide_trees_go_whole_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = rustix::fs::open(dir.path(), DIR, Mode::empty()).unwrap();
        for level in ["top"].into_iter().chain((0..1500).map(|_| "below")) {
            rustix::fs::mkdirat(&at, level, Mode::RWXU).unwrap();
            std::fs::write(format!("/proc/self/fd/{}/file", std::os::fd::AsRawFd::as_raw_fd(&at)), "")
                .unwrap();
            at = rustix::fs::openat(&at, level, DIR, Mode::empty()).unwrap();
        }
        let handle = std::fs::File::open(dir.path()).unwrap().into();
        let seen = survey(&handle, c"top", &Protected::new(), &mut |_, _| ()).unwrap();
        assert_eq!((seen.entries, seen.mount), (1501 + 1500, None));
        std::fs::create_dir(dir.path().join("top/wide")).unwrap();
        for n in 0..2000 {
            std::fs::create_dir(dir.path().join(format!("top/wide/{n}"))).unwrap();
        }
        let gone = removed(dir.path(), "top", &Protected::new());
        assert_eq!((gone.entries, gone.remaining_count), (1501 + 1500 + 2001, 0));
        assert!(!dir.path().join("top").exists());
    }

    const DIR: rustix::fs::OFlags = rustix::fs::OFlags::DIRECTORY;

    #[test]
    fn what_is_protected_stays_with_what_holds_it_and_the_rest_goes() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("old/deep/er")).unwrap();
        for name in ["old/a", "old/deep/b", "old/deep/er/kept"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let kept = dir.path().join("old/deep/er/kept");
        std::fs::set_permissions(dir.path().join("old/deep"), PermissionsExt::from_mode(0o500)).unwrap();
        let meta = std::fs::metadata(&kept).unwrap();
        let protected = Protected::from([(meta.dev(), meta.ino())]);
        let gone = removed(dir.path(), "old", &protected);
        assert_eq!(gone.entries, 2);
        assert_eq!(gone.remaining_count, 0, "what the run needs is no failure");
        assert!(kept.exists());
        let mode = std::fs::metadata(dir.path().join("old/deep")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o500, "what was opened to be emptied is closed again");
    }
}
